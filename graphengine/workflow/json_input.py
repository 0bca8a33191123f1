"""JSON from strangers: bytes in, plain values out, with limits on size, nesting and numbers."""

import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import isfinite

from pydantic import JsonValue

from graphengine.errors import WorkflowFormatError

#: Largest JSON text that is read, in bytes.
MAX_BYTES = 32 * 1024**2
#: Most values (with keys and brackets) that are read: enough for some 40,000 nodes.
MAX_VALUES = 2_000_000
#: Deepest nesting of objects and arrays that is read.
MAX_DEPTH = 128


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a text is read: bytes, and values with keys and brackets."""

    bytes: int
    values: int


#: What commands read that rewrite, compare and merge files of the user: nothing is run, and git waits for them.
FOR_FILES = Limits(64 * 1024**2, 10_000_000)

#: Most repeated keys that are told of.
_TOLD = 20
_BOM = b"\xef\xbb\xbf"
_NO_BRACKET_OR_QUOTE = bytes(sorted(set(range(256)) - set(b'[]{}"')))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile("[\ud800-\udfff]")
# What a node's fingerprint came to when it last ran. ComfyUI saves it beside the inputs, often as NaN.
_FINGERPRINT = "is_changed"
_NUMBER_HINT = "JSON has no NaN or Infinity, and numbers end near 1.8e308; give a finite number"

Place = tuple[str | int, ...]


class WrittenFloat(float):
    """A number that keeps its own text, where that is not what Python would write: `1e3`, `0.10`, `-0`."""

    __slots__ = ("text",)

    def __new__(cls, text: str) -> "WrittenFloat":
        """The number of a text that JSON allows."""
        number = super().__new__(cls, text)
        number.text = text
        return number

    text: str


@dataclass(frozen=True, slots=True)
class ParsedJson:
    """A JSON text's value, and the places of the first keys that stood twice; the last one counts."""

    value: JsonValue
    repeated_keys: tuple[str, ...] = ()


