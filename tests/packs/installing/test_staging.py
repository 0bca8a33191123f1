"""Whatever moment a change is stopped at, the next start finds what was there before."""

from pathlib import Path

import pytest

from graphengine.errors import InstallRefused
from graphengine.packs.installing.environment import Environment
from graphengine.packs.installing.ledger import Ledger
from graphengine.packs.installing.saving import restore_files, save_files
from graphengine.packs.installing.staging import Stage, open_stage, recover
from tests.packs.installing.wheels import digest_of_environment, make_pack


def stage_of(custom_nodes: Path) -> Stage:
    folder = custom_nodes / ".graphengine" / "stage-1"
    folder.mkdir(parents=True)
    return Stage(custom_nodes, folder)


def texts(custom_nodes: Path) -> dict[str, str]:
    return {path.name: (path / "__init__.py").read_text() for path in custom_nodes.glob("[!.]*")}


def test_a_new_pack_that_was_swapped_in_is_taken_out_again(custom_nodes: Path) -> None:
    stage = stage_of(custom_nodes)
    make_pack(stage.new)
    stage.swap_in("P")
    assert recover(custom_nodes) == 1
    assert texts(custom_nodes) == {}
    assert recover(custom_nodes) == 0


def test_an_old_pack_and_its_record_come_back(custom_nodes: Path) -> None:
    make_pack(custom_nodes / "P", nodes=["Old"])
    before = texts(custom_nodes)
    stage = stage_of(custom_nodes)
    Ledger(custom_nodes).restore("P", "the record before")
    make_pack(stage.new, nodes=["New"])
    stage.swap_in("P")
    Ledger(custom_nodes).restore("P", "another record")
    recover(custom_nodes)
    assert texts(custom_nodes) == before
    assert Ledger(custom_nodes).text("P") == "the record before"


def test_a_pack_comes_back_when_the_kill_falls_between_the_two_renames(custom_nodes: Path) -> None:
    make_pack(custom_nodes / "P", nodes=["Old"])
    before = texts(custom_nodes)
    stage = stage_of(custom_nodes)  # without a new folder the second rename fails
    with pytest.raises(FileNotFoundError):
        stage.swap_in("P")
    assert texts(custom_nodes) == {}
    recover(custom_nodes)
    assert texts(custom_nodes) == before


def test_a_removed_pack_comes_back(custom_nodes: Path) -> None:
    make_pack(custom_nodes / "P")
    before = texts(custom_nodes)
    stage_of(custom_nodes).take_out("P")
    recover(custom_nodes)
    assert texts(custom_nodes) == before


def test_an_interrupt_undoes_the_change_at_once(custom_nodes: Path) -> None:

    def interrupted() -> None:
        with open_stage(custom_nodes) as stage:
            make_pack(stage.new)
            stage.swap_in("P")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert texts(custom_nodes) == {}
    assert not list((custom_nodes / ".graphengine").glob("stage-*"))


def test_what_a_living_process_changes_is_left_alone(custom_nodes: Path) -> None:
    with open_stage(custom_nodes) as stage:
        assert recover(custom_nodes) == 0
        assert stage.folder.is_dir()


def test_a_damaged_journal_is_told_and_nothing_is_removed(custom_nodes: Path) -> None:
    stage = stage_of(custom_nodes)
    (stage.folder / "journal.json").write_text("{")
    with pytest.raises(InstallRefused, match="is damaged"):
        recover(custom_nodes)
    assert stage.folder.is_dir()


def test_files_of_an_environment_come_back_byte_for_byte(
    tmp_path: Path, environment: Environment, python: Path
) -> None:
    before = digest_of_environment(python)
    overlay = tmp_path / "overlay"
    for name in ("colours/__init__.py", "colours/new.py", "added/deep/x.py", "bin/tool"):
        (overlay / name).parent.mkdir(parents=True, exist_ok=True)
        (overlay / name).write_text("changed")
    saved = save_files(environment, [environment.installed["colours"]], overlay, tmp_path / "saved")
    library = environment.libraries[0]
    (library / "colours" / "__init__.py").write_text("changed")
    (library / "colours" / "new.py").write_text("new")
    (library / "added" / "deep").mkdir(parents=True)
    (library / "added" / "deep" / "x.py").write_text("new")
    (library / "~olours").mkdir()
    (library / "~olours" / "left.py").write_text("by pip")
    (environment.scripts / "tool").write_text("new")
    assert digest_of_environment(python) != before
    restore_files(saved)
    assert digest_of_environment(python) == before
    restore_files(saved)
    assert digest_of_environment(python) == before
