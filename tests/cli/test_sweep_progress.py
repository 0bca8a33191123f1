"""What a sweep writes to stderr while it runs."""

import io
from typing import Any, cast

import pytest

from graphengine.cli.sweep_manifest import Cell
from graphengine.cli.sweep_progress import FailuresOnly, LiveSweep, PlainSweep, show_sweep
from graphengine.execution.events import NodeFinished, NodeProgress, NodeRetried, NodeStarted
from graphengine.workflow.models import NodeId

SAMPLER = NodeId("3")


def cell(**changes: Any) -> Cell:
    done = {
        "values": {},
        "status": "success",
        "files": [],
        "texts": [],
        "seconds": 1.25,
        "executed": 3,
        "cached": 5,
    }
    return cast(Cell, {**done, **changes})


FAILED = cell(
    status="error", error={"message": "node 3 (KSampler): out of\x1b paint", "hint": None, "problems": []}
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_per_run_without_a_terminal() -> None:
    lines: list[str] = []
    progress = PlainSweep(24, lines.append)
    progress.begin(1, "seed=1")
    progress(NodeStarted(SAMPLER, "KSampler"))
    progress(NodeProgress(SAMPLER, 1, 20))
    progress(NodeRetried(SAMPLER, "KSampler", 1, "out of memory"))
    progress(NodeFinished(SAMPLER, "KSampler", 1.0))
    progress.end(1, "seed=1", cell())
    progress.end(2, "seed=2", FAILED)
    assert lines == [
        "node 3 (KSampler): failed, is tried again: out of memory",
        "run 1 of 24, seed=1: 1.25 s, 3 nodes run, 5 from the cache",
        "run 2 of 24, seed=2: failed: node 3 (KSampler): out of\\x1b paint",
    ]


def test_failures_alone_when_quiet() -> None:
    lines: list[str] = []
    progress = FailuresOnly(2, lines.append)
    progress.end(1, "seed=1", cell())
    progress.end(2, "seed=2", FAILED)
    assert lines == ["run 2 of 2, seed=2: failed: node 3 (KSampler): out of\\x1b paint"]


def test_bars_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    stream = Terminal()
    with show_sweep(stream, 3, quiet=False) as progress:
        assert isinstance(progress, LiveSweep)
        progress.begin(1, "seed=1")
        progress(NodeStarted(SAMPLER, "KSampler"))
        progress(NodeProgress(SAMPLER, 7, 20))
        progress(NodeFinished(SAMPLER, "KSampler", 1.0))
        progress.end(1, "seed=1", cell())
        progress.begin(2, "seed=2")
        progress.end(2, "seed=2", FAILED)
    shown = stream.getvalue()
    assert "seed=2" in shown
    assert "2/3" in shown
    assert "run 2 of 3, seed=2: failed: node 3 (KSampler): out of\\x1b paint" in shown
    assert shown.endswith("\x1b[2K")  # the bars are gone