def parse_json(data: bytes, *, as_written: bool = False, limits: Limits | None = None) -> ParsedJson:
    """The value of a JSON text in UTF-8, with or without a byte order mark.

    `as_written` keeps the text of numbers that Python would write in another way (`WrittenFloat`). Without
    `limits` those of documents that may run count, `MAX_BYTES` and `MAX_VALUES`.

    Raises:
        WorkflowFormatError: the text is too large or deep, empty, not UTF-8, not JSON, holds too many values, or a
            number or a character that JSON cannot express.
    """
    limits = limits or Limits(MAX_BYTES, MAX_VALUES)
    if len(data) > limits.bytes:
        raise too_large(len(data), limits.bytes)
    text = _decode(data.removeprefix(_BOM))
    if not text.strip():
        raise WorkflowFormatError("the file is empty", hint="save the workflow again")
    _check_size(data, limits.values)
    unusual = False
    repeated: list[tuple[dict[str, JsonValue], str]] = []

    def number(digits: str) -> float:
        nonlocal unusual
        value = float(digits)
        unusual = unusual or not isfinite(value)
        return WrittenFloat(digits) if as_written and repr(value) != digits else value

    def integer(digits: str) -> int | float:
        return WrittenFloat(digits) if digits == "-0" else int(digits)

    # Any JSON value; the decoder hands over what its own hooks made.
    def unique(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
        found = dict(pairs)
        if len(found) != len(pairs) and len(repeated) < _TOLD:
            repeated.extend((found, key) for key in dict.fromkeys(_repeated(pairs)))
        return found

    try:
        value: JsonValue = json.loads(
            text,
            parse_float=number,
            parse_int=integer if as_written else None,
            parse_constant=number,
            object_pairs_hook=unique,
        )
    except json.JSONDecodeError as error:
        raise WorkflowFormatError(
            f"not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}",
            hint="the file may be cut off or edited by hand; save the workflow again",
        ) from error
    except ValueError as error:
        raise _long_integer(text) from error
    if unusual or _ESCAPED_SURROGATE.search(data):
        _refuse_unusable(value)
    return ParsedJson(value, tuple(_places(value, repeated[:_TOLD])) if repeated else ())


def too_large(size: int | None = None, most: int | None = None) -> WorkflowFormatError:
    """The error for a text over the limit of `most` bytes (`MAX_BYTES`); `size` in bytes when it is known."""
    given = f"it has {size / 2**20:.0f} MiB, and " if size is not None else ""
    return WorkflowFormatError(
        f"the file is too large for a workflow: {given}at most {(most or MAX_BYTES) // 2**20} MiB are read",
        hint="give the saved workflow, not a model or a data set",
    )


def place_name(place: Sequence[str | int]) -> str:
    """How messages name a place in a document: `3.inputs.cfg`."""
    return ".".join(str(step) for step in place)


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
        raise WorkflowFormatError(
            "the file is UTF-16 text" if utf16 else f"the file is not UTF-8 text: byte {error.start} does not fit",
            hint="save it as UTF-8",
        ) from error


def _check_size(data: bytes, most: int) -> None:
    """Refuse more values or deeper nesting than the limits, before the decoder, which recurses, sees the text."""
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    values = data.count(b",") + data.count(b"[") + data.count(b"{") + data.count(b'"') // 2
    if values > most:
        raise WorkflowFormatError(
            f"the JSON holds more than {most:,} values", hint="give the saved workflow, not a data set"
        )
    outline = data.translate(None, _NO_BRACKET_OR_QUOTE).replace(b'""', b"")
    brackets = re.sub(rb'"[^"]*"?', b"", outline)
    depth = max(accumulate(map(_STEP.__getitem__, brackets)), default=0)
    if depth > MAX_DEPTH:
        raise WorkflowFormatError(
            f"the JSON is nested {depth} deep, at most {MAX_DEPTH} levels are read",
            hint="no editor saves such a workflow; save it again",
        )


def _repeated(pairs: list[tuple[str, JsonValue]]) -> Iterator[str]:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            yield key
        seen.add(key)


def _places(document: JsonValue, repeated: Sequence[tuple[dict[str, JsonValue], str]]) -> Iterator[str]:
    """The places of keys in objects; of an object that a later key has replaced only the name is told."""
    wanted = {id(holder): [key for other, key in repeated if other is holder] for holder, _ in repeated}
    for place, value in _walk(document):
        if id(value) in wanted:
            yield from (place_name((*place, key)) for key in wanted.pop(id(value)))
    yield from (key for keys in wanted.values() for key in keys)


def _long_integer(text: str) -> WorkflowFormatError:
    """The error for what `int` refuses to read."""
    most = sys.get_int_max_str_digits()
    found = re.search(rf"\d{{{most + 1}}}", text)
    start = found.start() if found is not None else 0
    line, column = text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)
    return WorkflowFormatError(
        f"the integer at line {line}, column {column} has more than {most:,} digits", hint=_NUMBER_HINT
    )


def _refuse_unusable(document: JsonValue) -> None:
    """Refuse what JSON cannot express (NaN, 1e999, half a character), naming the place; empty fingerprints."""
    for place, value in _walk(document):
        if isinstance(value, dict):
            if _FINGERPRINT in value:
                value[_FINGERPRINT] = None
            for key in value:
                _refuse_scalar((*place, "(key)"), key)
        elif not isinstance(value, list):
            _refuse_scalar(place, value)


def _walk(document: JsonValue) -> Iterator[tuple[Place, JsonValue]]:
    """Every value with its place, an object before what stands in it; one by one, there may be millions."""
    stack: list[Iterator[tuple[Place, JsonValue]]] = [iter([((), document)])]
    while stack:
        found = next(stack[-1], None)
        if found is None:
            stack.pop()
            continue
        yield found
        place, value = found
        if isinstance(value, dict | list):
            stack.append(_members(place, value))


def _members(place: Place, value: dict[str, JsonValue] | list[JsonValue]) -> Iterator[tuple[Place, JsonValue]]:
    items: Iterable[tuple[str | int, JsonValue]] = enumerate(value) if isinstance(value, list) else value.items()
    yield from (((*place, step), each) for step, each in items)


def _refuse_scalar(place: Place, value: JsonValue) -> None:
    if isinstance(value, float) and not isfinite(value):
        raise WorkflowFormatError(
            f"{place_name(place)}: {value} is not a finite number",
            hint=_NUMBER_HINT,
        )
    if isinstance(value, str) and _SURROGATE.search(value):
        text = f"{place_name(place)}: the text holds half of a surrogate pair: {value[:40]!a}"
        raise WorkflowFormatError(text, hint="write the whole character, or leave it out")
