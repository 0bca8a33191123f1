"""Progress of a sweep on stderr: bars for all runs and for the node at work on a terminal, else a line per run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

from graphengine.cli.console import complain, plural, printable
from graphengine.cli.progress import PlainProgress, describe
from graphengine.cli.sweep_manifest import Cell
from graphengine.execution.events import (
    Event,
    NodeBlocked,
    NodeFinished,
    NodeProgress,
    NodeRetried,
    NodeStarted,
)

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class SweepProgress(Protocol):
    """Shows how a sweep gets on. Runs are told by their number, from 1, and what their values are."""

    def __call__(self, event: Event) -> None:
        """Show an event of the run."""

    def begin(self, number: int, label: str) -> None:
        """Show that a run begins."""

    def end(self, number: int, label: str, cell: Cell) -> None:
        """Show what came of a run."""

    def close(self) -> None:
        """Leave the terminal as it was."""


@contextmanager
def show_sweep(stream: TextIO, count: int, *, quiet: bool) -> Iterator[SweepProgress]:
    """Progress of `count` runs on a stream: live when that is a terminal, nothing but failures when quiet."""
    display = _display(stream, count, quiet=quiet)
    try:
        yield display
    finally:
        display.close()


def _display(stream: TextIO, count: int, *, quiet: bool) -> SweepProgress:
    if quiet:
        return FailuresOnly(count)
    return LiveSweep(stream, count) if stream.isatty() else PlainSweep(count)


def failure_line(number: int, count: int, label: str, cell: Cell) -> str:
    """A run that failed, with the reason."""
    error = cell.get("error")
    return printable(f"run {number} of {count}, {label}: failed: {error['message'] if error else 'unknown'}")


class FailuresOnly:
    """One line for each run that failed."""

    def __init__(self, count: int, write: Callable[[str], None] = complain) -> None:
        self._count = count
        self._write = write

    def __call__(self, event: Event) -> None:
        """Show nothing."""

    def begin(self, number: int, label: str) -> None:
        """Show nothing."""

    def end(self, number: int, label: str, cell: Cell) -> None:
        """Write a line when the run failed."""
        if cell["status"] == "error":
            self._write(failure_line(number, self._count, label, cell))

    def close(self) -> None:
        """Nothing to put back."""


class PlainSweep(FailuresOnly):
    """One line for each run, and a few for a node that takes long."""

    def __init__(self, count: int, write: Callable[[str], None] = complain) -> None:
        super().__init__(count, write)
        self._nodes = PlainProgress(write)

    def __call__(self, event: Event) -> None:
        """Write how a node gets on that takes long, and what went wrong."""
        if isinstance(event, NodeStarted | NodeProgress | NodeBlocked | NodeRetried):
            self._nodes(event)

    def end(self, number: int, label: str, cell: Cell) -> None:
        """Write what came of the run."""
        if cell["status"] == "success":
            nodes = f"{plural(cell['executed'], 'node')} run, {cell['cached']} from the cache"
            self._write(printable(f"run {number} of {self._count}, {label}: {cell['seconds']:.2f} s, {nodes}"))
        else:
            super().end(number, label, cell)


class LiveSweep(FailuresOnly):
    """A bar for all runs and one for the node at work, with a line above them for each run that failed."""

    def __init__(self, stream: TextIO, count: int) -> None:
        super().__init__(count, self._print)
        self._progress = _bars(stream)
        self._all = self._progress.add_task("runs", total=count)
        self._node: TaskID | None = None
        self._progress.start()

    def __call__(self, event: Event) -> None:
        """Show the node at work."""
        match event:
            case NodeStarted():
                self._drop_node()
                self._node = self._progress.add_task(describe(event), total=None)
            case NodeProgress() if self._node is not None:
                self._progress.update(self._node, completed=event.value, total=event.total)
            case NodeFinished():
                self._drop_node()
            case _:
                pass  # cached nodes take no time; the run tells what failed

    def begin(self, number: int, label: str) -> None:
        """Show the run's values."""
        self._progress.update(self._all, description=printable(label))

    def end(self, number: int, label: str, cell: Cell) -> None:
        """Move the bar; a line tells of a run that failed."""
        self._drop_node()
        super().end(number, label, cell)
        self._progress.update(self._all, completed=number)

    def close(self) -> None:
        """Take the bars away and show the cursor again."""
        self._progress.stop()

    def _print(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _drop_node(self) -> None:
        if self._node is not None:
            self._progress.remove_task(self._node)
            self._node = None


def _bars(stream: TextIO) -> "Progress":
    # rich costs 0.1 s, and only a terminal needs it
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(file=stream),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
