"""`graphengine verify`: a line for each run, the sum, reports and exit codes."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine
from tests.cli.test_replay import SAVED


@pytest.fixture
def runs(graphengine: CommandLine, place: Path) -> Path:
    """A folder with two recorded runs, of which each saved a file or showed a text."""
    (place / "flow.json").write_text(json.dumps(SAVED))
    shown = {**SAVED, "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}}}
    (place / "shown.json").write_text(json.dumps(shown))
    for file in ("flow.json", "shown.json"):
        assert graphengine("run", file, "--quiet").code == 0
    return place


def test_all_runs_are_replayed_with_a_line_each(graphengine: CommandLine, runs: Path) -> None:
    done = graphengine("verify", "--device", "cpu")
    assert done.code == 0
    lines = done.out.splitlines()
    assert [line.split()[1] for line in lines[:2]] == ["flow.json:", "shown.json:"]
    assert lines[2] == "2 of 2 runs came out the same"


def test_one_that_differs_ends_with_one_and_is_in_the_report(graphengine: CommandLine, runs: Path) -> None:
    (runs / "output" / "saved.txt").write_text("hullo")
    done = graphengine("verify", "--device", "cpu", "--junit", "report.xml")
    assert done.code == 1
    assert "1 of 2 runs came out the same, 1 did not" in done.out
    assert 'failures="1"' in (runs / "report.xml").read_text()


def test_runs_that_cannot_be_replayed_count_when_asked(graphengine: CommandLine, runs: Path) -> None:
    for path in (runs / ".graphengine" / "documents").rglob("*.gz"):
        path.unlink()
    done = graphengine("verify", "--device", "cpu")
    assert done.code == 0
    assert "cannot be replayed: the history has no document" in done.out
    assert graphengine("verify", "--device", "cpu", "--strict").code == 1


def test_json_has_each_run_and_the_counts(graphengine: CommandLine, runs: Path) -> None:
    told = json.loads(graphengine("verify", "@1", "--json", "--device", "cpu").out)
    assert (told["same"], told["different"], told["not_replayable"], told["left"]) == (1, 0, 0, 0)
    assert told["runs"][0]["file"] == "shown.json"


def test_a_list_and_all_exclude_each_other(graphengine: CommandLine, runs: Path) -> None:
    assert graphengine("verify", "--all", "@1").code == 2
    (runs / "list.txt").write_text("@2\n")
    assert "1 of 1 run came out the same" in graphengine("verify", "--list", "list.txt", "--device", "cpu").out


def test_without_a_history_there_is_nothing_to_do(graphengine: CommandLine, place: Path) -> None:
    done = graphengine("verify", "--device", "cpu")
    assert (done.code, done.out) == (0, "the history has no runs to replay\n")
