"""Patterns that a document brings along, for titles and names of inputs, matched in a bounded time.

Only patterns are used that are short and have few choices to try, on the beginning of a text. How much all of them
may try together is bounded as well: what matches in a moment takes seconds when it is asked a million times.
"""

import re
from dataclasses import dataclass, field

_LONGEST_PATTERN, _LONGEST_TEXT, _MOST_REPEATS = 100, 200, 2
# steps, of about half a microsecond, of all tests of one graph
_MOST_STEPS = 600_000


@dataclass(slots=True)
class Effort:
    """The steps that are left for one graph; nothing fits when there are none."""

    left: int = _MOST_STEPS


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern that fits a text when it is found in it, or `inverted`, when it is not."""

    pattern: re.Pattern[str]
    inverted: bool = False
    _known: dict[str, bool] = field(default_factory=dict, repr=False, compare=False)

    def fits(self, text: str, effort: Effort) -> bool:
        """Whether it fits; a text is tried once."""
        text = text[:_LONGEST_TEXT]
        if text not in self._known:
            effort.left -= _cost(_repeats(self.pattern.pattern), len(text))
            if effort.left < 0:
                return False
            self._known[text] = (self.pattern.search(text) is None) == self.inverted
        return self._known[text]


#: Fits no text.
NOTHING = Pattern(re.compile("(?!)"))


def read_pattern(text: str, *, inverted: bool = False) -> Pattern | None:
    """The pattern, None when it is none."""
    try:
        return Pattern(re.compile(text), inverted)
    except re.error:
        return None


def is_bounded(text: str) -> bool:
    """Whether a pattern is short, without references and repeated groups, and with few choices to try."""
    return (
        len(text) <= _LONGEST_PATTERN
        and _repeats(text) <= _MOST_REPEATS
        and text.count("(") <= 2
        and re.search(r"\(\?|\)[*+?{]|\\[0-9k]", text) is None
    )


def _cost(repeats: int, letters: int) -> int:
    """Steps of a search at its worst, as measured: it may begin, and each repeat end, at each letter."""
    match repeats:
        case 0:
            return 1
        case 1:
            return 1 + letters**2 // 1000
        case _:
            return 1 + letters**3 // 400


def _repeats(text: str) -> int:
    return len(re.findall(r"(?<!\\)[*+?{]", text))
