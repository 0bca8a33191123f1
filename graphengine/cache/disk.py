"""Outputs on disk: a SQLite index, and tensors in content-addressed safetensors files.

    root/v2/index.sqlite                     which key has which outputs (see `schema`); small ones whole
    root/v2/blobs/ab/cdef….safetensors       outputs with tensors or long texts (see `blobs`, `encoding`)
    root/v2/tmp/                             files being written
    root/v2/journals/                        what quick nodes gave and is not committed yet (see `journal`)
    root/v2/damaged/                         blobs that were not what their name says

What a node gave that took 20 ms or more is on the disk when `put` returns: synced, and safe from a power loss.
What quick nodes gave is safe from the end of the process then, and committed in groups a fifth of a second later
at most (see `buffered_index`). Several
processes and threads may use one folder: a blob gets its name, and loses it, only inside a write transaction of
the index.

What fails is never worse than a miss. A damaged entry is logged, dropped, and made again by the run; a full,
failing or read-only disk makes `put` answer False, with one warning.
"""

import json
import logging
import sqlite3
import time
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import JsonValue

from graphengine.cache import eviction
from graphengine.cache.blobs import PREFIXES, BlobFolder, DamagedBlob, digest_of
from graphengine.cache.budget import COMPRESS, LIMIT, compressed_of, limit_of
from graphengine.cache.buffered_index import CANNOT_WRITE, BufferedIndex
from graphengine.cache.compression import Codec, CodecMissing, compress
from graphengine.cache.encoding import Blob, DamagedEncoding, NotStorable, decode, encode_parts
from graphengine.cache.hashing import FileStamp
from graphengine.cache.index import Index
from graphengine.cache.rows import Action, Content, Eviction, Found, Timing, checksum, is_sound, marked
from graphengine.cache.run_log import RunLog
from graphengine.cache.schema import SCHEMA
from graphengine.cache.store import Entry, Made, Outputs, StoreStats
from graphengine.errors import SettingsError

logger = logging.getLogger(__name__)

_SLOW_S = 0.02
_DELAY_S = 0.2
_IN_INDEX_BYTES = 64 * 1024
_REMOVED_AT_ONCE = 64


