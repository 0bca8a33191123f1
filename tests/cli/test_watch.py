"""`graphengine watch`: the command line around the loop; the user presses Ctrl-C from within a workflow."""

import json
import os
import pty
import sys
import termios
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest

from graphengine.cli.watch_keys import pressed_keys, windows_keys
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
    planned, *events = [json.loads(line) for line in done.out.splitlines()]
    why = "no earlier run of this workflow is recorded"
    assert planned == {
        "kind": "watch_planned", "file": str(place / "flow.json"), "changed": [f"node 1 (TrialSteps): {why}"],
        "nodes": [{"node_id": "1", "class_type": "TrialSteps", "fate": "runs", "why": why, "changed": True}],
    }  # fmt: skip
    assert events[0]["kind"] == "run_started"
    assert {event["total"] for event in events if event["kind"] == "node_progress"} == {3}


def test_a_command_for_afterwards_must_be_one(graphengine: CommandLine, place: Path) -> None:
    done = graphengine("watch", "flow.json", "--exec", "'")
    assert done.code == 2
    assert "close the quotes" in done.err


def test_keys_are_read_from_a_terminal_and_it_is_left_as_it_was() -> None:
    outside, inside = pty.openpty()
    with os.fdopen(outside, "wb", buffering=0) as user, os.fdopen(inside, "r") as terminal:
        before = termios.tcgetattr(terminal)
        with pressed_keys(terminal) as keys:
            assert keys.pressed() == ""
            user.write(b"xR")
            assert (keys.pressed(), keys.pressed()) == ("xr", "")
            user.write(b"\x1bOQ\x1b[A\x1b[1;5Cq\x1b_Gi=31;OK\x1b\\\x1b[?62;4ce")
            assert keys.pressed() == "qe"
        assert termios.tcgetattr(terminal) == before


def test_where_nobody_types_no_key_is_pressed() -> None:
    with pressed_keys(StringIO("q")) as keys:
        assert keys.pressed() == ""


def test_keys_of_a_windows_console_that_are_no_letters_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = [b"r", b"\xe0", b"q", b"\0", b"q", b"e"]  # r, an arrow, F10, e
    console = SimpleNamespace(kbhit=lambda: bool(typed), getch=lambda: typed.pop(0))
    monkeypatch.setitem(sys.modules, "msvcrt", console)
    assert windows_keys()() == b"re"
