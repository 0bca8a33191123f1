"""Code that may hang, with a limit."""

import contextlib
import threading
import time
from collections.abc import Callable

import pytest

from graphengine.packs.time_limits import TimeIsUp, time_limit


def test_what_ends_in_time_is_let_be() -> None:
    with time_limit(60):
        done = True
    with time_limit(None):
        assert done


def wait() -> None:
    """Wait where errors are passed over."""
    with contextlib.suppress(Exception):
        threading.Event().wait(60)


def wait_after_another_limit() -> None:
    with time_limit(60):
        pass
    wait()


@pytest.mark.parametrize("hang", [wait, wait_after_another_limit])
def test_waiting_is_interrupted(hang: Callable[[], None]) -> None:
    with pytest.raises(TimeIsUp), time_limit(0.2):
        hang()


def test_a_limit_in_another_thread_interrupts_running_code() -> None:
    told: list[float] = []

    def work() -> None:
        start = time.monotonic()
        try:
            with time_limit(0.1):
                while True:
                    pass
        except TimeIsUp:
            told.append(time.monotonic() - start)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert len(told) == 1
