"""The view of a watch on a terminal: what stands there, read from what was written."""

import re
import threading
import time
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from graphengine.cli.watch_view import TerminalView, panel
from graphengine.execution.events import NodeStarted, RunStarted
from graphengine.node.folders import Folders
from graphengine.watch.board import Board, FlowView, NodeView, PlanWords, RunView, Sight, State
from graphengine.workflow.models import NodeId

FILE = Path("/flows/flow.json")


def node(node_id: str, state: State, **more: object) -> NodeView:
    return replace(NodeView(node_id, f"Node {node_id}", "Add", state), **more)  # type: ignore[arg-type]  # any field


def flow(*nodes: NodeView, **more: object) -> FlowView:
    made = FlowView(FILE, "done", nodes={node.node_id: node for node in nodes})
    return replace(made, **more)  # type: ignore[arg-type]  # any field


def text_of(
    *flows: FlowView, height: int = 30, width: int = 80, now: float = 10.0, has_signs: bool = True
) -> list[str]:
    """The lines that stand on a terminal."""
    written = StringIO()
    sight = Sight(1, flows, (), flows[-1].file)
    Console(file=written, width=width).print(panel(sight, height, now, "q quit", has_signs=has_signs))
    return [line.rstrip() for line in written.getvalue().splitlines()]


def test_each_node_stands_there_with_its_state_and_time() -> None:
    lines = text_of(
        flow(
            node("1", "cached", seconds=1.5),
            node("2", "done", seconds=0.25, why="seed changed 1 → 2"),
            node("3", "running", begun=8.0, value=3, total=12),
            node("4", "waiting", why="cut off if node 3 gives the same"),
            standing="running",
        ),
        width=100,
    )
    assert lines == [
        "",
        "flow.json  running  1 of 3 nodes",
        "= 1 Node 1 cached                1.50 s",
        "✓ 2 Node 2 done                  0.25 s seed changed 1 → 2",
        "▶ 3 Node 3 ████             3/12  2.0 s",
        "· 4 Node 4 waiting                      cut off if node 3 gives the same",
        "q quit",
    ]


def test_what_failed_and_what_is_waited_for_is_told() -> None:
    failed = flow(
        node("1", "failed", why="ValueError: no\nmore"), standing="failed", trouble="ValueError: no\ndo this"
    )
    lines = text_of(failed)
    assert lines[1] == "flow.json  failed; waiting for the next save  1 node"
    assert lines[2].startswith("✗ 1 Node 1 failed")
    assert lines[2].endswith("ValueError: no")
    assert lines[3:5] == ["  ValueError: no", "  do this"]


def test_of_many_nodes_those_that_count_are_shown_and_the_rest_is_counted() -> None:
    nodes = [node(str(number), "cached") for number in range(150)]
    nodes += [node("a", "failed"), node("b", "running"), *(node(f"w{number}", "waiting") for number in range(48))]
    lines = text_of(flow(*nodes), height=12)
    assert len(lines) <= 12
    assert any(re.match(r"✗ +a Node a", line) for line in lines)
    assert any(re.match(r"▶ +b Node b", line) for line in lines)
    assert any(re.fullmatch(r"  and 195 more nodes: 150 cached, 45 waiting", line) for line in lines)


@pytest.mark.parametrize("height", [1, 5, 10, 24, 60])
def test_the_view_fits_into_the_window(height: int) -> None:
    runs = tuple(RunView(0.0, "done", 1.0, 2, 3) for _ in range(9))
    nodes = [node(str(number), "waiting") for number in range(200)]
    lines = text_of(flow(*nodes, runs=runs, trouble="a\nb\nc\nd\ne\nf"), height=height)
    assert len(lines) <= max(height, 16)


