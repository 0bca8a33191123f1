"""Progress of a run on stderr: bars on a terminal, a line per node elsewhere, or nothing."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TextIO

from graphengine.cli.console import complain, plural, printable
from graphengine.errors import node_label
from graphengine.execution.events import (
    Event,
    Listener,
    NodeBlocked,
    NodeFailed,
    NodeFinished,
    NodeProgress,
    NodeRetried,
    NodeStarted,
    RunFinished,
    RunStarted,
)

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_SHARES = (0.25, 0.5, 0.75)  # of a node's steps after which plain progress says so
_SLOW = 2.0  # seconds between two plain lines of a node, at least


class _Display(Protocol):
    def __call__(self, event: Event) -> None:
        """Show the event."""

    def close(self) -> None:
        """Leave the terminal as it was."""


@contextmanager
def show_progress(stream: TextIO) -> Iterator[Listener]:
    """A listener that shows a run on `stream`: live when that is a terminal."""
    display: _Display = LiveProgress(stream) if stream.isatty() else PlainProgress()
    try:
        yield display
    finally:
        display.close()


def describe(event: NodeStarted | NodeFinished) -> str:
    """The node as progress names it: `node 3 (KSampler) "Second pass"`; a title that says the same is left out."""
    label = node_label(event.node_id, event.class_type, event.origin)
    told = event.origin is not None or event.title in (None, "", event.class_type)
    return printable(label if told else f'{label} "{event.title}"')


def _remark(event: NodeBlocked | NodeRetried) -> str:
    label = node_label(event.node_id, event.class_type)
    if isinstance(event, NodeBlocked):
        return printable(f"{label}: not run: {event.message}")
    return printable(f"{label}: failed, is tried again: {event.message}")


def _outlook(event: RunStarted) -> str:
    cached = f", {len(event.cached)} from the cache" if event.cached else ""
    return f"{plural(len(event.execute), 'node')} to run{cached}"


@dataclass(slots=True)
class _Pace:
    """How a node that runs gets on: the shares of its steps that are still to be told, and when one was last."""

    label: str
    begun: float
    written: float
    shares: tuple[float, ...] = _SHARES


class PlainProgress:
    """One line for each node that has run, and up to three for one that takes long; cached nodes are counted."""

    def __init__(
        self, write: Callable[[str], None] = complain, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._write = write
        self._clock = clock
        self._running: dict[str, _Pace] = {}

    def __call__(self, event: Event) -> None:
        """Write what the event is worth."""
        match event:
            case RunStarted():
                self._write(_outlook(event))
            case NodeStarted():
                now = self._clock()
                self._running[event.node_id] = _Pace(describe(event), now, now)
            case NodeProgress():
                if event.node_id in self._running:
                    self._step(self._running[event.node_id], event.value, event.total)
            case NodeFinished():
                self._running.pop(event.node_id, None)
                self._write(f"{describe(event)}: {event.seconds:.2f} s")
            case NodeBlocked() | NodeRetried():
                self._write(_remark(event))
            case _:
                pass  # cached nodes are counted at the start; the error and the summary follow

    def close(self) -> None:
        """Nothing to put back."""

    def _step(self, pace: _Pace, value: int, total: int) -> None:
        now = self._clock()
        if not pace.shares or value < pace.shares[0] * total or value >= total or now - pace.written < _SLOW:
            return
        pace.shares = tuple(share for share in pace.shares if value < share * total)
        pace.written = now
        speed = value / (now - pace.begun)
        left = (total - value) / speed
        self._write(f"{pace.label}: step {value} of {total}, {_speed(speed)}, {left:.0f} s left")


def _speed(steps_per_second: float) -> str:
    if steps_per_second >= 1:
        return f"{steps_per_second:.1f} steps/s"
    return f"{1 / steps_per_second:.1f} s/step"


class LiveProgress:
    """A bar with speed and time left for the node that runs, a line above it for each that has."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._progress: Progress | None = None  # made when a node starts: a cached run needs no rich
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, event: Event) -> None:
        """Show the event."""
        match event:
            case RunStarted():
                complain(_outlook(event))
            case NodeStarted():
                self._start(event)
            case NodeProgress():
                if self._progress and event.node_id in self._tasks:
                    self._progress.update(self._tasks[event.node_id], completed=event.value, total=event.total)
            case NodeFinished():
                self._finish(event)
            case NodeBlocked() | NodeRetried():
                self._remark(event)
            case NodeFailed() | RunFinished():
                self.close()
            case _:
                pass  # cached nodes are counted at the start

    def close(self) -> None:
        """Take the bar away and show the cursor again."""
        if self._progress:
            self._progress.stop()
            self._progress = None
        self._tasks.clear()

    def _remark(self, event: NodeBlocked | NodeRetried) -> None:
        if self._progress:
            self._progress.console.print(_remark(event), markup=False, highlight=False)

    def _start(self, event: NodeStarted) -> None:
        if event.node_id in self._tasks:
            return  # it has waited for inputs it asked for
        if not self._progress:
            self._progress = _bars(self._stream)
            self._progress.start()
        label = describe(event)
        self._tasks[event.node_id] = self._progress.add_task(label, total=None)

    def _finish(self, event: NodeFinished) -> None:
        if self._progress and (task := self._tasks.pop(event.node_id, None)) is not None:
            self._progress.remove_task(task)
            label = describe(event)
            self._progress.console.print(f"{label}: {event.seconds:.2f} s", markup=False, highlight=False)


def _bars(stream: TextIO) -> "Progress":
    # rich costs 0.1 s, and only a terminal needs it
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class SpeedColumn(ProgressColumn):
        """Steps per second, or seconds per step."""

        def render(self, task: Task) -> Text:
            return Text(_speed(task.speed) if task.speed else "", style="progress.data.speed")

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        SpeedColumn(),
        TimeRemainingColumn(),
        console=Console(file=stream),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
