"""The index of a disk store with group commits, and failures turned into misses.

What a slow node gave is committed before `add` returns: synced, so that neither the end of the process nor a power
loss takes it back. What quick nodes gave is written to a journal before `add` returns, so that the end of the
process does not take it back. It is committed with others, after `delay_s` or 1,000 actions or 8 MiB at most, by a
thread of its own when nobody puts meanwhile. Uses and fingerprints of files go with the
next commit. Blobs are staged when they are put, and synced and given their names by the commit, before the rows.

No method raises for what SQLite or the disk cannot do: reading then finds nothing, writing answers False, and one
warning per kind is logged. A damaged index is moved aside and a new one begun. When the folder vanishes, or in a
process that was forked, nothing is found or kept any more.
"""

import logging
import os
import sqlite3
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from threading import Lock, RLock, Timer
from typing import TypeVar

from graphengine.cache.batch import Batch
from graphengine.cache.blobs import BlobFolder
from graphengine.cache.hashing import FileStamp
from graphengine.cache.index import Index, IndexTotals
from graphengine.cache.journal import HAS_JOURNALS, Journal, left_journals
from graphengine.cache.rows import Action, Content, Found, Shown, is_sound
from graphengine.cache.schema import NewerIndex, is_damage

logger = logging.getLogger(__name__)

T = TypeVar("T")

_MOST_ACTIONS = 1000
_MOST_BYTES = 8 * 2**20
_TOUCH_S = 600.0
_JOURNALS = "journals"
_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY)
#: Said once, whether a blob or the index cannot be written: folder and error.
CANNOT_WRITE = "cannot write to the cache %s: %s; results are not kept"
_NO_TOTALS = IndexTotals(0, 0, 0, 0, 0)


