"""Outputs on disk: a SQLite index, and tensors in content-addressed safetensors files.

    root/index.sqlite                        which key has which outputs (see `index`)
    root/blobs/ab/cdef….safetensors          outputs with tensors or long texts (see `blobs`, `encoding`)
    root/tmp/                                files being written

Small outputs without tensors stand in the index itself and are written in batches (see `buffered_index`); outputs
with blobs are written at once, the blob first. Several processes and threads may use one folder: a blob gets its
name, and loses it, only inside a write transaction of the index.

What fails is never worse than a miss. A damaged entry is logged, dropped, and made again by the run; a full or
failing disk makes `put` answer False, with one warning.
"""

import json
import logging
import sqlite3
import time
from collections.abc import Callable, Collection, Mapping
from hashlib import sha256
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import Self

from pydantic import JsonValue

from graphengine.cache.blobs import BlobFolder, DamagedBlob
from graphengine.cache.buffered_index import BufferedIndex
from graphengine.cache.encoding import DamagedEncoding, Encoded, decode, encode
from graphengine.cache.hashing import FileStamp
from graphengine.cache.index import Action, Index
from graphengine.cache.store import Entry, Outputs, StoreStats
from graphengine.errors import SettingsError

logger = logging.getLogger(__name__)


class DiskStore:
    """Outputs in a folder, the least recently used ones removed when `limit_bytes` is exceeded (None: no limit).

    It is also a `FileMemo`. Use it as a context manager, or close it. `clock` gives seconds since 1970; the time
    of use is kept to ten minutes.
    """

    def __init__(self, root: Path, limit_bytes: int | None = None, clock: Callable[[], float] = time.time) -> None:
        """Open the folder, or make it.

        Raises:
            SettingsError: the folder cannot be made, read or written.
        """
        self.root = root
        self._limit = limit_bytes
        self._clock = clock
        self._lock = RLock()
        self._unchecked = limit_bytes or 0  # bytes put since the limit was checked; at first anything may be there
        self._warned: set[str] = set()
        try:
            self._blobs = BlobFolder(root)
            self._index = BufferedIndex(root / "index.sqlite", clock)
        except (OSError, sqlite3.Error) as error:
            raise SettingsError(
                f"the cache folder {root} cannot be used: {error}",
                hint="choose another folder with --cache, or run with --no-cache",
            ) from error
        self._make_room()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def peek(self, key: str) -> Entry | None:
        """What is kept under the key, without reading a blob, or None."""
        return self.peek_many((key,)).get(key)

    def peek_many(self, keys: Collection[str]) -> dict[str, Entry]:
        """The entries of those keys that are kept, without reading blobs."""
        found: dict[str, Entry] = {}
        with self._lock:
            texts = self._index.find_ui(keys)
        for key, text in texts.items():
            try:
                found[key] = Entry(_ui(text))
            except DamagedEncoding as error:
                self._drop(key, error)
        return found

    def get(self, key: str) -> Outputs | None:
        """The outputs, or None on a miss; a damaged entry is dropped."""
        with self._lock:
            action = self._index.find(key)
        if action is None:
            return None
        try:
            return Outputs(decode(self._encoded(action)), _ui(action.ui))
        except (DamagedBlob, DamagedEncoding) as error:
            self._drop(key, error, action.content)
        except OSError as error:  # too many open files, no permission: the entry may be good
            self._warn("cannot read the cache %s: %s", error)
        return None

    def put(self, key: str, outputs: Outputs) -> bool:
        """Keep the outputs; False when they are no plain data or tensors, or there is no room."""
        encoded = encode(outputs) if self._index.is_open else None
        ui = _ui_text(outputs.ui)
        if encoded is None or ui is None:
            return False
        size = len(encoded) + len(ui)
        if self._limit is not None and size > self._limit:
            return False
        if isinstance(encoded, bytes):
            kept = self._put_blob(key, encoded, ui)
        else:
            now = self._clock()
            with self._lock:
                kept = self._index.add(Action(key, None, encoded, ui, size, now, now))
        with self._lock:
            self._unchecked += size
            self._make_room()
        return kept

    def alias(self, key: str, existing: str) -> bool:
        """Keep the same outputs under another key."""
        outputs = self.get(existing)
        return outputs is not None and self.put(key, outputs)

    def free_memory(self) -> None:
        """Do nothing: what is kept is on disk."""

    def flush(self) -> None:
        """Write what is waiting."""
        with self._lock:
            self._index.flush()

    def recall(self, stamp: FileStamp) -> str | None:
        """The fingerprint remembered for exactly this stamp, or None."""
        with self._lock:
            return self._index.recall(stamp)

    def remember(self, stamp: FileStamp, fingerprint: str) -> None:
        """Remember a fingerprint; an older one of the same path is forgotten."""
        with self._lock:
            self._index.remember(stamp, fingerprint)

    def clear(self) -> None:
        """Forget everything and remove every blob."""
        with self._lock:
            self._index.clear(self._blobs.clear)

    def stats(self) -> StoreStats:
        """How much is kept; bytes as stored, without the index's own needs."""
        with self._lock:
            totals = self._index.totals()
        return StoreStats(totals.actions, totals.inline_bytes + totals.blob_bytes)

    def close(self) -> None:
        """Write what is waiting and close the index; afterwards every `get` is a miss."""
        with self._lock:
            self._index.close()

    def _encoded(self, action: Action) -> Encoded:
        if action.content is not None:
            return self._blobs.read(action.content)
        if action.structure is None:
            raise DamagedEncoding("the index names neither a blob nor a structure")
        return action.structure

    def _put_blob(self, key: str, data: bytes, ui: str) -> bool:
        """Write the blob outside the lock, then give it its name and its row in one transaction."""
        digest = sha256(data).hexdigest()
        now = self._clock()

        def keep(index: Index) -> None:
            if not self._blobs.has(digest, len(data)):
                # Nothing is staged when the blob was there, and another process has removed it since.
                self._blobs.settle(staged or self._blobs.stage(data), digest)
            index.add([Action(key, digest, None, ui, len(data), now, now)])

        staged: Path | None = None
        try:
            if not self._blobs.has(digest, len(data)):
                staged = self._blobs.stage(data)
            with self._lock:
                return self._index.flush() and self._index.write(keep)
        except OSError as error:
            self._warn("cannot write to the cache %s: %s; results are not kept", error)
            return False
        finally:
            self._blobs.discard(staged)

    def _make_room(self) -> None:
        """Keep the limit, to a 64th of it: looking at every row after each put would cost too much."""
        limit = self._limit
        if limit is None or self._unchecked * 64 < limit:
            return
        self._unchecked = 0

        def evict(index: Index) -> None:
            for digest in index.evict(limit):
                self._blobs.remove(digest)

        self._index.flush()
        self._index.write(evict)

    def _drop(self, key: str, reason: Exception, digest: str | None = None) -> None:
        logger.warning("a damaged entry of the cache %s is dropped: %s", self.root, reason)
        with self._lock:
            self._index.drop(key, digest, self._blobs.remove)

    def _warn(self, message: str, error: OSError) -> None:
        """Log a warning, the first time only."""
        if message not in self._warned:
            self._warned.add(message)
            logger.warning(message, self.root, error)


def _ui(text: str) -> dict[str, JsonValue]:
    """What a node showed.

    Raises:
        DamagedEncoding: the text is no JSON object.
    """
    if text == "{}":
        return {}
    try:
        ui = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamagedEncoding(f"what the node showed is damaged: {error}") from error
    if not isinstance(ui, dict):
        raise DamagedEncoding("what the node showed is damaged: not an object")
    return ui


def _ui_text(ui: Mapping[str, JsonValue]) -> str | None:
    """JSON of what a node showed; None when the node's author put in something else."""
    if not ui:
        return "{}"
    try:
        return json.dumps(dict(ui), separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):
        return None
