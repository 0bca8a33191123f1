"""Progress, in plain lines and live."""

import io

import pytest

from graphengine.cli.progress import LiveProgress, PlainProgress, describe, show_progress
from graphengine.execution.events import (
    NodeBlocked,
    NodeCached,
    NodeFailed,
    NodeFinished,
    NodeProgress,
    NodeRetried,
    NodeStarted,
    RunFinished,
    RunStarted,
)
from graphengine.workflow.models import NodeId

SAMPLER = NodeId("3")
STARTED = NodeStarted(SAMPLER, "KSampler", "Second pass")
FINISHED = NodeFinished(SAMPLER, "KSampler", 12.345, "Second pass")


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    """A text that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _a_terminal_of_known_abilities(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")


def cursor_is_shown(text: str) -> bool:
    return text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


@pytest.fixture
def lines() -> list[str]:
    return []


def steps(lines: list[str], seconds_per_step: float, total: int) -> None:
    """Let plain progress see a node that takes `total` steps."""
    clock = Clock()
    progress = PlainProgress(lines.append, clock)
    progress(STARTED)
    for value in range(1, total + 1):
        clock.now += seconds_per_step
        progress(NodeProgress(SAMPLER, value, total))
    progress(FINISHED)


def test_the_start_says_what_will_run(lines: list[str]) -> None:
    PlainProgress(lines.append)(RunStarted((NodeId("1"), SAMPLER), (NodeId("2"),)))
    PlainProgress(lines.append)(RunStarted((SAMPLER,), ()))
    assert lines == ["2 nodes to run, 1 from the cache", "1 node to run"]


def test_a_quick_node_is_one_line(lines: list[str]) -> None:
    steps(lines, 0.01, total=20)
    assert lines == ['node 3 (KSampler) "Second pass": 12.35 s']


def test_a_slow_node_adds_a_line_for_each_quarter(lines: list[str]) -> None:
    steps(lines, 0.5, total=20)
    assert lines[:3] == [
        'node 3 (KSampler) "Second pass": step 5 of 20, 2.0 steps/s, 8 s left',
        'node 3 (KSampler) "Second pass": step 10 of 20, 2.0 steps/s, 5 s left',
        'node 3 (KSampler) "Second pass": step 15 of 20, 2.0 steps/s, 2 s left',
    ]
    assert len(lines) == 4


def test_slow_steps_are_told_in_seconds(lines: list[str]) -> None:
    steps(lines, 30, total=2)
    assert lines[0] == 'node 3 (KSampler) "Second pass": step 1 of 2, 30.0 s/step, 30 s left'


def test_ten_thousand_steps_are_four_lines(lines: list[str]) -> None:
    steps(lines, 1, total=10_000)
    assert len(lines) == 4


def test_progress_that_makes_no_sense_is_no_error(lines: list[str]) -> None:
    progress = PlainProgress(lines.append, Clock())
    progress(STARTED)
    for value, total in ((0, 0), (5, 0), (-1, 3), (7, 3)):
        progress(NodeProgress(SAMPLER, value, total))
    assert lines == []


def test_cached_nodes_failures_and_the_end_have_no_line(lines: list[str]) -> None:
    progress = PlainProgress(lines.append)
    progress(NodeCached(SAMPLER, "KSampler"))
    progress(NodeFailed(SAMPLER, "KSampler", "it broke"))
    progress(RunFinished("error", 1.0, 0, 1))
    assert lines == []


@pytest.mark.parametrize(
    ("title", "text"),
    [
        (None, "node 3 (KSampler)"),
        ("KSampler", "node 3 (KSampler)"),
        ("Pass 2", 'node 3 (KSampler) "Pass 2"'),
        ("a\x1b[31mb", 'node 3 (KSampler) "a\\x1b[31mb"'),
    ],
)
def test_a_node_is_described_by_id_type_and_title(title: str | None, text: str) -> None:
    assert describe(NodeStarted(SAMPLER, "KSampler", title)) == text


def test_a_node_inside_a_subgraph_is_named_as_the_user_sees_it() -> None:
    inside = NodeStarted(NodeId("12:3"), "KSampler", "KSampler", "node 3 'KSampler' inside subgraph 'Refine'")
    assert describe(inside) == "node 3 'KSampler' inside subgraph 'Refine' (12:3)"


def test_a_terminal_shows_a_bar_and_then_a_line() -> None:
    terminal = Terminal()
    with show_progress(terminal) as progress:
        assert isinstance(progress, LiveProgress)
        progress(STARTED)
        progress(NodeProgress(SAMPLER, 5, 20))
        progress(FINISHED)
        progress(RunFinished("success", 12.3, 1, 0))
    text = terminal.getvalue()
    assert "━" in text
    assert 'node 3 (KSampler) "Second pass": 12.35 s\n' in text
    assert cursor_is_shown(text)


def test_the_bar_tells_steps_and_treats_titles_as_text() -> None:
    terminal = Terminal()
    with show_progress(terminal) as progress:
        progress(NodeStarted(SAMPLER, "KSampler", "[red]x[/red]"))
        progress(NodeProgress(SAMPLER, 5, 20))
        assert isinstance(progress, LiveProgress)
    assert "[red]x[/red]" in terminal.getvalue()
    assert "5/20" in terminal.getvalue()


def test_the_cursor_comes_back_after_an_exception() -> None:
    terminal = Terminal()

    def interrupted() -> None:
        with show_progress(terminal) as progress:
            progress(STARTED)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert cursor_is_shown(terminal.getvalue())


def test_a_run_from_the_cache_shows_nothing_on_a_terminal() -> None:
    terminal = Terminal()
    with show_progress(terminal) as progress:
        progress(NodeCached(SAMPLER, "KSampler"))
        progress(RunFinished("success", 0.1, 0, 1))
    assert terminal.getvalue() == ""


def test_a_pipe_gets_plain_lines() -> None:
    with show_progress(io.StringIO()) as progress:
        assert isinstance(progress, PlainProgress)


def test_a_node_that_is_blocked_or_tried_again_has_a_line(lines: list[str]) -> None:
    progress = PlainProgress(lines.append, Clock())
    progress(NodeBlocked(SAMPLER, "KSampler", "not today"))
    progress(NodeRetried(SAMPLER, "KSampler", 1, "ValueError: odd"))
    assert lines == [
        "node 3 (KSampler): not run: not today",
        "node 3 (KSampler): failed, is tried again: ValueError: odd",
    ]


def test_nodes_side_by_side_keep_their_own_pace(lines: list[str]) -> None:
    clock = Clock()
    progress = PlainProgress(lines.append, clock)
    progress(STARTED)
    progress(NodeStarted(NodeId("4"), "VAEDecode"))
    clock.now = 10.0
    progress(NodeProgress(SAMPLER, 5, 10))
    assert lines == ['node 3 (KSampler) "Second pass": step 5 of 10, 2.0 s/step, 10 s left']
