"""`graphengine test --python … --torch …`: what it refuses, and how it ends. `uv` is a stand-in that fails."""

import json
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine

UV = f"#!{sys.executable}\nimport sys\nsys.exit('error: No interpreter found for Python ' + sys.argv[-2])\n"


@pytest.fixture
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only program on the path: an uv that finds no Python."""
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "uv").write_text(UV)
    (folder / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    return folder / "uv"


@pytest.fixture
def pack(place: Path) -> str:
    (place / "nodes_here.py").write_text("NODE_CLASS_MAPPINGS = {}\n")
    return "nodes_here.py"


def test_environments_that_cannot_be_made_are_lines_and_end_with_one(
    graphengine: CommandLine, pack: str, uv: Path
) -> None:
    done = graphengine("test", pack, "--python", "3.11,3.12")
    assert done.code == 1
    assert done.out.splitlines()[:3] == ["python  torch", "3.11    not made", "3.12    not made"]
    assert "  error: No interpreter found for Python 3.12" in done.out
    assert "python 3.11: its environment cannot be made" in done.err


@pytest.mark.parametrize(
    ("format", "start"), [("json", "{"), ("sarif", "{"), ("junit", "<?xml"), ("github", "::error")]
)
def test_every_report_holds_the_axis(
    graphengine: CommandLine, pack: str, uv: Path, format: str, start: str
) -> None:
    done = graphengine("test", pack, "--python", "3.12", "--torch", "2.9.1", "--format", format)
    assert done.code == 1
    assert done.out.startswith(start)
    assert "3.12" in done.out
    assert "2.9.1" in done.out
    if start == "{":
        assert json.loads(done.out)


def test_without_uv_it_is_said_how_to_get_it(graphengine: CommandLine, pack: str, uv: Path) -> None:
    uv.unlink()
    done = graphengine("test", pack, "--torch", "2.9.1")
    assert done.code == 1
    assert "there is no program 'uv'" in done.err
    assert "hint: pip install uv" in done.err


def test_a_name_that_is_no_version_is_wrong_usage(graphengine: CommandLine, pack: str, uv: Path) -> None:
    done = graphengine("test", pack, "--torch=-e .")
    assert done.code == 2
    assert "is no version of torch" in " ".join(done.err.replace("│", " ").split())


def test_checks_in_this_python_can_be_told_as_junit(graphengine: CommandLine, place: Path) -> None:
    (place / "wrong.py").write_text("raise ValueError('no key is set')\n")
    done = graphengine("test", "wrong.py", "--format", "junit")
    assert done.code == 1
    assert '<testsuite name="graphengine test" tests="1" failures="1"' in done.out
    assert "[imports_alone]" in done.out
