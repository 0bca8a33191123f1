"""How long a node's code may run while it is checked, and who is told that it runs."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from graphengine.packs.time_limits import TimeIsUp, time_limit

Told = tuple[str, str]


def _nobody(what: str) -> None:
    """Hears nothing."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """Lets code of a node run for `seconds`, None for any time.

    `tell` is told what runs, and an empty text when it has ended. Code that holds on to the interpreter cannot be
    interrupted from inside: whoever is told can end the process.
    """

    seconds: float | None = None
    tell: Callable[[str], None] = _nobody

    @contextmanager
    def of(self, what: str) -> Iterator[None]:
        """Limits what runs inside, a call "with defaults" for instance.

        Raises:
            TimeIsUp: it took longer.
        """
        self.tell(what)
        try:
            with time_limit(self.seconds):
                yield
        finally:
            self.tell("")

    def missed(self, what: str, error: TimeIsUp, root: Path) -> Told:
        """The finding about code that was interrupted; `root` is where the pack's code is."""
        return "comes_back", f"{what} has not ended after {self.seconds or 0.0:g} s{place_in(root, error)}"


#: Any time is fine, and nobody is told.
NO_DEADLINE = Deadline()


def place_in(root: Path, error: BaseException) -> str:
    """` (nodes.py:12)`: the last line of the pack's own code on the way to an error; empty when there is none."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).resolve().is_relative_to(root)]
    return f" ({Path(own[-1].filename).name}:{own[-1].lineno})" if own else ""
