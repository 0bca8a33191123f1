"""When two values say the same, and how two texts differ word by word."""

import json
import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Any, Literal

from pydantic import JsonValue

_WORDS = re.compile(r"\w+|\s+|[^\w\s]")
_MOST_WORDS = 3_000  # comparing takes the square of it
_LONG = 40  # letters from which a text is compared by words


def frozen(value: object) -> object:
    """A value that can be hashed and compared: `1` and `1.0`, which editors mix up, are one, `True` is another."""
    if not isinstance(value, dict | list):
        return _plain(value)
    holder: list[Any] = [value]
    waiting: list[Any] = [holder]
    while waiting:
        container = waiting.pop()
        members = list(container.items() if isinstance(container, dict) else enumerate(container))
        for key, member in members:
            if isinstance(member, dict | list):
                container[key] = member.copy()
                waiting.append(container[key])
            elif isinstance(member, float):
                container[key] = _whole(member)
    return "json", json.dumps(holder[0], sort_keys=True)


def _plain(item: object) -> object:
    if isinstance(item, bool):
        return "bool", item
    return _whole(item) if isinstance(item, float) else item


def _whole(number: float) -> float:
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def same(one: object, other: object) -> bool:
    """Whether two values say the same."""
    if one is other or (type(one) is type(other) and not isinstance(one, dict | list) and one == other):
        return True
    return frozen(one) == frozen(other)


def is_long(old: JsonValue, new: JsonValue) -> bool:
    """Whether two values are texts of which one is long."""
    return isinstance(old, str) and isinstance(new, str) and max(len(old), len(new)) > _LONG


Piece = tuple[Literal["same", "old", "new"], str]


def word_pieces(old: str, new: str) -> Iterator[Piece]:
    """Two texts as one: what both have, what only the old one has, what only the new one has, in order."""
    before, after = _WORDS.findall(old), _WORDS.findall(new)
    if len(before) + len(after) > _MOST_WORDS:
        before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
    if len(before) + len(after) > _MOST_WORDS:
        yield from (("old", old), ("new", new))
        return
    for tag, i, j, k, m in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            yield "same", "".join(before[i:j])
            continue
        if j > i:
            yield "old", "".join(before[i:j])
        if m > k:
            yield "new", "".join(after[k:m])


def marked_words(old: str, new: str, context: int = 24) -> str:
    """Two texts as one line: `a [-red-]{+blue+} fox`; what both have is cut to `context` letters at each side."""
    parts: list[str] = []
    pieces = list(word_pieces(old, new))
    for index, (kind, text) in enumerate(pieces):
        if kind == "old":
            parts.append(f"[-{text}-]")
        elif kind == "new":
            parts.append(f"{{+{text}+}}")
        else:
            parts.append(_cut(text, context, first=index == 0, last=index == len(pieces) - 1))
    return "".join(parts)


def _cut(text: str, context: int, *, first: bool, last: bool) -> str:
    if len(text) <= 2 * context:
        return text
    begin = "" if first else text[:context]
    end = "" if last else text[-context:]
    return f"{begin}…{end}"
