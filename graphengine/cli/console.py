"""Text to the terminal: results on stdout, errors and hints on stderr.

Names and messages may come from a stranger's file, so control characters, which could move the cursor or retitle
the window, are shown and not sent.
"""

import json
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, TextIO

from graphengine.errors import GraphEngineError, Problem, ValidationFailed

#: Control characters but newline and tab, and those that reverse the direction of text.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """The text with control characters written out, `\\x1b` for instance."""
    return _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def say(text: str) -> None:
    """Write a result line to stdout."""
    _write(sys.stdout, text)


# Any: whatever `json` can write.
def say_json(value: Any) -> None:
    """Write a result to stdout as one JSON document, in ASCII: it stays JSON whatever the terminal can write."""
    _write(sys.stdout, json.dumps(value, indent=2))


def complain(text: str) -> None:
    """Write an error, a hint or progress to stderr; a stderr that is closed or full is no reason to stop."""
    with suppress(OSError):
        _write(sys.stderr, text)


def _write(stream: TextIO, text: str) -> None:
    encoding = stream.encoding or "utf-8"
    stream.write(printable(text).encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()


def report(error: GraphEngineError) -> None:
    """Write what went wrong and what to do about it to stderr."""
    if isinstance(error, ValidationFailed):
        for line in problem_lines(error.problems):
            complain(line)
    complain(f"error: {error.message}")
    if error.hint:
        complain(f"  hint: {error.hint}")


def problem_lines(problems: Iterable[Problem]) -> Iterable[str]:
    """Each problem with its code and, on a line of its own, its hint; errors first."""
    for problem in sorted(problems, key=lambda problem: problem.severity != "error"):
        yield f"{problem.severity}: {problem} [{problem.code}]"
        if problem.hint:
            yield f"  hint: {problem.hint}"


def plural(count: int, noun: str) -> str:
    """`1 node`, `2 nodes`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def table(rows: Iterable[tuple[str, ...]], *, right: Iterable[int] = ()) -> list[str]:
    """Rows as lines of aligned columns, two spaces apart; columns in `right` are aligned to the right."""
    cells = [tuple(printable(cell) for cell in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    to_right = frozenset(right)
    return [
        "  ".join(
            cell.rjust(width) if index in to_right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
