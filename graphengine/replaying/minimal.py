"""The fewest of many changes that make something bad: delta debugging.

Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (2002), algorithm ddmin: parts of the
changes are tried alone, then all but a part, with ever smaller parts, until no single change can be left out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Generic, Literal, TypeVar

T = TypeVar("T")
#: What a trial shows. "unclear" is one that cannot be carried out.
Verdict = Literal["good", "bad", "unclear"]


@dataclass(slots=True)
class Minimizer(Generic[T]):
    """Finds minimal sets of `changes`; `test` is asked about some of them, each set once.

    `tell` hears of each trial: its number, the changes tried, what it showed, and how many changes are left among
    which the cause is.
    """

    changes: Sequence[T]
    test: Callable[[Sequence[T]], Verdict]
    tell: Callable[[int, Sequence[T], Verdict, int], None] = lambda number, tried, verdict, left: None
    trials: int = 0
    _known: dict[tuple[int, ...], Verdict] = field(default_factory=dict)

    def causes(self) -> list[tuple[T, ...]]:
        """Minimal sets that make it bad, each without the changes of those before; none when all are good.

        The first set is found among all changes, the next among those that are left, until they are good.
        """
        found: list[tuple[T, ...]] = []
        left = tuple(range(len(self.changes)))
        while left and self._ask(left, len(left)) == "bad":
            few = self._minimal(left)
            found.append(tuple(self.changes[index] for index in few))
            left = tuple(index for index in left if index not in few)
        return found

    def _minimal(self, indexes: tuple[int, ...]) -> tuple[int, ...]:
        """A subset that is bad, and of which every part with one change less that was tried is not."""
        parts = 2
        while len(indexes) > 1:
            pieces = _split(indexes, parts)
            smaller = next((piece for piece in pieces if self._is_bad(piece, indexes)), None)
            if smaller is not None:
                indexes, parts = smaller, 2
                continue
            rests = (tuple(index for index in indexes if index not in piece) for piece in pieces)
            rest = next((each for each in rests if parts > 2 and self._is_bad(each, indexes)), None)
            if rest is not None:
                indexes, parts = rest, max(parts - 1, 2)
            elif parts < len(indexes):
                parts = min(parts * 2, len(indexes))
            else:
                break
        return indexes

    def _is_bad(self, indexes: tuple[int, ...], among: tuple[int, ...]) -> bool:
        return self._ask(indexes, len(among)) == "bad"

    def _ask(self, indexes: tuple[int, ...], left: int) -> Verdict:
        if indexes not in self._known:
            chosen = [self.changes[index] for index in indexes]
            self.trials += 1
            self._known[indexes] = verdict = self.test(chosen)
            self.tell(self.trials, chosen, verdict, len(indexes) if verdict == "bad" else left)
        return self._known[indexes]


def _split(indexes: tuple[int, ...], parts: int) -> list[tuple[int, ...]]:
    """The indexes in so many parts of about one size."""
    edges = [len(indexes) * number // parts for number in range(parts + 1)]
    return [indexes[begin:end] for begin, end in pairwise(edges) if begin < end]
