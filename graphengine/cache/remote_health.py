"""How a shared cache has answered: each kind of trouble is told once; after some it is left alone for a while."""

import logging
from collections.abc import Callable
from threading import Lock
from typing import TypeVar

from graphengine.cache.remote_place import RemoteLimits

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Failures that say nothing against the remote itself: others wrote what cannot be used, or removed it.
_HARMLESS = frozenset(("codec", "missing", "resting", "signature", "unsigned", "version"))


_MEANINGS = {
    "timeout": "it did not answer in time",
    "offline": "it cannot be reached",
    "refused": "it refuses; check the address and the credentials",
    "failed": "it answers with an error",
}


class RemoteFailure(Exception):
    """A shared cache did not do what it was asked. `kind` is one word for what went wrong."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{_MEANINGS[kind]} ({message})" if kind in _MEANINGS else message)
        self.kind = kind


class RemoteTroubles:
    """Warnings about one shared cache, each kind once; later ones are logged for debugging only."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._told: set[str] = set()
        self._lock = Lock()

    def tell(self, kind: str, message: str) -> None:
        """Log the message with the URL in front."""
        with self._lock:
            is_new = kind not in self._told
            self._told.add(kind)
        logger.log(logging.WARNING if is_new else logging.DEBUG, "shared cache %s: %s", self._url, message)


class RemoteHealth:
    """Asks a remote, except while it is left alone: for `rest_s` seconds after `failures` failures in a row.

    One failure after such a rest begins the next one; an answer makes all well. `consequence` ends the warnings:
    what follows for the user. `clock` gives seconds that never go back. May be used from several threads.
    """

    def __init__(
        self, troubles: RemoteTroubles, limits: RemoteLimits, consequence: str, clock: Callable[[], float]
    ) -> None:
        self._troubles = troubles
        self._limits = limits
        self._consequence = consequence
        self._clock = clock
        self._failed = 0
        self._rests_until: float | None = None
        self._lock = Lock()

    def is_well(self) -> bool:
        """Whether it may be asked now."""
        with self._lock:
            return self._rests_until is None or self._clock() >= self._rests_until

    def ask(self, question: Callable[[], T]) -> T:
        """What the question gives.

        Raises:
            RemoteFailure: what it raised, after a warning; or the remote is left alone ("resting").
        """
        if not self.is_well():
            raise RemoteFailure("resting", "it is left alone for a while")
        try:
            answer = question()
        except RemoteFailure as failure:
            self._note(failure)
            raise
        with self._lock:
            self._failed = 0
            self._rests_until = None
        return answer

    def _note(self, failure: RemoteFailure) -> None:
        self._troubles.tell(failure.kind, f"{failure}: {self._consequence}")
        if failure.kind in _HARMLESS:
            return
        with self._lock:
            self._failed += 1
            if self._failed < self._limits.failures:
                return
            self._rests_until = self._clock() + self._limits.rest_s
        minutes = self._limits.rest_s / 60
        self._troubles.tell(
            f"rest {self._consequence}",
            f"it is left alone for {minutes:g} minutes, after {self._failed} failures: {self._consequence}",
        )
