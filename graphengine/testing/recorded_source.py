"""The text of the test that a recording comes with: readable, formatted, and complete in one function."""

import ast
import keyword
import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

_LONG = 100  # characters of a text on one line
_CHUNK = 70
_WIDTH = 88
_LONGEST = 2000
_INDENT = " " * 4


@dataclass(frozen=True, slots=True)
class Argument:
    """An input in the call: its name, the Python expression of its value, and a comment or none."""

    name: str
    expression: str
    comment: str = ""


@dataclass(frozen=True, slots=True)
class TestText:
    """What the test says.

    `about` is the first line of its docstring, `name` that of the recording, `checks` the lines after the call.
    `needs_recording`: it reads values or files of the recording.
    """

    __test__ = False  # pytest takes classes of this name for tests

    about: str
    name: str
    class_type: str
    arguments: Sequence[Argument]
    checks: Sequence[str]
    needs_recording: bool

    def __str__(self) -> str:
        body = list(self._body())
        used = _used(body)
        fixtures = ", ".join(name for name in ("graphengine", "run_node", "golden") if name in used)
        lines = [
            f'"""{_in_docstring(self.about)}',
            "",
            "Its values lie beside this file. If a new output is right: pytest --update-golden",
            '"""',
            "",
            *_imports(used),
            f"def test_{self.name}_gives_what_was_recorded({fixtures}):",
            *(f"{_INDENT}{line}" if line else "" for line in body),
        ]
        return "\n".join(lines) + "\n"

    def _body(self) -> Iterable[str]:
        if self.needs_recording:
            reads = any("recording." in argument.expression for argument in self.arguments)
            yield f"{'recording = ' if reads else ''}Recording.beside(__file__, {literal(self.name)}, graphengine)"
        plain = [argument for argument in self.arguments if _is_name(argument.name)]
        others = [argument for argument in self.arguments if not _is_name(argument.name)]
        if self.arguments:
            yield "outputs = run_node("
            yield f"{_INDENT}{literal(self.class_type)},"
            for argument in plain:
                yield from _indented(_line(f"{argument.name}=", argument))
            if others:
                yield f"{_INDENT}**{{"
                for argument in others:
                    yield from _indented(_indented(_line(f"{literal(argument.name)}: ", argument, 3)))
                yield f"{_INDENT}}},"
            yield ")"
        else:
            yield f"outputs = run_node({literal(self.class_type)})"
        yield from self.checks


def literal(value: str | float | bool | None) -> str:
    """The value as Python writes it, texts in double quotes where they hold none.

    A number must be finite.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} has no literal")
    if not isinstance(value, str):
        return repr(value)
    quote = "'" if value.count('"') > value.count("'") else '"'  # as ruff and black choose
    return quote + "".join(_escaped(letter, quote) for letter in value) + quote


def _escaped(letter: str, quote: str) -> str:
    if letter in (quote, "\\"):
        return f"\\{letter}"
    return letter if letter.isprintable() else letter.encode("unicode_escape", "surrogatepass").decode()


def is_literal(value: object) -> bool:
    """Whether a value is written into the test itself."""
    if isinstance(value, str):
        return len(value) <= _LONGEST
    if type(value) is float:
        return math.isfinite(value)
    return value is None or type(value) in (bool, int)


def text_lines(value: str) -> list[str]:
    """A text as one literal, or as several in brackets when it is long."""
    if len(value) <= _LONG:
        return [literal(value)]
    chunks: list[str] = []
    rest = value
    while rest:
        cut = rest.rfind(" ", 0, _CHUNK) + 1 or _CHUNK
        chunks.append(rest[:cut])
        rest = rest[cut:]
    return ["(", *(f"{_INDENT}{literal(chunk)}" for chunk in chunks), ")"]


def _line(start: str, argument: Argument, level: int = 2) -> Iterable[str]:
    """The lines of an argument; its comment stands above it where it does not fit behind."""
    first, *rest = argument.expression.split("\n")
    lines = [start + first, *rest]
    lines[-1] += ","
    comment = f"# {argument.comment}"
    if argument.comment and level * len(_INDENT) + len(lines[-1]) + len(comment) + 2 <= _WIDTH:
        lines[-1] += f"  {comment}"
    elif argument.comment:
        lines.insert(0, comment[: _WIDTH - level * len(_INDENT)])
    return lines


def _indented(lines: Iterable[str]) -> Iterable[str]:
    return (f"{_INDENT}{line}" for line in lines)


def _imports(used: Collection[str]) -> Iterable[str]:
    lines = []
    if "Many" in used:
        lines.append("from graphengine.testing.calling import Many")
    ours = [name for name in ("NOT_EVALUATED", "Recording", "comparable", "shown") if name in used]
    if ours:
        lines.append(f"from graphengine.testing.recorded import {', '.join(ours)}")
    return [*lines, "", ""] if lines else [""]


def _used(body: Sequence[str]) -> set[str]:
    """The names that the code reads."""
    return {node.id for node in ast.walk(ast.parse("\n".join(body))) if isinstance(node, ast.Name)}


def _is_name(name: str) -> bool:
    return name.isidentifier() and name.isascii() and not keyword.iskeyword(name)


def _in_docstring(text: str) -> str:
    """A text as it may stand between three quotes."""
    clean = "".join(letter if letter.isprintable() else " " for letter in text)
    return clean.replace("\\", "/").replace('"', "'")