class DiskStore:
    """Outputs in a folder, the least recently used ones removed when `limit_bytes` is exceeded.

    `limit_bytes` is for this process; None stands for the limit of the folder (see `budget`). It is kept to a
    64th. The store is also a `FileMemo`. Use it as a context manager, or close it. `clock` gives seconds since
    1970; the time of use is kept to ten minutes. `delay_s` is how long the outputs of quick nodes may wait for
    their commit.
    """

    def __init__(
        self,
        root: Path,
        limit_bytes: int | None = None,
        clock: Callable[[], float] = time.time,
        delay_s: float = _DELAY_S,
    ) -> None:
        """Open the folder, or make it. Where it cannot be written (read-only, full), what is in it is found, and
        nothing is kept; a warning says so.

        Raises:
            SettingsError: there is a file in place of the folder.
        """
        self.root = root
        self.blobs = BlobFolder(root / f"v{SCHEMA}")
        self.now = clock
        self._last_put = time.monotonic()
        self.index = self._open(delay_s)
        self.runs = RunLog(self.index)
        self.limit_bytes = limit_of(root, self._setting(LIMIT)) if limit_bytes is None else limit_bytes
        self.compressed = compressed_of(self._setting(COMPRESS))
        self._unchecked = self.limit_bytes  # bytes put since the limit was checked; at first anything may be there
        self._finalizer = weakref.finalize(self, self.index.close)
        self.sweep(PREFIXES[int(clock()) % len(PREFIXES)])

    def _open(self, delay_s: float) -> BufferedIndex:
        index = BufferedIndex(self.root / f"v{SCHEMA}" / "index.sqlite", self.blobs, self.now, delay_s)
        try:
            self.blobs.prepare()
            index.open()
            index.replay()
            self.blobs.sweep_temporary()
        except (FileExistsError, NotADirectoryError) as error:
            raise SettingsError(
                f"the cache folder {self.root} cannot be used: {error}",
                hint="choose another folder with --cache, or run with --no-cache",
            ) from error
        except (OSError, sqlite3.Error) as error:
            why = f"the cache folder {self.root} cannot be written: {error}"
            if not index.open_readonly(f"{why}; what is in it is used, and nothing is added"):
                index.give_up(f"the cache folder {self.root} cannot be used: {error}; nothing is cached")
        return index

    def _setting(self, name: str) -> str | None:
        return self.index.ask(lambda index: index.setting(name))

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
        for key, shown in self.index.find_shown(keys).items():
            try:
                found[key] = Entry(_ui(shown.ui), tuple(shown.digests.split()))
            except DamagedEncoding as error:
                logger.warning("a damaged entry of the cache %s is dropped: %s", self.root, error)
                self.index.drop_row(key)
        return found

    def get(self, key: str) -> Outputs | None:
        """The outputs, or None on a miss; a damaged entry is dropped."""
        found = self.index.find(key)
        if found is None:
            return None
        try:
            return self._outputs(found)
        except (DamagedBlob, DamagedEncoding) as error:
            self.drop(found, error)
        except CodecMissing as error:
            self.index.warn("cannot read all of the cache %s: %s", self.root, error)
        except (OSError, MemoryError) as error:  # too many open files, no permission: the entry may be good
            self.index.warn("cannot read the cache %s: %s", self.root, error)
        return None

    def _outputs(self, found: Found) -> Outputs:
        action, content, staged = found
        if content is not None:
            slots = decode(self.blobs.read(content, staged))
        elif action.structure is not None:
            slots = decode(action.structure)
        else:
            raise DamagedEncoding("the index names neither a content nor a structure")
        made = Made(action.class_type, action.seconds)
        return Outputs(slots, _ui(action.ui), tuple(action.digests.split()), made)

    def put(self, key: str, outputs: Outputs) -> bool:
        """Keep the outputs; False when they are no plain data or tensors, or there is no room.

        Where the outputs do not say how long the node took, the time since the last put counts.
        """
        ui = _ui_text(outputs.ui)
        if ui is None or not self.index.can_keep:
            return False
        try:
            encoded = encode_parts(outputs)
        except NotStorable as reason:
            logger.debug("outputs of %s are kept in memory only: %s", outputs.made.class_type or "a node", reason)
            return False
        except (MemoryError, RuntimeError) as error:  # whatever torch says of a tensor that it cannot copy
            self.index.warn("cannot write outputs to the cache %s: %s", self.root, error)
            return False
        now = self.now()
        content, staged = self._staged(encoded, now) if isinstance(encoded, Blob) else (None, None)
        structure = encoded if isinstance(encoded, str) else None
        if content is None and structure is None:
            return False
        action = self._action(key, content, structure, outputs, ui, now)
        kept = self.index.add(action, content, staged, at_once=self._is_slow(outputs.made))
        self._make_room(action.size if content is None else action.size + content.size)
        return kept

    def alias(self, key: str, existing: str) -> bool:
        """Have what is kept under `existing` found under `key`, too; False when there is none."""
        found = self.index.find(existing)
        if found is None:
            return False
        action = marked(found.action._replace(key=key, used=self.now()))
        return self.index.add(action, found.content, at_once=False)

    def free_memory(self) -> None:
        """Do nothing: what is kept is on disk."""

    def flush(self) -> None:
        """Write what is waiting."""
        self.index.flush()

    def recall(self, stamp: FileStamp) -> str | None:
        """The fingerprint remembered for exactly this stamp, or None."""
        return self.index.recall(stamp)

    def remember(self, stamp: FileStamp, fingerprint: str) -> None:
        """Remember a fingerprint; an older one of the same path is forgotten."""
        self.index.remember(stamp, fingerprint)

    def stats(self) -> StoreStats:
        """How much is kept; bytes as stored."""
        totals = self.index.totals()
        return StoreStats(totals.actions, totals.bytes)

    def timings(self) -> dict[str, Timing]:
        """What nodes took so far, by class: for estimates."""
        self.flush()
        return self.index.ask(lambda index: index.timings()) or {}

    def evictions(self, keys: Collection[str]) -> dict[str, Eviction]:
        """When and why those of the keys that were evicted are gone."""
        return self.index.ask(lambda index: eviction.evictions(index, keys)) or {}

    def close(self) -> None:
        """Write what is waiting and close the index; afterwards every `get` is a miss."""
        self._finalizer()

    # Removing

    def drop(self, found: Found, reason: Exception) -> bool:
        """Forget a damaged entry, and with it all that share its content; False when it is gone already."""
        if self.index.vanished():
            return False
        if not self.index.can_keep:
            self.index.warn("a damaged entry of the cache %s cannot be dropped: %s", self.root, reason)
        self.flush()
        dropped = False

        def forget(index: Index) -> None:
            nonlocal dropped
            current = index.find(found.action.key)
            dropped = current is not None and current.action.content == found.action.content
            if not dropped:
                return
            content = found.content if is_sound(found.action) else None  # which content it is, is not known then
            if content is not None and content.data is None:
                self.blobs.set_aside(content)
            keys, digests = ([found.action.key], []) if content is None else ([], [content.digest])
            eviction.forget(index, keys, digests, self.now(), "damaged")

        self.index.write(forget)
        if dropped:
            logger.warning("a damaged entry of the cache %s is dropped: %s", self.root, reason)
        return dropped

    def evict(self, limit_bytes: int, why: str = "budget") -> bool:
        """Remove the least recently used entries until the rest fits; False when the index fails."""
        self.flush()
        return self.forget(lambda index: eviction.evict(index, limit_bytes, self.now(), why))

    def forget(self, change: Callable[[Index], list[str]]) -> bool:
        """Make a change that leaves blobs unnamed, and remove these; False when the index fails."""
        unnamed: list[str] = []
        done = self.index.write(lambda index: unnamed.extend(change(index)))
        if done:
            self.remove_unnamed(unnamed)
        return done

    def remove_unnamed(self, digests: Iterable[str]) -> None:
        """Remove those blobs that no row names, also after somebody else has put them again meanwhile."""
        for some in _chunks(list(digests), _REMOVED_AT_ONCE):

            def remove(index: Index, some: Collection[str] = some) -> None:
                for digest in some:
                    if index.content(digest) is None:
                        self.blobs.remove(digest)

            self.index.write(remove)

    def sweep(self, prefix: str) -> tuple[int, int]:
        """Remove blobs of one folder that no row names, left by killed processes: how many, and bytes."""
        stored = self.blobs.stored(prefix)

        def unnamed(index: Index) -> list[tuple[str, Codec, int]]:
            known = {(c.digest, c.codec) for c in index.contents_in(prefix)}
            return [blob for blob in stored if blob[:2] not in known]

        if not stored or not self.index.ask(unnamed):
            return 0, 0
        removed: list[tuple[str, Codec, int]] = []

        def remove(index: Index) -> None:
            for blob in unnamed(index):  # asked again: now nobody can be giving names
                self.blobs.path(blob[0], blob[1]).unlink(missing_ok=True)
                removed.append(blob)

        try:
            self.index.write(remove)
        except OSError as error:
            self.index.warn("cannot remove from the cache %s: %s", self.root, error)
        return len(removed), sum(size for _, _, size in removed)

    # Writing

    @cached_property
    def _writer(self) -> str:
        from graphengine.cache.writer import writer_name  # 20 ms that a cached run does not need

        return writer_name()

    def _is_slow(self, made: Made) -> bool:
        """Whether to commit at once what took so long to make."""
        now = time.monotonic()
        since, self._last_put = now - self._last_put, now
        return (since if made.seconds is None else made.seconds) >= _SLOW_S

    def _action(
        self, key: str, content: Content | None, structure: str | None, outputs: Outputs, ui: str, now: float
    ) -> Action:
        digest = None if content is None else content.digest
        digests = " ".join(outputs.digests)
        size = len(ui) + len(structure or "")
        mark = checksum(key, digest, structure, ui, digests)
        seconds, writer = outputs.made.seconds, self._writer
        class_type = outputs.made.class_type
        if not class_type.isascii():
            class_type = class_type.encode("utf-8", "backslashreplace").decode()  # SQLite takes no half surrogates
        return Action(key, digest, structure, ui, digests, size, class_type, seconds, writer, now, now, mark)

    def _staged(self, blob: Blob, now: float) -> tuple[Content | None, Path | None]:
        """The content of a blob and where it lies until it is committed; none when there is no room for it."""
        digest = digest_of(blob.parts)
        known = self.index.knows(digest)
        if known is not None and (known.data is not None or self.blobs.has(known)):
            return known._replace(used=now), None
        frame = compress(blob.parts) if blob.kind in self.compressed else None
        codec: Codec = "" if frame is None else "zstd"
        parts = blob.parts if frame is None else (memoryview(frame),)
        content = Content(digest, codec, sum(part.nbytes for part in parts), blob.nbytes, None, now)
        if content.size > self.limit_bytes:
            return None, None
        if content.size <= _IN_INDEX_BYTES:
            return content._replace(data=b"".join(parts)), None
        try:
            return content, self.blobs.stage(parts)
        except OSError as error:
            if not self.index.vanished():
                self.index.warn(CANNOT_WRITE, self.root, error)
            return None, None

    def _make_room(self, size: int) -> None:
        """Keep the limit, to a 64th of it: looking at every row after each put would cost too much."""
        self._unchecked += size
        if self._unchecked * 64 < self.limit_bytes:
            return
        self._unchecked = 0
        totals = self.index.ask(lambda index: index.totals())
        if totals is not None and totals.bytes + self.index.waiting_bytes > self.limit_bytes:
            self.evict(self.limit_bytes)


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


def _chunks(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (items[start : start + size] for start in range(0, len(items), size))
