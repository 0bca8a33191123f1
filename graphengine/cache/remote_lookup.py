"""Finds what a shared cache says of cache keys, with few requests.

One key costs one request, unless it is known. Many keys at once, those of a graph that nobody here has run, are
looked for in three steps, each for what the one before has not found:

1. From 64 keys on: the batch of exactly these keys, one object with copies of all their entries. Whoever asked for
   the same keys before has written it (`unwritten`). A graph that one machine has run is one request for the next.
2. From 256 keys on: names are listed, 1,000 with one request, up to 20,000; only entries that are there are read.
3. Entries are read one by one, 16 at a time.

All of it ends after `lookup_s` seconds: what is not answered then is a miss. That a key has no entry is believed
for a minute.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from hashlib import sha256
from threading import Lock

from graphengine.cache.remote_health import RemoteFailure, RemoteHealth, RemoteTroubles
from graphengine.cache.remote_objects import RemoteObjects
from graphengine.cache.remote_place import RemoteLimits, RemotePlace
from graphengine.cache.remote_records import (
    MAX_BATCH_BYTES,
    MAX_RECORD_BYTES,
    Record,
    checked_record,
    read_batch,
    read_record,
)

_BATCH_LEAST = 64
_LIST_LEAST = 256
_LIST_MOST = 20_000
_AT_ONCE = 16
_ABSENT_S = 60.0
_KNOWN_MOST = 200_000
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class UnwrittenBatch:
    """Keys that were asked for at once, and how many of them the batch under this name had."""

    name: str
    keys: Sequence[str]
    had: int


def object_name(key: str) -> str:
    """The name of a key's entry: the key itself, or the hash of one that is no SHA-256."""
    return key if len(key) == 64 and _HEX.issuperset(key) else sha256(key.encode()).hexdigest()


def action_name(key: str) -> str:
    """Where the entry of a key is."""
    return f"actions/{object_name(key)}"


class RemoteLookup:
    """What is known of a shared cache. May be used from several threads; `clock` gives seconds."""

    def __init__(
        self,
        objects: RemoteObjects,
        health: RemoteHealth,
        troubles: RemoteTroubles,
        place: RemotePlace,
        limits: RemoteLimits,
        clock: Callable[[], float],
    ) -> None:
        self._objects = objects
        self._health = health
        self._troubles = troubles
        self._secret = place.key
        self._limits = limits
        self._clock = clock
        self._known: OrderedDict[str, Record] = OrderedDict()
        self._unsent: set[str] = set()
        self._absent: dict[str, float] = {}
        self._names: tuple[float, Collection[str]] = -math.inf, ()
        self._asked: dict[str, UnwrittenBatch] = {}
        self._lock = Lock()

    def known(self, key: str) -> Record | None:
        """What is known of a key without a request."""
        with self._lock:
            return self._known.get(key)

    def find(self, key: str) -> Record | None:
        """The record of a key, or None."""
        record = self.known(key)
        if record is not None or self._is_absent(key):
            return record
        return self._read(key)

    def find_many(self, keys: Collection[str]) -> dict[str, Record]:
        """The records of those keys that have one."""
        found = {key: record for key in keys if (record := self.known(key)) is not None}
        rest = [key for key in dict.fromkeys(keys) if key not in found and not self._is_absent(key)]
        if len(rest) >= _BATCH_LEAST and self._health.is_well():
            found |= self._read_batch(rest)
            rest = [key for key in rest if key not in found]
        if not rest or not self._health.is_well():
            return found
        deadline = time.monotonic() + self._limits.lookup_s
        if len(rest) >= _LIST_LEAST:
            self._list(deadline)
            rest = [key for key in rest if not self._is_absent(key)]
        return found | self._read_each(rest, deadline)

    def learn(self, key: str, record: Record, *, sent: bool) -> None:
        """A key has this record; `sent` when the remote has it as well."""
        with self._lock:
            self._absent.pop(key, None)
            self._known[key] = record
            (self._unsent.discard if sent else self._unsent.add)(key)
            while len(self._known) > _KNOWN_MOST:
                self._unsent.discard(self._known.popitem(last=False)[0])

    def forget(self, key: str) -> None:
        """A key has no record that can be used."""
        with self._lock:
            self._known.pop(key, None)
            self._unsent.discard(key)
            self._note_absent((key,))

    def unwritten(self) -> list[UnwrittenBatch]:
        """The sets of keys that were asked for since this was called last."""
        with self._lock:
            asked, self._asked = self._asked, {}
        return list(asked.values())

    def sent(self, keys: Iterable[str]) -> dict[str, Record]:
        """The records of those keys of which the remote has one."""
        with self._lock:
            return {key: self._known[key] for key in keys if key in self._known and key not in self._unsent}

    def _is_absent(self, key: str) -> bool:
        with self._lock:
            now = self._clock()
            if now - self._absent.get(key, -math.inf) < _ABSENT_S:
                return True
            listed, names = self._names
            return now - listed < _ABSENT_S and object_name(key) not in names

    def _note_absent(self, keys: Iterable[str]) -> None:
        """Needs the lock."""
        if len(self._absent) > _KNOWN_MOST:
            self._absent.clear()
        self._absent.update(dict.fromkeys(keys, self._clock()))

    def _read(self, key: str) -> Record | None:
        def question() -> Record | None:
            data = self._objects.read(action_name(key), MAX_RECORD_BYTES)
            return read_record(data, key, self._secret) if data is not None else None

        try:
            record = self._health.ask(question)
        except RemoteFailure:
            return None
        if record is not None:
            self.learn(key, record, sent=True)
            return record
        with self._lock:
            self._note_absent((key,))
        return None

    def _read_batch(self, keys: Sequence[str]) -> dict[str, Record]:
        name = f"batches/{sha256(' '.join(sorted(keys)).encode()).hexdigest()}"

        def question() -> Mapping[str, Record]:
            data = self._objects.read(name, MAX_BATCH_BYTES)
            documents = read_batch(data) if data is not None else {}
            return {key: checked_record(documents[key], key, self._secret) for key in keys if key in documents}

        try:
            found = dict(self._health.ask(question))
        except RemoteFailure:
            found = {}
        for key, record in found.items():
            self.learn(key, record, sent=True)
        with self._lock:
            self._asked[name] = UnwrittenBatch(name, keys, len(found))
        return found

    def _list(self, deadline: float) -> None:
        try:
            names = self._health.ask(lambda: self._objects.names("actions", _LIST_MOST, deadline))
        except RemoteFailure:
            return
        if names is not None:
            with self._lock:
                self._names = self._clock(), names

    def _read_each(self, keys: Sequence[str], deadline: float) -> dict[str, Record]:
        """The records of keys, read one by one; those that are there in time."""
        pool = ThreadPoolExecutor(min(_AT_ONCE, max(len(keys), 1)), "graphengine lookup")
        futures = {pool.submit(self._read, key): key for key in keys}
        answered, late = wait(futures, deadline - time.monotonic())
        pool.shutdown(wait=False, cancel_futures=True)
        if late:
            self._troubles.tell(
                "slow", f"{len(late)} of {len(keys)} entries were not found in {self._limits.lookup_s:g} seconds"
            )
        return {futures[future]: record for future in answered if (record := future.result()) is not None}
