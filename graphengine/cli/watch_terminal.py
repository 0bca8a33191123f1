"""What the terminal can: whether it shows pictures, and how many pixels a letter has.

The environment tells of some terminals. The others are asked, and given a moment to answer; every terminal answers
the question for its attributes (`CSI c`), so the moment is rarely waited for.
"""

import os
import re
import select
import sys
import time
from collections.abc import Callable, Mapping

from graphengine.cli.watch_pictures import Protocol

#: Seconds that a terminal gets for its answer.
PATIENCE = 0.3
_ASKS_KITTY = b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"
_ASKS_ATTRIBUTES = b"\x1b[c"
_ATTRIBUTES = re.compile(rb"\x1b\[\?([\d;]*)c")
_SIXEL = b"4"  # among the attributes of a terminal that draws sixels
_CELL = (8, 16)  # pixels of a letter where the system does not tell
_ITERM = frozenset({"iTerm.app", "WezTerm", "mintty"})

#: Writes a question to the terminal.
Write = Callable[[bytes], object]
#: What the terminal has sent, after so many seconds at most; nothing where it sent nothing.
Read = Callable[[float], bytes]


def known_protocol(environ: Mapping[str, str]) -> Protocol | None:
    """How the terminal takes pictures, as far as its environment tells, which in tmux or screen means nothing."""
    term = environ.get("TERM", "")
    if "TMUX" in environ or term.startswith(("screen", "tmux")):
        return None
    if "KITTY_WINDOW_ID" in environ or term in ("xterm-kitty", "xterm-ghostty"):
        return Protocol.KITTY
    if environ.get("TERM_PROGRAM") in _ITERM or environ.get("LC_TERMINAL") == "iTerm2":
        return Protocol.ITERM
    return None


def asked_protocol(write: Write, read: Read, clock: Callable[[], float] = time.monotonic) -> Protocol | None:
    """How the terminal says that it takes pictures; None when it does not, or does not answer in time."""
    write(_ASKS_KITTY + _ASKS_ATTRIBUTES)
    until = clock() + PATIENCE
    answer = b""
    while (found := _ATTRIBUTES.search(answer)) is None:
        more = read(max(0.0, until - clock()))
        answer += more
        if clock() >= until or not more:
            return None
    if b"\x1b_Gi=31;OK" in answer:
        return Protocol.KITTY
    return Protocol.SIXEL if _SIXEL in found[1].split(b";")[1:] else None


def picture_protocol(
    keyboard: int | None, screen: int, environ: Mapping[str, str], ask: bool = True
) -> Protocol | None:
    """How the terminal behind two descriptors takes pictures; it must give keys one by one (`pressed_keys`)."""
    if (known := known_protocol(environ)) is not None:
        return known
    if not ask or keyboard is None or sys.platform == "win32" or environ.get("TERM") in (None, "dumb", "linux"):
        return None

    def read(seconds: float) -> bytes:
        return os.read(keyboard, 1024) if select.select([keyboard], [], [], seconds)[0] else b""

    return asked_protocol(lambda text: os.write(screen, text), read)


def picture_room(screen: int, columns: int, rows: int) -> tuple[int, int]:
    """The pixels that a picture may take: as wide as `columns` letters and as high as `rows` lines."""
    width, height = _cell(screen)
    return columns * width, rows * height


def _cell(screen: int) -> tuple[int, int]:
    """Width and height of a letter in pixels, as the system tells or as is usual."""
    if sys.platform == "win32":
        return _CELL
    import fcntl  # not there on Windows
    import struct
    import termios

    try:
        told = fcntl.ioctl(screen, termios.TIOCGWINSZ, bytes(8))
    except OSError:
        return _CELL
    rows, columns, width, height = struct.unpack("HHHH", told)
    if not (rows and columns and width and height):
        return _CELL
    return max(1, width // columns), max(1, height // rows)
