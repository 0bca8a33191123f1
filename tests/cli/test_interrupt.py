"""Signals: a request first, an end after."""

import signal
import threading

import pytest

from graphengine.cli.interrupt import cancel_on_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_to_stop(number: signal.Signals) -> None:
    with cancel_on_signals() as is_cancelled:
        assert not is_cancelled()
        signal.raise_signal(number)
        assert is_cancelled()


def test_the_second_signal_interrupts_and_the_third_would_end_the_process() -> None:
    with cancel_on_signals():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with cancel_on_signals():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_outside_the_main_thread_nobody_asks() -> None:
    answers: list[bool] = []

    def ask() -> None:
        with cancel_on_signals() as is_cancelled:
            answers.append(is_cancelled())

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert answers == [False]
