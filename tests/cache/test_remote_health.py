"""When a remote is left alone, and how often the user hears of it."""

import logging

import pytest

from graphengine.cache.remote_health import RemoteFailure, RemoteHealth, RemoteTroubles
from graphengine.cache.remote_place import RemoteLimits

LIMITS = RemoteLimits(failures=3, rest_s=300)


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> RemoteHealth:
    return RemoteHealth(RemoteTroubles("s3://bucket"), LIMITS, "results are not shared", clock)


def fail(health: RemoteHealth, kind: str = "timeout") -> str:
    """Ask what fails; gives the kind of failure that the asker sees."""

    def question() -> None:
        raise RemoteFailure(kind, "too slow")

    with pytest.raises(RemoteFailure) as failure:
        health.ask(question)
    return failure.value.kind


def test_three_failures_in_a_row_end_the_asking(health: RemoteHealth) -> None:
    assert [fail(health) for _ in range(4)] == ["timeout", "timeout", "timeout", "resting"]
    assert not health.is_well()


def test_an_answer_between_failures_makes_all_well(health: RemoteHealth) -> None:
    fail(health)
    fail(health)
    assert health.ask(lambda: 5) == 5
    assert [fail(health) for _ in range(2)] == ["timeout", "timeout"]
    assert health.is_well()


def test_after_a_rest_one_question_is_tried(health: RemoteHealth, clock: Clock) -> None:
    for _ in range(3):
        fail(health)
    clock.now += 299
    assert not health.is_well()
    clock.now += 1
    assert fail(health) == "timeout"
    assert not health.is_well()
    clock.now += 300
    assert health.ask(lambda: "back") == "back"
    assert [fail(health) for _ in range(2)] == ["timeout", "timeout"]


@pytest.mark.parametrize("kind", ["missing", "signature", "unsigned", "version"])
def test_entries_of_others_that_cannot_be_used_say_nothing_against_the_remote(
    health: RemoteHealth, kind: str
) -> None:
    assert [fail(health, kind) for _ in range(9)] == [kind] * 9
    assert health.is_well()


def test_each_kind_is_told_once(health: RemoteHealth, caplog: pytest.LogCaptureFixture) -> None:
    for kind in ("unsigned", "unsigned", "missing", "unsigned"):
        fail(health, kind)
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert told == ["shared cache s3://bucket: too slow: results are not shared"] * 2


def test_a_failure_says_what_it_means(health: RemoteHealth, caplog: pytest.LogCaptureFixture) -> None:
    fail(health, "refused")
    assert "it refuses; check the address and the credentials (too slow)" in caplog.text
