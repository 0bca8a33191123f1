"""Which commit changed an output: a search by halves over the commits that touch a workflow and its packs.

Commits that cannot be tried, because the workflow is not there or does not fit, are passed over, as `git bisect
skip` does: the nearest one that can be tried takes their place.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from graphengine.errors import GraphEngineError
from graphengine.replaying.minimal import Verdict
from graphengine.replaying.repository import Commit

#: Hears of each trial: its number, the commit, what it showed, how many commits are left.
Told = Callable[[int, Commit, Verdict, int], None]


@dataclass(frozen=True, slots=True)
class FirstBad:
    """The first bad commit; `unclear` are those just before it that cannot be tried and may be it as well."""

    commit: Commit
    unclear: tuple[Commit, ...]
    trials: int


@dataclass(slots=True)
class CommitSearch:
    """Finds the first bad one of `commits`, oldest first, of which the last one is bad; what is before is good."""

    commits: Sequence[Commit]
    test: Callable[[Commit], Verdict]
    tell: Told = lambda number, commit, verdict, left: None
    _known: dict[int, Verdict] = field(default_factory=dict)

    def find(self) -> FirstBad:
        """The first bad commit.

        Raises:
            GraphEngineError: there are no commits.
        """
        if not self.commits:
            raise GraphEngineError(
                "no commit between them touches the workflow, the lock or the packs",
                hint="the cause lies elsewhere: in a model, an input file, or a package",
            )
        good, bad = -1, len(self.commits) - 1
        while (index := self._next(good, bad)) is not None:
            verdict = self._known[index] = self.test(self.commits[index])
            if verdict == "bad":
                bad = index
            elif verdict == "good":
                good = index
            self.tell(len(self._known), self.commits[index], verdict, bad - good - 1)
        return FirstBad(self.commits[bad], tuple(self.commits[good + 1 : bad]), len(self._known))

    def _next(self, good: int, bad: int) -> int | None:
        """The commit nearest to the middle that was not tried; None when there is none."""
        middle = (good + bad) / 2
        untried = (index for index in range(good + 1, bad) if index not in self._known)
        return min(untried, key=lambda index: abs(index - middle), default=None)
