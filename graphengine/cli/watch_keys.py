"""Keys that a watch listens to while it goes on: r runs all once more, q quits."""

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO


@dataclass(slots=True)
class Keys:
    """The keys pressed on a terminal, whose number is `descriptor`; None where there is none to listen to."""

    descriptor: int | None = None
    _quits: bool = False
    _repeats: bool = False

    def quits(self) -> bool:
        """Whether q was pressed."""
        self._read()
        return self._quits

    def repeats(self) -> bool:
        """Whether r was pressed since this was asked last."""
        self._read()
        asked, self._repeats = self._repeats, False
        return asked

    def _read(self) -> None:
        while self.descriptor is not None and select.select([self.descriptor], [], [], 0)[0]:
            pressed = os.read(self.descriptor, 64).lower()
            if not pressed:  # the terminal is gone
                self.descriptor = None
            self._quits = self._quits or b"q" in pressed
            self._repeats = self._repeats or b"r" in pressed


@contextmanager
def pressed_keys(stream: TextIO) -> Iterator[Keys]:
    """The keys pressed on a terminal, one by one and not shown; elsewhere, and on Windows, there are none."""
    if sys.platform == "win32" or not stream.isatty():
        yield Keys()
        return
    import termios  # not there on Windows
    import tty

    descriptor = stream.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield Keys(descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
