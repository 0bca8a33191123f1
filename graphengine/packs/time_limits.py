"""Code that may hang, with a limit."""

import ctypes
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_AGAIN = 1.0


class TimeIsUp(BaseException):
    """The time is up. No `Exception`, so that code which catches those lets it through."""


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Interrupts what runs inside after so many seconds, and each second after that; None is no limit.

    In the main thread a timer of the system does it, which ends waiting as well; elsewhere, and on Windows, only
    running Python code is interrupted.

    Raises:
        TimeIsUp: it took longer.
    """
    if seconds is None:
        yield
    elif hasattr(signal, "SIGALRM") and threading.current_thread() is threading.main_thread():
        with _alarm(seconds):
            yield
    else:
        with _timer(seconds):
            yield


def _ring(number: int, frame: FrameType | None) -> None:
    raise TimeIsUp


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, _ring)
    outer = signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before if before is not None else signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, *outer)  # a pack may import another


@contextmanager
def _timer(seconds: float) -> Iterator[None]:
    waiting = ctypes.c_ulong(threading.get_ident())
    interrupt = ctypes.pythonapi.PyThreadState_SetAsyncExc
    timer = threading.Timer(seconds, interrupt, (waiting, ctypes.py_object(TimeIsUp)))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
