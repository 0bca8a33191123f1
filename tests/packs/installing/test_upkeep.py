"""Looking after packs: what they are, newer versions, removing, disabling, choosing between two."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from graphengine.cli import main
from graphengine.errors import InstallRefused
from graphengine.packs.discover import Pack, custom_packs
from graphengine.packs.installing.install import PackInstaller
from graphengine.packs.installing.sources import parse_source
from graphengine.packs.installing.upkeep import (
    find_pack,
    list_packs,
    newer_commit,
    recorded_source,
    remove_pack,
    set_enabled,
)
from graphengine.packs.installing.usage import used_by, workflow_types
from graphengine.packs.project import PackOptions, Project
from tests.packs.installing.test_sources import git
from tests.packs.installing.wheels import make_pack


@pytest.fixture
def installed(tmp_path: Path, installer: Callable[..., PackInstaller]) -> Path:
    """A repository whose newest commit is installed as pack ComfyUI-Foo."""
    folder = make_pack(tmp_path / "src" / "ComfyUI-Foo", nodes=["Foo"])
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "one")
    installer().install(parse_source(f"file://{folder}"))
    return folder


def test_an_installed_pack_tells_where_it_is_from_and_whether_it_was_edited(
    installed: Path, custom_nodes: Path
) -> None:
    state = find_pack(custom_nodes, "ComfyUI-Foo")
    assert state.record is not None
    assert state.record.commit == git(installed, "rev-parse", "HEAD")
    assert (state.contents.nodes, state.edited) == (("Foo",), False)
    (state.path / "__init__.py").write_text("changed")
    assert find_pack(custom_nodes, "ComfyUI-Foo").edited


def test_a_newer_commit_is_found_and_installed(
    installed: Path, custom_nodes: Path, installer: Callable[..., PackInstaller]
) -> None:
    assert newer_commit(find_pack(custom_nodes, "ComfyUI-Foo")) is None
    (installed / "new.py").write_text("")
    git(installed, "add", ".")
    git(installed, "commit", "-qm", "two")
    state = find_pack(custom_nodes, "ComfyUI-Foo")
    assert newer_commit(state) == git(installed, "rev-parse", "HEAD")
    installer().install(recorded_source(state), replace=True)
    assert (custom_nodes / "ComfyUI-Foo" / "new.py").exists()
    assert newer_commit(find_pack(custom_nodes, "ComfyUI-Foo")) is None


def test_a_disabled_pack_is_listed_and_not_loaded(custom_nodes: Path) -> None:
    make_pack(custom_nodes / "P")
    assert set_enabled(custom_nodes, "P", enabled=False)
    assert custom_packs([custom_nodes]) == []
    assert [(state.name, state.enabled) for state in list_packs(custom_nodes)] == [("P", False)]
    assert set_enabled(custom_nodes, "P", enabled=True)
    assert not set_enabled(custom_nodes, "P", enabled=True)


def test_a_removed_pack_leaves_no_record(installed: Path, custom_nodes: Path) -> None:
    remove_pack(custom_nodes, "ComfyUI-Foo")
    assert list_packs(custom_nodes) == []
    assert [path.name for path in (custom_nodes / ".graphengine").iterdir()] == ["lock"]


def test_a_mistyped_name_gets_the_nearest(custom_nodes: Path) -> None:
    make_pack(custom_nodes / "ComfyUI-Foo")
    with pytest.raises(InstallRefused) as raised:
        find_pack(custom_nodes, "ComfyUI-Fo")
    assert raised.value.hint == "did you mean 'ComfyUI-Foo'?"


def test_workflows_of_both_formats_tell_which_packs_they_use(tmp_path: Path) -> None:
    (tmp_path / "api.json").write_text(json.dumps({"1": {"class_type": "Foo", "inputs": {}}}))
    inner = {"definitions": {"subgraphs": [{"nodes": [{"type": "Foo"}]}]}}
    (tmp_path / "ui.json").write_text(json.dumps({"nodes": [{"type": "Other"}], **inner}))
    (tmp_path / "no.json").write_text("[1, 2")
    workflows = workflow_types(tmp_path)
    assert used_by(["Foo"], workflows) == {"api.json": ("Foo",), "ui.json": ("Foo",)}


def test_the_project_chooses_between_two_packs() -> None:
    packs = [Pack("A", "a"), Pack("B", "b"), Pack("C", "c")]
    project = Project(packs={"C": PackOptions(first=True)})
    assert [pack.name for pack in project.ordered(packs)] == ["C", "A", "B"]


@pytest.mark.usefixtures("environment")
def test_the_command_line_installs_shows_and_removes(
    tmp_path: Path,
    python: Path,
    wheelhouse: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRAPHENGINE_CACHE", str(tmp_path / "cache"))
    pack = make_pack(tmp_path / "Foo", nodes=["Foo"], requirements="lines\n")
    bad = make_pack(tmp_path / "Bad", requirements="numpy<2\n")
    options = ["--python", str(python), "--no-index", "--find-links", str(wheelhouse), "--tool", "pip"]
    assert main(["nodes", "install", str(bad), str(pack), *options]) == 1
    told = capsys.readouterr()
    assert next(line.split() for line in told.out.splitlines() if "lines" in line) == ["added", "lines", "1.5"]
    assert "numpy 2.1.0 is installed and protected" in told.err
    assert "1 refused; nothing was changed for them" in told.err
    assert main(["nodes", "list", "--packs", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert (list(listed), listed["Foo"]["nodes"]) == (["Foo"], ["Foo"])
    assert main(["nodes", "show", "Foo"]) == 0
    assert "installed for it: lines 1.5" in capsys.readouterr().out
    assert main(["nodes", "remove", "Foo", "--yes"]) == 0
    assert list((tmp_path / "custom_nodes").glob("[!.]*")) == []
