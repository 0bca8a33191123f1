"""The view of a watch on a terminal: what is told scrolls by, below it stand the nodes with their states.

Only a terminal needs rich, so this module is imported for one alone. The lower part is drawn anew when the board
changes, and four times a second while a run goes on, by a thread of its own.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from rich.bar import Bar
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from graphengine.cli.console import plural, printable
from graphengine.watch.board import Board, FlowView, NodeView, RunView, Sight, State, what_counts

_BEAT = 0.25  # seconds between two drawings while a run goes on
_IDLE = 5.0  # seconds after which a drawing that nothing asked for is made, for a window that changed its size
_RUNS = 4  # runs of the log
_LEAST = 3  # nodes that are shown however low the window is
_BAR = 16
_MARKS: Mapping[State, tuple[str, str, str]] = {  # a sign, one for terminals without Unicode, and a style
    "waiting": ("·", ".", "dim"),
    "running": ("▶", ">", "bold yellow"),
    "cached": ("=", "=", "green"),
    "done": ("✓", "+", "bold green"),
    "failed": ("✗", "x", "bold red"),
    "blocked": ("⊘", "-", "magenta"),
    "unneeded": (" ", " ", "dim"),
}
_STANDINGS = {
    "waiting": ("waiting for the next save", "yellow"),
    "planned": ("about to run", "yellow"),
    "running": ("running", "bold yellow"),
    "done": ("up to date", "bold green"),
    "failed": ("failed; waiting for the next save", "bold red"),
    "overtaken": ("stopped", "yellow"),
}

#: What to write so that a terminal shows a picture in this many columns and lines; None where it cannot.
Encode = Callable[[Path, int, int], str | None]


class TerminalView:
    """Draws a board on a terminal from `with` to its end. `keys` says which keys there are."""

    def __init__(
        self,
        board: Board,
        stream: TextIO,
        *,
        keys: str = "",
        encode: Encode | None = None,
        takes_stdout: bool = False,
    ) -> None:
        self._board, self._stream, self._keys, self._encode = board, stream, keys, encode
        self._takes_stdout = takes_stdout
        self._console = Console(file=stream, highlight=False)
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._over = False
        self._live: Live | None = None
        self._thread = threading.Thread(target=self._draw_on, name="watch view", daemon=True)

    def __enter__(self) -> "TerminalView":
        self._start()
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over = True
        self._wake.set()
        self._thread.join()
        self._stop()

    def tell(self, text: str) -> None:
        """Write a line above the nodes."""
        with self._lock, suppress(OSError):  # as `complain`: a terminal that is gone is no reason to stop
            self._console.print(Text(printable(text)), soft_wrap=True)
        self._wake.set()

    def show(self, path: Path) -> None:
        """Show a picture above the nodes, where the terminal can."""
        size = self._console.size
        code = self._encode(path, min(size.width, 64), min(size.height // 2, 16)) if self._encode else None
        if code is None:
            return
        with self.paused():
            self._stream.write(f"{code}\n")
            self._stream.flush()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The terminal as others know it, for a command that writes to it."""
        with self._lock:
            self._stop()
            try:
                yield
            finally:
                self._start()

    def _start(self) -> None:
        with self._lock:
            self._live = Live(
                console=self._console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=self._takes_stdout,
                vertical_overflow="crop",
                get_renderable=lambda: panel(
                    self._board.look(), self._console.size.height, self._board.clock(), self._keys,
                    has_signs=self._console.encoding.startswith("utf"),
                ),
            )  # fmt: skip
            self._live.start(refresh=True)

    def _stop(self) -> None:
        with self._lock:
            if self._live is not None:
                self._live.stop()
                self._live = None

    def _draw_on(self) -> None:
        drawn, when, is_running = -1, 0.0, False
        while not self._over:
            self._wake.wait(_BEAT)
            self._wake.clear()
            version, now = self._board.version, time.monotonic()
            if version == drawn and not is_running and now - when < _IDLE:
                continue
            drawn, when = version, now
            is_running = any(flow.standing == "running" for flow in self._board.look().flows)
            with self._lock, suppress(OSError):  # as above
                if self._live is not None:
                    self._live.refresh()


