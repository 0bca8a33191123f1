"""A command line that knows the core nodes and the trial nodes, in a folder of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from graphengine.cli import main
from graphengine.packs.discover import custom_packs
from graphengine.packs.project import TrustPolicy, read_project
from graphengine.packs.trust import Trust, trust_packs

ASSETS = Path(__file__).parent.parent / "functional" / "assets"


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that has ended."""

    code: int
    out: str
    err: str


CommandLine = Callable[..., Finished]


def trust_packs_in(folder: Path) -> None:
    """List all packs of a folder in the project beside it."""
    trust_packs(read_project(folder.parent), Trust(TrustPolicy()), custom_packs([folder]))


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The distribution as an installation announces it, so that a bare checkout has node packs too."""
    info = tmp_path / "site" / "graphengine_comfy-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: graphengine-comfy\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[graphengine.nodes]\ncore = graphengine_nodes.core\n")
    monkeypatch.syspath_prepend(tmp_path / "site")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder; the cache lies beside it, and the trial nodes are in it."""
    folder = tmp_path / "place"
    folder.mkdir()
    (folder / "custom_nodes").symlink_to(ASSETS / "custom_nodes", target_is_directory=True)
    trust_packs_in(folder / "custom_nodes")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GRAPHENGINE_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def graphengine(place: Path, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """Runs a command line in this process."""

    def run(*argv: str) -> Finished:
        capsys.readouterr()
        # looking for the best device imports torch, which takes seconds
        code = main((*argv, "--device", "cpu") if "run" in argv[:1] else argv)
        return Finished(code, *capsys.readouterr())

    return run
