"""Text on the terminal."""

import io
import json
import sys

import pytest

from graphengine.cli.console import complain, plural, printable, problem_lines, say, say_json, table
from graphengine.errors import Problem


def test_control_characters_are_shown_and_not_sent() -> None:
    assert printable("a\x1b[2Jb\rc\x00\u202ed\x9be") == r"a\x1b[2Jb\rc\x00\u202ed\x9be"
    assert printable("tab\tand\nline, ü and 狐 stay") == "tab\tand\nline, ü and 狐 stay"


def test_what_the_terminal_cannot_write_is_spelled_out(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    say("狐 \udc80")
    assert stream.buffer.getvalue() == b"\\u72d0 \\udc80\n"


def test_json_stays_json_whatever_the_terminal_can_write(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    say_json({"text": "ü 狐 \x9b \x1b \u202e \udc80"})
    assert json.loads(stream.buffer.getvalue()) == {"text": "ü 狐 \x9b \x1b \u202e \udc80"}


def test_a_closed_stderr_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Closed())
    assert complain("nobody reads this") is None  # type: ignore[func-returns-value]  # it returns at all


def test_errors_come_before_warnings() -> None:
    warning = Problem("odd", "is odd", severity="warning")
    error = Problem("missing_input", "input 'x' is missing", node_id="3", class_type="Add", hint="connect it")
    assert list(problem_lines([warning, error])) == [
        "error: node 3 (Add): input 'x' is missing [missing_input]",
        "  hint: connect it",
        "warning: is odd [odd]",
    ]


def test_columns_are_aligned() -> None:
    rows = [("name", "size", ""), ("a", "7", "x"), ("bcdef", "1234", "")]
    assert table(rows, right=[1]) == ["name   size", "a         7  x", "bcdef  1234"]
    assert table([]) == []


def test_nouns_have_a_plural() -> None:
    assert [plural(count, "node") for count in (0, 1, 2)] == ["0 nodes", "1 node", "2 nodes"]
