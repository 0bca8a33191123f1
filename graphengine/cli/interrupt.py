"""Ctrl-C and SIGTERM: first a request to stop, then an end."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_STOPPING = b"\nstopping at the next step; press Ctrl-C again to stop at once\n"


@contextmanager
def cancel_on_signals() -> Iterator[Callable[[], bool]]:
    """Gives the function that tells whether the user wants to stop.

    The first SIGINT or SIGTERM asks to stop, the second raises `KeyboardInterrupt`, the third ends the process
    even inside a call that never returns to Python. The handlers are put back at the end. Outside the main thread,
    where Python allows no handlers, nobody asks.
    """
    asked = threading.Event()

    def first(_signum: int, _frame: FrameType | None) -> None:
        asked.set()
        _handle(second)
        # `sys.stderr` may be in the middle of a write, so the text goes past its buffer.
        with suppress(OSError, ValueError):
            os.write(sys.stderr.fileno(), _STOPPING)

    def second(_signum: int, _frame: FrameType | None) -> None:
        _handle(signal.SIG_DFL)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    _handle(first)
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _handle(handler: "Callable[[int, FrameType | None], None] | signal.Handlers") -> None:
    signal.signal(signal.SIGINT, handler)
    signal.signal(signal.SIGTERM, handler)
