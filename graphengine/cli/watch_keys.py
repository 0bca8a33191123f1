"""Keys that a watch listens to while it goes on."""

import os
import re
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

#: What terminals send for keys that are no letters, and for questions that nobody waits for any more.
_SEQUENCE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|[_P\]X^].*?(?:\x1b\\|\x07)|.)?", re.DOTALL)


@dataclass(slots=True)
class Keys:
    """The keys pressed on a terminal. `read` gives what has been typed, None when the terminal is gone.

    `descriptor` is the number of the terminal where it has one.
    """

    read: Callable[[], bytes | None] | None = None
    descriptor: int | None = None

    def pressed(self) -> str:
        """The letters that were pressed since this was asked last, as small ones."""
        if self.read is None:
            return ""
        typed = self.read()
        if typed is None:
            self.read = None
        return _SEQUENCE.sub(b"", typed or b"").decode("ascii", "ignore").lower()


@contextmanager
def pressed_keys(stream: TextIO) -> Iterator[Keys]:
    """The keys pressed on a terminal, one by one and not shown; none elsewhere, and none in the background."""
    if not stream.isatty():
        yield Keys()
        return
    if sys.platform == "win32":
        yield Keys(windows_keys())
        return
    import termios  # not there on Windows
    import tty

    descriptor = stream.fileno()
    if _is_in_background(descriptor):
        yield Keys()
        return
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield Keys(lambda: _typed(descriptor), descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _is_in_background(descriptor: int) -> bool:
    """Whether another program has the terminal; changing it would stop this one."""
    try:
        return os.tcgetpgrp(descriptor) != os.getpgrp()
    except OSError:  # not the terminal that this process belongs to
        return False


def _typed(descriptor: int) -> bytes | None:
    found = b""
    while select.select([descriptor], [], [], 0)[0]:
        try:
            more = os.read(descriptor, 64)
        except OSError:  # the terminal is gone
            return None
        if not more:
            return found or None
        found += more
    return found


def windows_keys() -> Callable[[], bytes]:
    """Reads what was typed on a console of Windows, without waiting."""
    import msvcrt  # not there elsewhere

    def read() -> bytes:
        found = b""
        while msvcrt.kbhit():  # type: ignore[attr-defined]  # mypy looks at Linux
            key = msvcrt.getch()  # type: ignore[attr-defined]  # as above
            if key in (b"\0", b"\xe0"):  # a key that is no letter; the next byte says which
                msvcrt.getch()  # type: ignore[attr-defined]  # as above
                continue
            found += key
        return found

    return read