def panel(sight: Sight, height: int, now: float, keys: str = "", *, has_signs: bool = True) -> RenderableType:
    """The nodes of the file that is at work, the last runs, and a line for each other file.

    `height` are the lines of the window, `now` is the time on the board's clock.
    """
    shown = next((flow for flow in sight.flows if flow.file == sight.current), sight.flows[0])
    others = [flow for flow in sight.flows if flow is not shown]
    runs = shown.runs[:_RUNS]
    trouble = printable(shown.trouble).splitlines()[:4]
    room = height - 6 - len(others) - len(runs) - len(trouble)
    parts: list[RenderableType] = [Text()]
    parts += [_heading(flow) for flow in (*others, shown)]
    parts.append(_node_table(shown, max(room, _LEAST), now, has_signs=has_signs))
    parts += [Text(f"  {line}", "red", no_wrap=True, overflow="ellipsis") for line in trouble]
    parts += [_run_line(run) for run in runs]
    if keys:
        parts.append(Text(keys, "dim", no_wrap=True, overflow="ellipsis"))
    return Group(*parts)


def _heading(flow: FlowView) -> Text:
    words, style = _STANDINGS[flow.standing]
    counts = [node.state for node in flow.nodes.values()]
    text = Text.assemble((printable(flow.file.name), "bold"), "  ", (words, style), no_wrap=True)
    if flow.standing == "running":
        to_run = sum(state in ("done", "running", "waiting", "failed", "blocked") for state in counts)
        text.append(f"  {counts.count('done')} of {plural(to_run, 'node')}", "dim")
    elif counts:
        text.append(f"  {plural(len(counts), 'node')}", "dim")
    return text


def _node_table(flow: FlowView, room: int, now: float, *, has_signs: bool) -> RenderableType:
    nodes = list(flow.nodes.values())
    chosen, rest = what_counts(nodes, room if len(nodes) <= room else room - 1)
    table = Table.grid(padding=(0, 1))
    for justify in ("left", "right", "left", "left", "right"):
        table.add_column(justify=justify, no_wrap=True, overflow="ellipsis")
    table.columns[2].max_width = 40
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for node in chosen:
        table.add_row(*_row(node, now, has_signs=has_signs))
    if not rest:
        return table
    words = ", ".join(f"{count} {state}" for state, count in rest.items())
    return Group(table, Text(f"  and {plural(sum(rest.values()), 'more node')}: {words}", "dim"))


def _row(node: NodeView, now: float, *, has_signs: bool) -> list[RenderableType]:
    sign, plain, style = _MARKS[node.state]
    title = printable(node.title)
    doing: RenderableType = Text(node.state, style)
    seconds = f"{node.seconds:.2f} s" if node.seconds is not None else ""
    if node.state == "running":
        seconds = f"{max(0.0, now - node.begun):.1f} s"
        if node.total > 0:
            doing = _progress(node, has_signs=has_signs)
    why = node.why if node.state in ("waiting", "running", "done", "failed", "blocked") else ""
    return [
        Text(sign if has_signs else plain, style), Text(printable(node.node_id), "dim"), Text(title), doing,
        Text(seconds, "" if node.state in ("done", "running") else "dim"),
        Text(printable(why).partition("\n")[0], "red" if node.state == "failed" else "dim"),
    ]  # fmt: skip


def _progress(node: NodeView, *, has_signs: bool) -> RenderableType:
    steps = Text(f"{node.value}/{node.total}")
    if not has_signs:
        return steps
    bar = Table.grid(padding=(0, 1))
    bar.add_row(Bar(node.total, 0, node.value, width=_BAR, color="yellow", bgcolor="grey23"), steps)
    return bar


def _run_line(run: RunView) -> Text:
    at = time.strftime("%H:%M:%S", time.localtime(run.at))
    sign = {"done": ("", "green"), "failed": ("failed ", "red")}.get(run.outcome, ("stopped ", "yellow"))
    text = Text.assemble(("  " + at, "dim"), f"  {run.seconds:.2f} s  ", sign, no_wrap=True, overflow="ellipsis")
    text.append(f"{run.executed} run, {run.cached} from the cache", "dim")
    more = f" (+{len(run.changed) - 1})" if len(run.changed) > 1 else ""
    told = run.message or (run.changed[0] + more if run.changed else "")
    text.append(f"  {printable(told).partition(chr(10))[0]}" if told else "")
    return text
