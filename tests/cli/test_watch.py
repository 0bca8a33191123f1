"""`graphengine watch`: the command line around the loop; the user presses Ctrl-C from within a workflow."""

import json
from pathlib import Path

from tests.cli.conftest import CommandLine

STEPS = {"class_type": "TrialSteps", "inputs": {"steps": 2, "interrupt_at": 2}}


def save(file: Path, **nodes: object) -> str:
    file.write_text(json.dumps(nodes))
    return str(file)


def test_it_runs_tells_and_ends_with_ctrl_c(graphengine: CommandLine, place: Path) -> None:
    file = save(place / "flow.json", **{"1": STEPS})
    done = graphengine("watch", file, "--device", "cpu")
    assert done.code == 0
    lines = done.err.splitlines()
    assert lines[0] == "watching flow.json; Ctrl-C ends it"
    assert lines[1].endswith(" flow.json: 1 to run, 0 cached")
    assert lines[2] == "  node 1 (TrialSteps) will run: no earlier run of this workflow is recorded"


def test_events_and_values_are_those_of_run(graphengine: CommandLine, place: Path) -> None:
    file = save(place / "flow.json", **{"1": STEPS})
    done = graphengine("watch", file, "--device", "cpu", "--set", "1.steps=3", "--events", "-")
    events = [json.loads(line) for line in done.out.splitlines()]
    assert events[0]["kind"] == "run_started"
    assert {event["total"] for event in events if event["kind"] == "node_progress"} == {3}


def test_a_command_for_afterwards_must_be_one(graphengine: CommandLine, place: Path) -> None:
    done = graphengine("watch", "flow.json", "--exec", "'")
    assert done.code == 2
    assert "close the quotes" in done.err
