"""A new pack is what its author asked for, and keeps what it promises."""

import tomllib
from pathlib import Path

import pytest
import yaml

from graphengine.errors import GraphEngineError
from graphengine.testing.contract import contract_of
from graphengine.testing.scaffold import Style, write_pack

FILES = {
    "__init__.py",
    "nodes.py",
    "pyproject.toml",
    "README.md",
    ".gitignore",
    "tests/test_nodes.py",
    ".github/workflows/test.yml",
}


@pytest.mark.parametrize("style", ["v1", "typed"])
def test_nothing_is_found_in_a_new_pack(tmp_path: Path, style: Style) -> None:
    pack = tmp_path / "my-nodes"
    written = write_pack(pack, style)
    assert {file.relative_to(pack).as_posix() for file in written} == FILES
    contract = contract_of(tmp_path / "place", pack)
    with contract.engine:
        reports = list(contract.check_all())
    assert [(report.class_type, report.findings) for report in reports] == [
        ("MyNodesGain", ()),
        ("MyNodesRepeatText", ()),
    ]
    assert all(report.calls > 4 for report in reports)


def test_the_files_around_the_nodes_can_be_read(tmp_path: Path) -> None:
    pack = tmp_path / "Color_Tools"
    write_pack(pack, "v1")
    project = tomllib.loads((pack / "pyproject.toml").read_text())
    assert project["project"]["name"] == "color-tools"
    assert project["tool"]["comfy"]["DisplayName"] == "Color Tools"
    workflow = yaml.safe_load((pack / ".github" / "workflows" / "test.yml").read_text())
    steps = workflow["jobs"]["test"]["steps"]
    assert steps[1]["with"]["python-version"] == "${{ matrix.python }}"


@pytest.mark.parametrize("name", ["1st", "a b", "ä", "x" * 65, ".hidden"])
def test_names_that_no_pack_can_have_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(GraphEngineError, match="is no name for a pack"):
        write_pack(tmp_path / name, "v1")
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(GraphEngineError, match="there is something"):
        write_pack(tmp_path / "mine", "v1")
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["notes.txt"]