def test_the_last_runs_are_logged_with_what_changed() -> None:
    runs = (
        RunView(0.0, "done", 0.5, 2, 3, ("seed of node 1 changed 1 → 2", "b")),
        RunView(0.0, "failed", 0.25, 1, 0, ("a",), "ValueError: no"),
        RunView(0.0, "overtaken", 0.1, 0, 0),
    )
    at = time.strftime("%H:%M:%S", time.localtime(0.0))
    assert text_of(flow(runs=runs), width=100)[2:5] == [
        f"  {at}  0.50 s  2 run, 3 from the cache  seed of node 1 changed 1 → 2 (+1)",
        f"  {at}  0.25 s  failed 1 run, 0 from the cache  ValueError: no",
        f"  {at}  0.10 s  stopped 0 run, 0 from the cache",
    ]


def test_other_files_have_a_line_each() -> None:
    other = FlowView(Path("/flows/other.json"), "waiting", "is not there")
    assert text_of(other, flow(node("1", "done")))[1:3] == [
        "other.json  waiting for the next save", "flow.json  up to date  1 node",
    ]  # fmt: skip


def test_names_cannot_move_the_cursor_or_colour_the_text() -> None:
    lines = text_of(flow(node("1", "done", title="\x1b[2J[red]x[/red]", why="\x07")))
    assert "\\x1b[2J[red]x[/red]" in lines[2]
    assert "\\x07" in lines[2]


def test_a_terminal_without_unicode_has_plain_signs() -> None:
    lines = text_of(flow(node("1", "done"), node("2", "running", value=1, total=2)), has_signs=False)
    assert "\n".join(lines).isascii()
    assert lines[2].startswith("+ 1")
    assert "1/2" in lines[3]


class Screen(StringIO):
    """A terminal that remembers what was written, and tells when it was drawn."""

    encoding = "utf-8"

    def __init__(self) -> None:
        super().__init__()
        self.told = threading.Event()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if "is half written" in text:
            self.told.set()
        return super().write(text)


@pytest.fixture
def board(folders: Folders) -> Board:
    return Board([FILE], folders, lambda foresight: PlanWords({}, (), ()))


def shown(screen: Screen) -> str:
    return re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]", "", screen.getvalue())


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    return Screen()


def test_lines_are_told_above_and_the_cursor_is_shown_again_at_the_end(board: Board, screen: Screen) -> None:
    with TerminalView(board, screen, keys="q quit") as view:
        view.tell("a path " + "x" * 100)
    assert "a path " + "x" * 100 in shown(screen)  # not broken into two lines
    assert "q quit" in shown(screen)
    assert screen.getvalue().rindex("\x1b[?25h") > screen.getvalue().rindex("\x1b[?25l")


def test_a_change_of_the_board_is_drawn(board: Board, screen: Screen) -> None:
    with TerminalView(board, screen):
        board.waits(FILE, "is half written")
        assert screen.told.wait(20)


def test_a_picture_is_written_as_the_terminal_takes_it(board: Board, screen: Screen) -> None:
    asked: list[tuple[Path, int, int]] = []

    def encode(path: Path, columns: int, rows: int) -> str | None:
        asked.append((path, columns, rows))
        return "<PICTURE>" if path.suffix == ".png" else None

    with TerminalView(board, screen, encode=encode) as view:
        view.show(Path("a.png"))
        view.show(Path("a.txt"))
    assert asked == [(Path("a.png"), 64, 12), (Path("a.txt"), 64, 12)]
    assert screen.getvalue().count("<PICTURE>\n") == 1


def test_a_command_has_the_terminal_for_itself(board: Board, screen: Screen) -> None:
    with TerminalView(board, screen) as view:
        with view.paused():
            written = screen.getvalue()
            assert written.count("\x1b[?25h") == written.count("\x1b[?25l") == 1  # hidden, and shown again
        assert screen.getvalue().count("\x1b[?25l") == 2


def test_events_of_no_planned_file_are_nothing(board: Board) -> None:
    board.happened(RunStarted((), ()))
    board.happened(NodeStarted(NodeId("1"), "Add"))
    assert board.look().flows[0].nodes == {}
