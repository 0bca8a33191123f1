"""Literal values: what a node accepts for an input, and in which form it gets it."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from pydantic import JsonValue

from graphengine.errors import FileRefused, nearest
from graphengine.node.definition import Files, InputSpec
from graphengine.node.folders import Folders
from graphengine.node.inputs import DYNAMIC_COMBO
from graphengine.node.types import OBJECT_TYPES, WIDGET_TYPES

#: A finding about one value: code, message and hint. The caller knows the node.
Finding = tuple[str, str, str | None]

#: Gives the known name that a mistyped one most likely means.
Suggest = Callable[[str, Iterable[str]], str | None]

_MANY = 20  # choices that fit into one message
_NO_LISTS = WIDGET_TYPES | OBJECT_TYPES | {DYNAMIC_COMBO}


def coerce(spec: InputSpec, value: JsonValue) -> JsonValue:
    """The value in the type its input declares: `"5"` → 5 for an INT, 3 → 3.0 for a FLOAT, as ComfyUI converts.

    Raises:
        ValueError, TypeError, OverflowError: the value cannot be read as that type.
    """
    convert = _CONVERSIONS.get(spec.type)
    return value if convert is None else convert(value)


def _integer(value: JsonValue) -> int:
    if type(value) is int:
        return value
    return int(value)  # type: ignore[arg-type]  # a wrong type raises TypeError, which the caller reports


def _number(value: JsonValue) -> float:
    number = value if type(value) is float else float(value)  # type: ignore[arg-type]  # likewise
    if not math.isfinite(number):
        raise ValueError("the number is not finite")
    return number


def _text(value: JsonValue) -> str:
    return value if type(value) is str else str(value)


_CONVERSIONS: Mapping[str, Callable[[JsonValue], JsonValue]] = {
    "INT": _integer,
    "FLOAT": _number,
    "STRING": _text,
    "BOOLEAN": bool,
}


def check_value(
    spec: InputSpec,
    value: JsonValue,
    folders: Folders,
    *,
    by_node: bool,
    suggest: Suggest | None = nearest,
) -> Finding | None:
    """What is wrong with a literal, or None. `by_node`: the node checks the value itself, only the type counts.

    `suggest` finds the choice that was most likely meant; None saves the time.
    """
    if type(value) is list:
        return _check_list(spec, value, folders, by_node=by_node)
    try:
        converted = coerce(spec, value)
    except (ValueError, TypeError, OverflowError):
        return "wrong_type", f"input {spec.name!r} takes {_article(spec.type)}, is {_quote(value)}", _example(spec)
    if by_node:
        return None
    if spec.choices is not None:
        return _check_choice(spec, converted, folders, suggest)
    if spec.type in ("INT", "FLOAT"):
        return _check_range(spec, converted)
    return None


def _check_list(
    spec: InputSpec, values: Sequence[JsonValue], folders: Folders, *, by_node: bool
) -> Finding | None:
    """What is wrong with a list that is no link: where no list can stand, it was meant to be one."""
    if spec.takes_many:
        found = (None if by_node else _check_choice(spec, value, folders, None) for value in values)
        return next((finding for finding in found if finding is not None), None)
    if spec.type not in _NO_LISTS:
        return None
    message = f"input {spec.name!r} takes {_article(spec.type)}, is the list {_quote(values)}, which is no link"
    return "bad_link", message, 'a link is written as [node id, output number], for example ["4", 0]'


def _check_range(spec: InputSpec, value: JsonValue) -> Finding | None:
    low, high = spec.options.get("min"), spec.options.get("max")
    if low is not None and value < low:
        return "too_small", f"input {spec.name!r} is {value}, smaller than its minimum {low}", _range(low, high)
    if high is not None and value > high:
        return "too_large", f"input {spec.name!r} is {value}, larger than its maximum {high}", _range(low, high)
    return None


def _check_choice(spec: InputSpec, value: JsonValue, folders: Folders, suggest: Suggest | None) -> Finding | None:
    if isinstance(spec.choices, Files):
        if value in spec.choices.also:
            return None
        return _check_file(spec, spec.choices.kind, value, folders, suggest)
    choices = spec.choices or ()
    if any(value == choice and isinstance(value, bool) == isinstance(choice, bool) for choice in choices):
        return None
    shown = ", ".join(_quote(choice) for choice in choices[:_MANY]) + (", …" if len(choices) > _MANY else "")
    near = suggest(str(value), [str(choice) for choice in choices]) if suggest else None
    hint = (
        f"did you mean {near!r}?" if near else f"choose one of {shown}" if choices else "it offers no choice here"
    )
    return "not_in_list", f"input {spec.name!r} has no choice {_quote(value)}", hint


def _check_file(
    spec: InputSpec, kind: str, value: JsonValue, folders: Folders, suggest: Suggest | None
) -> Finding | None:
    if not isinstance(value, str):
        return "wrong_type", f"input {spec.name!r} takes a file name, is {_quote(value)}", None
    try:
        found = folders.find(kind, value)
    except FileRefused as refused:
        return "file_refused", f"input {spec.name!r}: {refused.message}", refused.hint
    if found is None:
        code = "missing_file" if kind == "input" else "missing_model"
        hint = folders.hint(kind, value) if suggest else None
        return code, f"input {spec.name!r}: no file {value!r} in the {kind} folder", hint
    return None


def _article(type_: str) -> str:
    return {
        "INT": "a whole number",
        "FLOAT": "a finite number",
        "STRING": "a text",
        "BOOLEAN": "true or false",
        "COMBO": "one of its choices",
        DYNAMIC_COMBO: "one of its choices",
    }.get(type_, type_)


def _example(spec: InputSpec) -> str | None:
    return f"for example {spec.options['default']!r}" if "default" in spec.options else None


def _range(low: object, high: object) -> str:
    if low is None or high is None:
        return f"use at most {high}" if low is None else f"use at least {low}"
    return f"use a value from {low} to {high}"


def _quote(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
