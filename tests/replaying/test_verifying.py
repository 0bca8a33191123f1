"""Replaying many runs: which, what they share, and how it is reported."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from graphengine.errors import FileRefused, SettingsError
from graphengine.replaying.verifying import Verified, chosen_runs, junit, verify
from tests.replaying.project import PAINTED, Dice, Nodes, Project

OTHER: Nodes = {**PAINTED, "4": ("Sum", {"a": ["3", 0], "b": 9})}


def verified(project: Project) -> list[Verified]:
    with project.replayer() as replayer:
        return list(verify(chosen_runs(project.history), project.history, replayer))


def test_each_run_comes_out_the_same_or_not_or_cannot_be_replayed(project: Project) -> None:
    project.run(PAINTED)
    project.run({"1": ("Dice", {}), "2": ("Paint", {"level": ["1", 0]})})
    project.run({"1": ("Login", {"value": 1, "api_key": "sesame"}), "2": ("Show", {"value": ["1", 0]})})
    found = verified(project)
    assert [each.fate for each in found] == ["same", "different", "not replayable"]
    assert found[0].told == "identical bytes"
    assert found[1].told.startswith("different, first at node 1 (Dice)")
    assert found[2].told.startswith("cannot be replayed: node 1 (Login): input 'api_key' holds a secret")


def test_a_model_that_is_gone_is_the_reason(project: Project) -> None:
    project.run(PAINTED)
    project.model.unlink()
    (only,) = verified(project)
    assert only.fate == "not replayable"
    assert "m.safetensors" in only.told


def test_what_runs_have_in_common_runs_once(project: Project) -> None:
    diced: Nodes = {"1": ("Dice", {}), "2": ("Sum", {"a": ["1", 0], "b": 0}), "3": ("Paint", {"level": ["2", 0]})}
    project.run(diced)
    project.run({**diced, "2": ("Sum", {"a": ["1", 0], "b": 1})})
    before = len(Dice.THROWN)
    verified(project)
    assert len(Dice.THROWN) == before + 1


def test_runs_are_chosen_by_id_by_list_and_by_time(project: Project, tmp_path: Path) -> None:
    first, second = project.run(PAINTED), project.run(OTHER)
    history = project.history
    assert chosen_runs(history) == [first, second]
    assert chosen_runs(history, ["@1"]) == [second]
    listed = tmp_path / "list.txt"
    listed.write_text(f"# released\n\n{second.id}  # the one\n{first.id}\n")
    assert chosen_runs(history, listed=listed) == [first, second]
    assert chosen_runs(history, since=second.id) == [second]
    assert chosen_runs(history, since="1h") == [first, second]
    assert chosen_runs(history, since="2999-01-01") == []
    listed.write_text("\n")
    assert chosen_runs(history, listed=listed) == []


@pytest.mark.parametrize("since", ["soon", "7y", "", "-1d"])
def test_a_moment_that_is_none_is_refused(project: Project, since: str) -> None:
    project.run(PAINTED)
    with pytest.raises(SettingsError, match="no date, no span and no run"):
        chosen_runs(project.history, since=since)


def test_a_list_that_cannot_be_read_is_refused(project: Project, tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="cannot read"):
        chosen_runs(project.history, listed=tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileRefused, match="is no text"):
        chosen_runs(project.history, listed=tmp_path / "binary")


def test_failed_runs_are_left_out_unless_they_are_named(project: Project) -> None:
    project.run(PAINTED)
    failed = {**PAINTED, "2": ("Number", {"value": "five"})}
    with pytest.raises(Exception, match=r".+"):
        project.run(failed)
    assert [run.status for run in chosen_runs(project.history)] == ["success"]


def test_a_junit_report_has_a_case_per_run(project: Project) -> None:
    project.run(PAINTED)
    project.run({"1": ("Dice", {}), "2": ("Paint", {"level": ["1", 0]})})
    suite = ElementTree.fromstring(junit(verified(project)))
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("2", "1", "0")
    (failure,) = suite.iter("failure")
    assert "first at node 1 (Dice)" in (failure.get("message") or "")


def test_a_junit_report_holds_no_character_that_xml_cannot(project: Project) -> None:
    run = project.run(PAINTED)
    suite = ElementTree.fromstring(junit([Verified(run, "different", "a\x00b\ud800c", 0.5)]))
    assert [failure.get("message") for failure in suite.iter("failure")] == ["a\ufffdb\ufffdc"]
