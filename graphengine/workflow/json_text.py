"""JSON text whose lines are chosen by what stands on them, with numbers as they were written."""

from collections.abc import Iterator, Mapping
from json.encoder import encode_basestring as quoted
from typing import TypeAlias

from pydantic import JsonValue

from graphengine.workflow.json_input import WrittenFloat

#: Which values are written over several lines: None is one line, a mapping one line or more for each member, by
#: key ("*" for members of lists and for all other keys).
Shape: TypeAlias = "Mapping[str, Shape] | None"

#: Each member on a line of its own.
LINES: Shape = {}


def one_line(value: JsonValue) -> str:
    """A value on one line: `{"a": [1, 0.10]}`."""
    parts: list[str] = []
    stack: list[tuple[Iterator[tuple[str, JsonValue]], str]] = [(iter([("", value)]), "")]
    is_first = True
    while stack:
        members, closing = stack[-1]
        found = next(members, None)
        if found is None:
            parts.append(closing)
            stack.pop()
            is_first = False
            continue
        name, member = found
        parts.append(name if is_first else f", {name}")
        is_first = False
        match member:
            case dict():
                parts.append("{")
                stack.append((((f"{quoted(key)}: ", each) for key, each in member.items()), "}"))
                is_first = True
            case list():
                parts.append("[")
                stack.append(((("", each) for each in member), "]"))
                is_first = True
            case _:
                parts.append(_scalar(member))
    return "".join(parts)


def _scalar(value: JsonValue) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return quoted(value)
        case WrittenFloat():
            return value.text
        case _:
            return repr(value)


def shaped(value: JsonValue, shape: Shape) -> str:
    """A value as lines, indented by two blanks each level, with a newline at the end."""
    return "".join(_pieces(value, shape, "\n")) + "\n"


def _pieces(value: JsonValue, shape: Shape, newline: str) -> Iterator[str]:
    """The text in pieces; it goes as deep as the shape does, not the value."""
    if shape is None or not isinstance(value, dict | list) or not value:
        yield one_line(value)
        return
    is_object = isinstance(value, dict)
    members = value.items() if isinstance(value, dict) else ((None, each) for each in value)
    separator = "{" if is_object else "["
    inner = f"{newline}  "
    for key, member in members:
        yield f"{separator}{inner}"
        if key is not None:
            yield f"{quoted(key)}: "
        yield from _pieces(member, shape.get(key or "*", shape.get("*")), inner)
        separator = ","
    yield f"{newline}{'}' if is_object else ']'}"