class BufferedIndex:
    """May be used from several threads. `why_closed` says why nothing can be kept, None when it can; what is kept
    can be found all the same while `is_open`.
    """

    def __init__(self, path: Path, blobs: BlobFolder, clock: Callable[[], float], delay_s: float) -> None:
        self._path = path
        self._blobs = blobs
        self._clock = clock
        self._delay_s = delay_s
        self._process = os.getpid()
        self._waiting, self._under_way = Batch(), Batch()
        self._lock, self._committing = RLock(), Lock()
        self._timer: Timer | None = None
        self._warned: set[str] = set()
        self._index: Index | None = None
        self.why_closed: str | None = None

    def open(self) -> None:
        """Open the index, or begin one. One that a later release wrote is left alone: then nothing is kept.

        Raises:
            sqlite3.Error: it cannot be opened or written.
        """
        try:
            self._index = Index(self._path)
        except NewerIndex as error:
            self.give_up(
                f"the cache index {self._path} was written by a later release ({error}): nothing is cached; "
                "update graphengine or choose another folder with --cache"
            )

    def open_readonly(self, why: str) -> bool:
        """Open an index that cannot be written, with a warning that says why; False when it cannot be read."""
        try:
            self._index = Index(self._path, readonly=True)
        except (sqlite3.Error, NewerIndex):
            return False
        self.why_closed = why
        logger.warning("%s", why)
        return True

    def give_up(self, why: str) -> None:
        """Find and keep nothing from now on; a warning says why."""
        self.why_closed = why
        index, self._index = self._index, None
        if index is not None:
            with suppress(sqlite3.Error):
                index.close()
        logger.warning("%s", why)

    @property
    def waiting_bytes(self) -> int:
        """Bytes of what is not yet written."""
        return self._waiting.bytes

    @property
    def is_open(self) -> bool:
        """Whether anything can be found."""
        # A connection must not be used after a fork, and the locks may be held for ever.
        return self._index is not None and os.getpid() == self._process

    @property
    def can_keep(self) -> bool:
        """Whether anything can be kept."""
        return self.why_closed is None and self.is_open

    def find(self, key: str) -> Found | None:
        """The action of a key and its content; it counts as used now. A damaged row is dropped."""
        if not self.is_open:
            return None
        with self._lock:
            found = self._pending(key) or self.ask(lambda index: index.find(key))
            if found is not None:
                self._note_use(key, found.action.used, self._clock())
        if found is not None and not is_sound(found.action):
            logger.warning("a damaged row of the cache index %s is dropped", self._path)
            self.drop_row(key)
            return None
        return found

    def _pending(self, key: str) -> Found | None:
        """What is not yet written; an action may wait for a content that is being written."""
        batches = (self._waiting, self._under_way)
        action = next((batch.actions[key] for batch in batches if key in batch.actions), None)
        if action is None or action.content is None:
            return None if action is None else Found(action, None)
        digest = action.content
        content = next((batch.contents[digest] for batch in batches if digest in batch.contents), None)
        staged = next((batch.staged[digest] for batch in batches if digest in batch.staged), None)
        return None if content is None else Found(action, content, staged)

    def find_shown(self, keys: Collection[str]) -> dict[str, Shown]:
        """What is needed to peek at those keys that are kept; they count as used now."""
        if not self.is_open:
            return {}
        with self._lock:
            now = self._clock()
            pending = {**self._under_way.actions, **self._waiting.actions}
            shown = {key: _shown(pending[key], now) for key in keys if key in pending} if pending else {}
            rest = [key for key in keys if key not in shown]
            shown |= self.ask(lambda index: index.find_shown(rest)) or {}
            for key, found in shown.items():
                self._note_use(key, found.used, now)
        return shown

    def knows(self, digest: str) -> Content | None:
        """The content of a digest, if it is kept or about to be."""
        if not self.is_open:
            return None
        with self._lock:
            waiting = self._waiting.contents.get(digest) or self._under_way.contents.get(digest)
            return waiting or self.ask(lambda index: index.content(digest))

    def add(
        self, action: Action, content: Content | None = None, staged: Path | None = None, *, at_once: bool
    ) -> bool:
        """Keep an action with its content; False when it was committed at once and that failed."""
        if not self.can_keep:
            self._blobs.discard(staged)
            return False
        with self._lock:
            batch = self._waiting
            is_new = content is not None and content.digest not in batch.contents
            batch.add(action, content)
            if content is not None and staged is not None and not batch.stage(content, staged):
                self._blobs.discard(staged)
            due = len(batch.actions) >= _MOST_ACTIONS or batch.bytes >= _MOST_BYTES
            due = due or at_once or not self._write_down(action, content if is_new else None, staged)
            due = due or not self._commit_later()
        return self.flush() if due else True

    def _write_down(self, action: Action, content: Content | None, staged: Path | None) -> bool:
        """Have the journal hold an action that waits; False when it cannot."""
        batch = self._waiting
        if not HAS_JOURNALS:
            return True
        try:
            if batch.journal is None:
                batch.journal = Journal(self._path.with_name(_JOURNALS))
            batch.journal.add(action, content, staged if content is not None else None)
        except OSError as error:
            logger.debug("cannot write a journal beside %s: %s", self._path, error)
            return False
        return True

    def replay(self) -> None:
        """Commit what killed processes had finished."""
        if not self.can_keep:
            return
        for left in left_journals(self._path.with_name(_JOURNALS)):
            batch = Batch()
            for action, content, name in left.rows:
                batch.add(action, content)
                staged = self._blobs.staged_path(name) if name is not None else None
                if content is not None and staged is not None and staged.is_file():  # else it was committed
                    batch.stage(content, staged)
            if not batch or self._commit(batch):
                left.remove()

    def drop_row(self, key: str) -> None:
        """Forget one action."""
        with self._lock:
            self._waiting.actions.pop(key, None)
        self.write(lambda index: index.drop(key))

    def recall(self, stamp: FileStamp) -> str | None:
        """The fingerprint remembered for exactly this stamp, or None."""
        if not self.is_open:
            return None
        path, text = _file_row(stamp)
        with self._lock:
            waiting = self._waiting.files.get(path) or self._under_way.files.get(path)
            if waiting is not None:
                return waiting[1] if waiting[0] == text else None
            return self.ask(lambda index: index.recall(path, text))

    def remember(self, stamp: FileStamp, fingerprint: str) -> None:
        """Remember a fingerprint; an older one of the same path is forgotten."""
        if not self.is_open:
            return
        path, text = _file_row(stamp)
        with self._lock:
            self._waiting.files[path] = (text, fingerprint)

    def totals(self) -> IndexTotals:
        """How much is kept, what is waiting included."""
        self.flush()
        return self.ask(lambda index: index.totals()) or _NO_TOTALS

    def flush(self) -> bool:
        """Commit what is waiting; False when that fails: then it is lost."""
        if not self.can_keep:
            return False
        with self._committing:
            with self._lock:
                batch, self._waiting = self._waiting, Batch()
                self._under_way = batch
            try:
                return not batch or self._commit(batch)
            finally:
                batch.end()
                with self._lock:
                    self._under_way = Batch()

    def discard_waiting(self) -> None:
        """Forget what is waiting."""
        if not self.is_open:
            return
        with self._committing, self._lock:
            for staged in self._waiting.staged.values():
                self._blobs.discard(staged)
            self._waiting.end()
            self._waiting = Batch()

    def write(self, change: Callable[[Index], object]) -> bool:
        """Make a change at once, in one transaction; False when the index fails. What `change` raises passes."""
        if not self.can_keep:
            return False
        with self._lock:
            if self._index is None:
                return False
            try:
                with self._index.transaction():
                    change(self._index)
            except sqlite3.Error as error:
                self._failed(self._index, error)
                return False
        return True

    def ask(self, question: Callable[[Index], T]) -> T | None:
        """What the index answers; None when it fails."""
        if not self.is_open:
            return None
        with self._lock:
            if self._index is None:
                return None
            try:
                return question(self._index)
            except sqlite3.Error as error:
                self._failed(self._index, error)
                return None

    def close(self) -> None:
        """Commit what is waiting and close the file. A forked process does nothing: both belong to its parent."""
        if os.getpid() != self._process:
            return
        self.flush()
        with self._lock:
            index, self._index = self._index, None
            if self._timer is not None:
                self._timer.cancel()
        if index is not None:
            index.close()

    def warn(self, message: str, *details: object) -> None:
        """Log a warning, the first time only."""
        if message not in self._warned:
            self._warned.add(message)
            logger.warning(message, *details)

    def vanished(self) -> bool:
        """Whether the folder is gone; then nothing more is kept, which one warning says."""
        with self._lock:
            if self._index is None or self._index.is_in_place():
                return False
            self.give_up(f"the cache folder {self._path.parent} has vanished: nothing more is cached")
            return True

    def _commit(self, batch: Batch) -> bool:
        """Sync the staged files, then name them and write the rows in one transaction."""
        try:
            if self.vanished():
                return False
            for path in batch.staged.values():
                self._blobs.sync(path)
            return self.write(lambda index: self._write_batch(index, batch))
        except OSError as error:
            if not self.vanished():
                self.warn(CANNOT_WRITE, self._path.parent, error)
            return False
        finally:
            for path in batch.staged.values():
                self._blobs.discard(path)

    def _write_batch(self, index: Index, batch: Batch) -> None:
        now = self._clock()
        contents: list[Content] = []
        folders: set[Path] = set()
        for digest, content in batch.contents.items():
            known = index.content(digest)
            if known is not None and (known.data is not None or self._blobs.has(known)):
                continue
            if (staged := batch.staged.get(digest)) is not None:
                folders.add(self._blobs.settle(staged, content))
            elif content.data is None:
                continue  # the blob was there when it was put, and somebody has removed it since
            contents.append(content)
        for folder in folders:
            self._blobs.sync(folder)
        index.add(batch.actions.values(), contents)
        index.touch(batch.used, now)
        index.remember((path, stamp, fingerprint) for path, (stamp, fingerprint) in batch.files.items())

    def _commit_later(self) -> bool:
        """Have a thread commit soon what is waiting; False when the process is ending and starts none any more."""
        if self._timer is not None:
            return True
        timer = Timer(self._delay_s, self._commit_on_time)
        timer.daemon = True
        try:
            timer.start()
        except RuntimeError:
            return False
        self._timer = timer
        return True

    def _commit_on_time(self) -> None:
        with self._lock:
            self._timer = None
        self.flush()

    def _note_use(self, key: str, used: float, now: float) -> None:
        """Remember a use, to ten minutes: a run over a full cache is to write nothing."""
        if abs(now - used) > _TOUCH_S and self.why_closed is None:
            self._waiting.used.add(key)

    def _failed(self, index: Index, error: sqlite3.Error) -> None:
        if not is_damage(error):
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _NO_ROOM:
                if not self.vanished():
                    self.warn(CANNOT_WRITE, self._path.parent, error)
            else:
                self.warn("cannot use the cache index %s: %s; results may not be kept", self._path, error)
            return
        if self.why_closed is not None:
            self.give_up(f"the cache index {self._path} is damaged ({error}) and cannot be replaced")
            return
        logger.warning("the cache index %s is damaged (%s); a new one is begun", self._path, error)
        try:
            index.restart()
        except (OSError, sqlite3.Error, NewerIndex) as failure:
            self.give_up(f"cannot begin a new cache index {self._path}: {failure}; nothing is cached")


def _shown(action: Action, now: float) -> Shown:
    return Shown(action.ui, action.digests, now)


def _file_row(stamp: FileStamp) -> tuple[bytes, str]:
    # Bytes: file names need not be valid text. Text: an inode may exceed SQLite's integers.
    return os.fsencode(stamp.path), f"{stamp.size} {stamp.mtime_ns} {stamp.inode} {stamp.ctime_ns}"
