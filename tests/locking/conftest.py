"""A small project: a workflow, a pack that runs without torch, and a model."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from graphengine.engine import Engine
from graphengine.locking.differences import differences
from graphengine.locking.lock_file import read_lock, write_lock
from graphengine.locking.locking import LockedProject, Made, make_lock
from graphengine.locking.schema import Lock
from graphengine.settings import load_settings

PACK = """
import pathlib
pathlib.Path(__file__).with_name("imported").touch()

class SmallNode:
    RETURN_TYPES = ("STRING",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"count": ("INT", {"default": 1}), "model": ("STRING", {})}}

    def run(self, count, model):
        return (f"{count} of {model}",)

NODE_CLASS_MAPPINGS = {"SmallNode": SmallNode}
"""
FLOW: dict[str, Any] = {
    "1": {"class_type": "SmallNode", "inputs": {"count": 1, "model": "style.safetensors"}},
    "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
}
STYLE = "checkpoints/style.safetensors"


@dataclass(frozen=True)
class Place:
    """A project's folder."""

    root: Path

    @contextmanager
    def opened(self) -> Iterator[LockedProject]:
        """The project, as in a new process."""
        settings = load_settings(
            base_dir=self.root, device="cpu", environ={"GRAPHENGINE_CACHE": str(self.root.parent / "cache")}
        )
        with Engine.from_settings(settings) as engine:
            yield LockedProject(engine, settings)

    def make(self, before: Lock | None = None) -> Made:
        """A lock of all workflows."""
        with self.opened() as project:
            return make_lock(project, project.default_files(before), before)

    def lock(self) -> Lock:
        """Write a lock of all workflows."""
        lock = self.make().lock
        write_lock(self.root / "graphengine.lock", lock)
        return lock

    def told(self) -> list[str]:
        """What differs from the lock that is there."""
        with self.opened() as project:
            return [problem.message for problem in differences(project, read_lock(project.file))]

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The distribution as an installation announces it, so that a bare checkout has node packs too."""
    info = tmp_path / "site" / "graphengine_comfy-0.1.0.dist-info"
    info.mkdir(parents=True)
    head = "Metadata-Version: 2.1\nName: graphengine-comfy\nVersion: 0.1.0\n"
    (info / "METADATA").write_text(f"{head}Requires-Dist: pydantic>=2\nRequires-Dist: rich; extra == 'more'\n")
    (info / "entry_points.txt").write_text("[graphengine.nodes]\ncore = graphengine_nodes.core\n")
    monkeypatch.syspath_prepend(tmp_path / "site")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """The project, with nothing locked."""
    made = Place(tmp_path / "project")
    made.write("workflows/flow.json", json.dumps(FLOW, indent=2))
    made.write("custom_nodes/small/__init__.py", PACK)
    made.write("custom_nodes/small/more.py", "MORE = 1\n")
    made.write(f"models/{STYLE}", b"the weights of a style")
    return made


@pytest.fixture(autouse=True)
def _git_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """git without the user's settings."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Ann")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "ann@example.org")


def git(folder: Path, *words: str) -> str:
    """Run git; what it writes."""
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit_all(folder: Path, message: str) -> str:
    """Make a folder a repository if it is none, and commit all in it; the commit."""
    if not (folder / ".git").exists():
        git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)
    return git(folder, "rev-parse", "HEAD")
