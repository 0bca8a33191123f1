"""Does a lock notice? Copies a locked project, changes one thing, and asks `lock --check` and `run --locked`.

    python benchmarks/lock_tampering.py

The project has the image-to-image workflow with a node of a small pack in it, a checkpoint and its input picture.
A change is found when the command exits with 1 and its message names what was changed. Untouched copies must pass.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
TINY = ROOT / "nodes/graphengine_nodes/models/checkpoints/graphengine_tiny.safetensors"
FLOW = "workflows/img2img.api.json"
NODES = "custom_nodes/small/__init__.py"
LOCK = "graphengine.lock"
MODEL = "models/checkpoints/mine.safetensors"
PACK = """
class CountOf:
    RETURN_TYPES = ("STRING",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"count": ("INT", {"default": 1})}}

    def run(self, count):
        return (str(count),)

NODE_CLASS_MAPPINGS = {"CountOf": CountOf}
"""


@dataclass
class Change:
    """One change of a project: what is done, what must be told, and what the commands are given beside."""

    what: str
    told: str
    make: Callable[[Path], object]
    options: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)


def main() -> None:
    """Print a line for each change, and how many were found."""
    with tempfile.TemporaryDirectory(prefix="graphengine-lock-") as folder:
        base = Path(folder)
        project = make_project(base / "project")
        ask(project, "nodes", "trust", "--all")
        ask(project, "run", FLOW, "--quiet")  # makes an index of the pack
        ask(project, "lock", "--offline")
        passed = check(project, Change("nothing", "", nothing), expected=0)
        print(f"{'ok  ' if passed else 'FAIL'}  nothing is changed: both commands pass")
        changes = list(all_changes(base))
        found = [try_change(project, base / f"copy{number}", change) for number, change in enumerate(changes)]
        print(f"{sum(found)} of {len(found)} changes were found and named by both commands")
        print(
            "CPU seconds, cached run:", *(f"{name} {seconds(project, words):.2f}," for name, words in RUNS.items())
        )
        sys.exit(0 if passed and all(found) else 1)


RUNS = {
    "plain": ("run", FLOW, "--quiet"),
    "--locked": ("run", FLOW, "--quiet", "--locked"),
    "lock --check": ("lock", "--check"),
}


def make_project(place: Path) -> Path:
    """A project with a workflow, a pack and a model."""
    flow = json.loads((ROOT / FLOW).read_text())
    for node in flow.values():
        if node["class_type"] == "CheckpointLoaderSimple":
            node["inputs"]["ckpt_name"] = "mine.safetensors"
    flow["100"] = {"class_type": "CountOf", "inputs": {"count": 1}}
    flow["101"] = {"class_type": "PreviewAny", "inputs": {"source": ["100", 0]}}
    for name, text in ((FLOW, json.dumps(flow, indent=2)), (NODES, PACK)):
        (place / name).parent.mkdir(parents=True)
        (place / name).write_text(text)
    shutil.copytree(ROOT / "workflows/input", place / "workflows/input")
    (place / MODEL).parent.mkdir(parents=True)
    shutil.copyfile(TINY, place / MODEL)
    return place


def all_changes(base: Path) -> list[Change]:
    """The changes, each of one thing."""
    return [*changes_of_files(), *changes_of_the_lock(), *changes_around(base)]


def changes_of_files() -> list[Change]:
    """Models, the pack and the workflow."""
    other_model = "model checkpoints/mine.safetensors has the SHA-256"
    other_code = "pack 'small' is other code than the lock says: "
    other_flow = f"workflow {FLOW} is not what the lock says"
    renamed = "models/checkpoints/other.safetensors"
    return [
        Change("a byte of a model", other_model, flip(MODEL)),
        Change("a byte of a model, its times put back", other_model, flip(MODEL, times=True)),
        Change(
            "a model cut off",
            "model checkpoints/mine.safetensors has 1,000 bytes",
            lambda place: os.truncate(place / MODEL, 1000),
        ),
        Change(
            "a model renamed",
            "checkpoints/other.safetensors",
            lambda place: (place / MODEL).rename(place / renamed),
        ),
        Change(
            "a node file", f"{other_code}changed __init__.py", replace(NODES, "(str(count),)", "(str(-count),)")
        ),
        Change(
            "a file added to a pack",
            f"{other_code}new evil.py",
            lambda place: (place / NODES).with_name("evil.py").write_text(""),
        ),
        Change(
            "a pack removed",
            "pack 'small' is not in custom_nodes",
            lambda place: shutil.rmtree((place / NODES).parent),
        ),
        Change("a value of the workflow", other_flow, replace(FLOW, '"count": 1', '"count": 2')),
        Change("a node of the workflow", other_flow, replace(FLOW, '"PreviewAny"', '"SaveImage"')),
    ]


def changes_of_the_lock() -> list[Change]:
    """Hashes in the lock, and its form."""
    model = "model checkpoints/mine.safetensors"
    return [
        Change("the hash of a model in the lock", f"{model} has the SHA-256", corrupt("[models.", "sha256")),
        Change(
            "the size of a model in the lock",
            f"{model} has 29,171,946 bytes",
            replace(LOCK, "29171946", "29171947"),
        ),
        Change(
            "a model taken out of the lock",
            f"{model} is used and not in the lock",
            replace(LOCK, '."mine.safetensors"]', '."yours.safetensors"]'),
        ),
        Change(
            "the hash of a pack in the lock", "pack 'small' is other code", corrupt("[packs.small]", "content")
        ),
        Change(
            "the hash of a file of a pack in the lock",
            "pack 'small': its table of files in the lock",
            corrupt("[packs.small.files]", '"__init__.py"'),
        ),
        Change(
            "the hash of the workflow in the lock",
            f"workflow {FLOW} is not what the lock says",
            corrupt("[workflows.", "sha256"),
        ),
        Change(
            "the hash of a package in the lock", "package networkx", corrupt("[packages.networkx]", "installed")
        ),
        Change(
            "the hash of built-in nodes in the lock",
            "installed pack 'core'",
            corrupt("[installed_packs.core]", "code"),
        ),
        Change("the lock cut off in a line", "was cut off", lambda place: os.truncate(place / LOCK, 2000)),
        Change("the lock cut off between tables", "was cut off", replace(LOCK, "\n[end]\ncomplete = true\n", "")),
        Change(
            "a lock of a newer version", "is a lock of version 2", replace(LOCK, "version = 1\n", "version = 2\n")
        ),
    ]


def changes_around(base: Path) -> list[Change]:
    """A package, the device, and a setting."""
    fake = base / "fake" / "networkx-99.0.dist-info"
    fake.mkdir(parents=True)
    (fake / "METADATA").write_text("Metadata-Version: 2.1\nName: networkx\nVersion: 99.0\n")
    path = os.pathsep.join([str(fake.parent), str(ROOT), str(ROOT / "nodes")])
    deterministic = {"GRAPHENGINE_DETERMINISTIC": "1"}
    return [
        Change("the version of a package", "networkx is 99.0, locked is", nothing, environ={"PYTHONPATH": path}),
        Change("the device", "device is cuda, locked is cpu", nothing, options=("--device", "cuda")),
        Change("a setting", "deterministic is yes, locked is no", nothing, environ=deterministic),
    ]


def nothing(place: Path) -> None:
    """Change no file."""


def flip(name: str, *, times: bool = False) -> Callable[[Path], None]:
    """Change one byte in the middle of a file."""

    def change(place: Path) -> None:
        file = place / name
        before = file.stat()
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
        if times:
            os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    return change


def replace(name: str, old: str, new: str) -> Callable[[Path], None]:
    """Change a text that a file has."""

    def change(place: Path) -> None:
        text = (place / name).read_text()
        if old not in text:
            raise ValueError(f"{name} has no {old!r}")
        (place / name).write_text(text.replace(old, new, 1))

    return change


def corrupt(table: str, key: str) -> Callable[[Path], None]:
    """Change one hexadecimal digit of a hash behind a key of a table of the lock."""

    def change(place: Path) -> None:
        text = (place / LOCK).read_text()
        start = text.index(f"\n{key} = ", text.index(table))
        end = text.index('"\n', start) - 1
        other = "0" if text[end] != "0" else "1"
        (place / LOCK).write_text(text[:end] + other + text[end + 1 :])

    return change


def try_change(project: Path, copy: Path, change: Change) -> bool:
    """Whether both commands notice a change of a copy."""
    shutil.copytree(project, copy)
    change.make(copy)
    found = check(copy, change, expected=1)
    shutil.rmtree(copy)
    print(f"{'ok  ' if found else 'MISS'}  {change.what}: {change.told}")
    return found


def check(place: Path, change: Change, expected: int) -> bool:
    """Whether both commands end as expected and tell of the change."""
    for words in (("lock", "--check"), ("run", FLOW, "--locked", "--quiet")):
        done = call(place, *words, *change.options, environ=change.environ)
        if done.returncode != expected or change.told not in done.stderr:
            print(f"      {' '.join(words)} ended with {done.returncode}:\n{done.stderr}")
            return False
    return True


def seconds(place: Path, words: tuple[str, ...]) -> float:
    """The least CPU time (s) of three calls."""
    times = []
    for _ in range(3):
        before = os.times()
        ask(place, *words)
        after = os.times()
        times.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return min(times)


def ask(place: Path, *words: str) -> None:
    """Run a command that must work."""
    done = call(place, *words)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr}")


def call(place: Path, *words: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command in a project."""
    ours = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'nodes'}", "GRAPHENGINE_CACHE": str(place.parent / "cache")}
    command = [sys.executable, "-m", "graphengine.cli", *words]
    environment = {**os.environ, **ours, **(environ or {})}
    if "--device" not in words and words[0] != "nodes":
        command += ["--device", "cpu"]
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    main()
