"""The index of a disk store with writes put off and failures turned into misses.

Actions without a blob, uses and file fingerprints wait in memory and are written in one transaction: at `flush`,
and by `add` when 1,000 are waiting or the last write is a quarter of a second ago. So a process that is killed
loses at most the work of a quarter of a second.

No method raises for what SQLite cannot do: reading then finds nothing, writing answers False, and one warning per
kind is logged. A damaged index is moved aside and a new one begun.
"""

import logging
import os
import sqlite3
import weakref
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from graphengine.cache.hashing import FileStamp
from graphengine.cache.index import Action, Index, IndexTotals, NewerIndex, Shown, is_damage

logger = logging.getLogger(__name__)

T = TypeVar("T")

_BATCH = 1000
_BATCH_S = 0.25
_TOUCH_S = 600.0
_NO_TOTALS = IndexTotals(0, 0, 0, 0)


@dataclass(slots=True)
class _Waiting:
    """What is not yet written: actions by key, keys that were used, (stamp, fingerprint) by path."""

    actions: dict[str, Action] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    files: dict[bytes, tuple[str, str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.actions or self.used or self.files)

    def write(self, index: Index, now: float) -> None:
        """Write to the index; needs a transaction."""
        index.add(self.actions.values())
        index.touch(self.used, now)
        index.remember((path, stamp, fingerprint) for path, (stamp, fingerprint) in self.files.items())

    def clear(self) -> None:
        """Forget it."""
        self.actions.clear()
        self.used.clear()
        self.files.clear()


class BufferedIndex:
    """Used by one thread at a time. An index that nobody closes is closed when it is collected or Python ends."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        """Open the index, or begin one. One that a later release wrote is left alone: then nothing is kept.

        Raises:
            sqlite3.Error: it cannot be opened or written.
        """
        self._path = path
        self._clock = clock
        self._waiting = _Waiting()
        self._flushed = clock()
        self._warned: set[str] = set()
        self._index: Index | None = None
        try:
            self._index = Index(path)
        except NewerIndex as error:
            logger.warning(
                "the cache index %s was written by a later release (%s): nothing is cached; update graphengine or "
                "choose another folder with --cache",
                path,
                error,
            )
        self._finalizer = weakref.finalize(self, _finish, self._index, self._waiting, clock)

    @property
    def is_open(self) -> bool:
        """Whether anything can be kept."""
        return self._index is not None

    def find(self, key: str) -> Action | None:
        """The action of a key; it counts as used now."""
        action = self._waiting.actions.get(key) or self._ask(lambda index: index.find(key))
        if action is not None:
            self._note_use(key, action.used, self._clock())
        return action

    def find_ui(self, keys: Collection[str]) -> dict[str, str]:
        """What the actions of those keys that are kept showed; they count as used now."""
        now = self._clock()
        waiting = self._waiting.actions
        shown = {key: Shown(waiting[key].ui, now) for key in keys if key in waiting} if waiting else {}
        rest = [key for key in keys if key not in shown]
        shown |= self._ask(lambda index: index.find_shown(rest)) or {}
        for key, (_, used) in shown.items():
            self._note_use(key, used, now)
        return {key: ui for key, (ui, _) in shown.items()}

    def add(self, action: Action) -> bool:
        """Keep an action without a blob; False when it was due to be written and could not be."""
        self._waiting.actions[action.key] = action
        due = len(self._waiting.actions) >= _BATCH or not 0 <= self._clock() - self._flushed < _BATCH_S
        return self.flush() if due else True

    def drop(self, key: str, digest: str | None, remove: Callable[[str], None]) -> None:
        """Forget an action and, when given, its blob, which `remove` removes meanwhile."""

        def forget(index: Index) -> None:
            index.drop(key)
            if digest is not None:
                index.drop_content(digest)
                remove(digest)

        self._waiting.actions.pop(key, None)
        self.write(forget)

    def recall(self, stamp: FileStamp) -> str | None:
        """The fingerprint remembered for exactly this stamp, or None."""
        path, text = _file_row(stamp)
        waiting = self._waiting.files.get(path)
        if waiting is not None:
            return waiting[1] if waiting[0] == text else None
        return self._ask(lambda index: index.recall(path, text))

    def remember(self, stamp: FileStamp, fingerprint: str) -> None:
        """Remember a fingerprint; an older one of the same path is forgotten."""
        path, text = _file_row(stamp)
        self._waiting.files[path] = (text, fingerprint)

    def totals(self) -> IndexTotals:
        """How much is kept, what is waiting included."""
        self.flush()
        return self._ask(lambda index: index.totals()) or _NO_TOTALS

    def clear(self, remove_blobs: Callable[[], None]) -> None:
        """Forget everything, while `remove_blobs` removes every blob."""

        def forget(index: Index) -> None:
            index.clear()
            remove_blobs()

        self._waiting.clear()
        self.write(forget)

    def flush(self) -> bool:
        """Write what is waiting; False when that fails: then it is lost."""
        now = self._flushed = self._clock()
        written = not self._waiting or self.write(lambda index: self._waiting.write(index, now))
        self._waiting.clear()
        return written

    def write(self, change: Callable[[Index], None]) -> bool:
        """Make a change at once, in one transaction; False when the index fails. What `change` raises passes."""
        if self._index is None:
            return False
        try:
            with self._index.transaction():
                change(self._index)
        except sqlite3.Error as error:
            self._failed(self._index, error)
            return False
        return True

    def close(self) -> None:
        """Write what is waiting and close the file."""
        self.flush()
        self._finalizer()
        self._index = None

    def _ask(self, question: Callable[[Index], T]) -> T | None:
        """What the index answers; None when it fails."""
        if self._index is None:
            return None
        try:
            return question(self._index)
        except sqlite3.Error as error:
            self._failed(self._index, error)
            return None

    def _note_use(self, key: str, used: float, now: float) -> None:
        """Remember a use, to ten minutes: a run over a full cache is to write nothing."""
        if abs(now - used) > _TOUCH_S:
            self._waiting.used.add(key)

    def _failed(self, index: Index, error: sqlite3.Error) -> None:
        if not is_damage(error):
            self._warn("cannot use the cache index %s: %s; results may not be kept", error)
            return
        logger.warning("the cache index %s is damaged (%s); a new one is begun", self._path, error)
        try:
            index.restart()
        except (OSError, sqlite3.Error) as failure:
            self._index = None
            self._warn("cannot begin a new cache index %s: %s; nothing is cached", failure)

    def _warn(self, message: str, error: Exception) -> None:
        if message not in self._warned:
            self._warned.add(message)
            logger.warning(message, self._path, error)


def _finish(index: Index | None, waiting: _Waiting, clock: Callable[[], float]) -> None:
    """Write what is waiting and close: also for an index that nobody closed."""
    if index is None:
        return
    try:
        if waiting:
            with index.transaction():
                waiting.write(index, clock())
    except sqlite3.Error as error:
        logger.warning("the last results could not be written to the cache: %s", error)
    finally:
        index.close()


def _file_row(stamp: FileStamp) -> tuple[bytes, str]:
    # Bytes: file names need not be valid text. Text: an inode may exceed SQLite's integers.
    return os.fsencode(stamp.path), f"{stamp.size} {stamp.mtime_ns} {stamp.inode}"
