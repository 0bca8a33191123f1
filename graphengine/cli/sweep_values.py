"""The values of a sweep as the command line has them: `1..8`, `0..1:0.25`, `4,7,10`, `"a fox, at night",'a dog'`.

A value in quotes is taken as text: within `"…"` as JSON writes it, within `'…'` as it stands. Any other value is
read as `--set` reads it. Ranges hold both ends as far as the steps lead there; they may fall.
"""

import json
import re
from decimal import Decimal

from pydantic import JsonValue

from graphengine.cli.overrides import read_value
from graphengine.errors import SettingsError
from graphengine.node.definition import InputSpec

_NUMBER = r"-?[0-9]{1,20}(?:\.[0-9]{1,20})?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(?::({_NUMBER}))?")
_ITEM = re.compile(
    r"""\s* (?: "(?P<json>(?:[^"\\]|\\.)*)"\s*   # as JSON writes texts
              | '(?P<plain>[^']*)'\s*            # as it stands
              | (?P<bare>(?!["'])[^,]*)
            ) (?P<end>,|$)""",
    re.VERBOSE | re.DOTALL,
)
_FORMS = "write 1..8, 0..1:0.25, or values with commas between, in quotes where they hold commas"


def read_values(text: str, spec: InputSpec | None, most: int) -> tuple[JsonValue, ...]:
    """The values that a text stands for, of which there may be `most`.

    Raises:
        SettingsError: a quote is not closed, a value is missing, a range leads nowhere, or there are too many.
    """
    values: list[JsonValue] = []
    position = 0
    while True:
        found = _ITEM.match(text, position)
        if found is None:
            raise SettingsError(f"a quote is not closed, or text follows it: {text[position:]!r}", hint=_FORMS)
        values.extend(_values(found, spec, most))
        if len(values) > most:
            raise SettingsError(f"{text!r} stands for more than {most} values", hint="raise --max-runs")
        if not found["end"]:
            return tuple(values)
        position = found.end()


def _values(found: "re.Match[str]", spec: InputSpec | None, most: int) -> list[JsonValue]:
    if found["plain"] is not None:
        return [found["plain"]]
    if found["json"] is not None:
        return [_unquoted(found["json"])]
    bare = found["bare"].strip()
    if not bare:
        raise SettingsError("a value is missing", hint=f'{_FORMS}; an empty text is ""')
    limits = _RANGE.fullmatch(bare)
    return [read_value(number, spec) for number in _range(limits, most)] if limits else [read_value(bare, spec)]


def _unquoted(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError as error:
        hint = r"write \" for a quote and \\ for a backslash, or put the text into single quotes"
        raise SettingsError(f'cannot read "{text}": {error}', hint=hint)


def _range(limits: "re.Match[str]", most: int) -> list[str]:
    """The numbers from one to the other, as texts; exact, since they are decimal."""
    start, end, step = (None if number is None else Decimal(number) for number in limits.groups())
    assert start is not None
    assert end is not None
    if step is None:
        if start % 1 or end % 1:
            raise SettingsError(f"the range {limits[0]!r} has no step", hint=f"write {limits[0]}:0.1, for example")
        step = Decimal(1)
    if step <= 0:
        hint = "a range falls when its second number is the smaller one; the step is above 0"
        raise SettingsError(f"the range {limits[0]!r} gets nowhere in steps of {step}", hint=hint)
    count = int(abs(end - start) // step) + 1
    if count > most:
        raise SettingsError(
            f"the range {limits[0]!r} has {count} values", hint="take larger steps or raise --max-runs"
        )
    sign = 1 if end >= start else -1
    return [_digits(start + sign * step * index) for index in range(count)]


def _digits(number: Decimal) -> str:
    """`0.50` → `0.5`, `10` → `10`."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
