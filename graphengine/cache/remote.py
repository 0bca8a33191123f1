"""A cache that several machines share: a bucket of S3, Google or Azure, or a folder.

It stands behind the store on disk. What fails is a miss with one warning for each kind of failure; after three
failures in a row the remote is left alone for five minutes. Reading waits at most for the times in `RemoteLimits`;
writing happens in the background, and `close` waits for what is left.

Entries are written once: the second writer of a key keeps what is there. They are plain data and tensors only, as
on disk. Outputs whose message names files (of a node that saves pictures) are not shared: the files are here.

Contents and the digests of outputs are checked whenever they are read. That tells damage, not lies: who can write
to the remote can put wrong outputs under a key, with digests that fit. Only a key of one's own (`RemotePlace.key`)
tells these.
"""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from threading import Lock
from types import MappingProxyType, TracebackType
from typing import Any, Self

from graphengine.cache.compression import Codec, CodecMissing, DamagedFrame, compress, decompress
from graphengine.cache.content import recipe_digest, slot_digests
from graphengine.cache.encoding import DamagedEncoding, decode, encode
from graphengine.cache.remote_health import RemoteFailure, RemoteHealth, RemoteTroubles
from graphengine.cache.remote_lookup import RemoteLookup, UnwrittenBatch, action_name
from graphengine.cache.remote_objects import RemoteObjects
from graphengine.cache.remote_place import RemoteLimits, RemotePlace
from graphengine.cache.remote_records import (
    MAX_RECORD_BYTES,
    ContentReference,
    Record,
    batch_bytes,
    names_files,
    read_record,
    record_bytes,
)
from graphengine.cache.remote_uploads import Upload, Uploads
from graphengine.cache.store import Entry, Outputs

_NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


@dataclass(slots=True)
class _Pending:
    """Content that is on its way, and what is sent after it, by key."""

    data: bytes
    followers: dict[str, Upload] = field(default_factory=dict)


class RemoteStore:
    """Outputs at a `RemotePlace`, for any number of threads; nothing is connected before the first question.

    `options` are passed to obstore, which by default reads the environment variables of each cloud's tools.
    """

    # Any: obstore's options are typed for each cloud on its own
    def __init__(
        self,
        place: RemotePlace,
        limits: RemoteLimits = RemoteLimits(),  # noqa: B008 (frozen)
        options: Mapping[str, Any] = _NO_OPTIONS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.place = place
        self._limits = limits
        self._objects = RemoteObjects(place, limits, options)
        self._troubles = RemoteTroubles(place.url)
        self._reading = RemoteHealth(self._troubles, limits, "what it keeps is computed here", clock)
        self._writing = RemoteHealth(self._troubles, limits, "results are not shared", clock)
        self._lookup = RemoteLookup(self._objects, self._reading, self._troubles, place, limits, clock)
        self._uploads = Uploads(limits.queue_length, limits.queue_bytes)
        self._pending: dict[str, _Pending] = {}  # contents that are not sent yet, by digest
        self._damaged: set[str] = set()  # digests of contents that are to be written again
        self._lock = Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def peek(self, key: str) -> Entry | None:
        """What is kept under the key, or None: one request."""
        record = self._lookup.find(key)
        return record.entry() if record is not None else None

    def peek_many(self, keys: Collection[str]) -> dict[str, Entry]:
        """The entries of those keys that are kept."""
        return {key: record.entry() for key, record in self._lookup.find_many(keys).items()}

    def get(self, key: str) -> Outputs | None:
        """The outputs, or None on a miss; what is damaged is written again when it is put."""
        record = self._lookup.find(key)
        if record is None:
            return None
        try:
            slots = self._slots(record)
        except RemoteFailure as failure:
            if failure.kind in ("damaged", "missing"):
                self._lookup.forget(key)
                self._note_damaged(record.content)
            return None
        return Outputs(slots, record.entry().ui, record.digests, record.made)

    def put(self, key: str, outputs: Outputs) -> bool:
        """Send the outputs in the background; False when they are not to be shared, or too much waits.

        An entry that is there already stays.
        """
        if self.place.readonly or names_files(outputs.ui):
            return False
        if self._lookup.known(key) is not None:
            return True
        encoded = self._encoded(outputs) if self._writing.is_well() else None
        if encoded is None or len(encoded) > self._limits.max_bytes:
            return False
        record = Record(outputs.digests, outputs.ui, made=outputs.made)
        if isinstance(encoded, str):
            return self._share(key, replace(record, values=encoded), None)
        frame = compress((memoryview(encoded),))
        codec: Codec = "" if frame is None else "zstd"
        data = encoded if frame is None else frame
        content = ContentReference(sha256(encoded).hexdigest(), len(encoded), len(data), codec)
        return self._share(key, replace(record, content=content), data)

    def alias(self, key: str, existing: str) -> bool:
        """Find what is kept under `existing` under `key` as well, everywhere unless the store is read-only."""
        record = self._lookup.find(existing)
        if record is None:
            return False
        if self._lookup.known(key) is not None:
            return True
        if self.place.readonly:
            self._lookup.learn(key, record, sent=False)
            return True
        return self._share(key, record, None)

    def flush(self) -> None:
        """Do not wait for what is sent in the background: the next run may begin. `close` waits."""
        if self.place.readonly:
            return
        for batch in self._lookup.unwritten():
            self._uploads.add(Upload(lambda batch=batch: self._send_batch(batch)))  # type: ignore[misc]  # bound now

    def free_memory(self) -> None:
        """Do nothing: only what is not sent yet is in memory."""

    def close(self) -> None:
        """Wait for what is being sent, up to `RemoteLimits.close_s` seconds."""
        self.flush()
        left = self._uploads.finish(self._limits.close_s)
        if left:
            self._troubles.tell("late", f"{left} results were not sent in {self._limits.close_s:g} seconds")

    def _encoded(self, outputs: Outputs) -> str | bytes | None:
        try:
            encoded = encode(outputs)
        except (MemoryError, RuntimeError) as error:  # whatever torch says of a tensor that it cannot copy
            self._troubles.tell("encoding", f"results cannot be prepared for it ({error}): they are not shared")
            return None
        return encoded if encoded is None or isinstance(encoded, str) else bytes(encoded)

    def _slots(self, record: Record) -> tuple[tuple[object, ...], ...]:
        """The values of a record.

        Raises:
            RemoteFailure: they are not there, or not what the record says.
        """
        if record.content is None:
            return self._reading.ask(lambda: _decoded(record.values or "", record))
        with self._lock:
            pending = self._pending.get(record.content.digest)
        reference = record.content
        if pending is not None:
            return _decoded(_unpacked(pending.data, reference), record)
        return self._reading.ask(lambda: _decoded(self._download(reference), record))

    def _download(self, content: ContentReference) -> bytes | bytearray:
        size = max(content.size, content.stored)
        if size > self._limits.max_bytes:
            raise RemoteFailure("size", f"outputs have {size:,} bytes, {self._limits.max_bytes:,} are allowed")
        try:
            data = self._objects.read_exactly(content.name, content.stored)
        except RemoteFailure as failure:
            if failure.kind != "failed" or self._objects.size(content.name) == content.stored:
                raise
            raise RemoteFailure(
                "damaged", f"the outputs {content.digest[:12]} of an entry are cut off"
            ) from failure
        if data is None:
            raise RemoteFailure("missing", f"the outputs {content.digest[:12]} of an entry are gone")
        encoded = _unpacked(data, content)
        if sha256(encoded).hexdigest() != content.digest:
            raise RemoteFailure("damaged", f"the outputs {content.digest[:12]} of an entry are damaged")
        return encoded

    def _note_damaged(self, content: ContentReference | None) -> None:
        if content is not None:
            with self._lock:
                self._damaged.add(content.digest)

    def _share(self, key: str, record: Record, data: bytes | None) -> bool:
        """Queue an entry, and its content when there is any."""
        try:
            document = record_bytes(key, record, self.place.key)
            record = read_record(document, key, self.place.key)  # a copy: the node may go on changing its message
        except (TypeError, ValueError, RecursionError, RemoteFailure):  # a message that JSON cannot express
            return False
        if len(document) > MAX_RECORD_BYTES or not self._writing.is_well():
            return False
        self._lookup.learn(key, record, sent=False)
        if record.content is not None and self._follows(record.content, key, record, document, data):
            return True
        upload = Upload(lambda: self._send(key, record, document, data), len(document) + len(data or b""))
        if self._uploads.add(upload):
            return True
        self._settle(record.content if data is not None else None, is_sent=False)
        self._lookup.forget(key)
        self._troubles.tell("queue", "it takes results more slowly than they are made; some are not shared")
        return False

    def _follows(
        self, content: ContentReference, key: str, record: Record, document: bytes, data: bytes | None
    ) -> bool:
        """Whether the content is on its way already: then the entry is sent after it."""
        with self._lock:
            pending = self._pending.get(content.digest)
            if pending is not None:
                pending.followers[key] = Upload(lambda: self._send(key, record, document, None), len(document))
            elif data is not None:
                self._pending[content.digest] = _Pending(data)
        return pending is not None

    def _send(self, key: str, record: Record, document: bytes, data: bytes | None) -> None:
        is_sent = False
        try:
            if data is not None and (content := record.content) is not None:
                self._writing.ask(lambda: self._write_content(content, data))
            is_sent = True
            self._lookup.learn(
                key, self._writing.ask(lambda: self._write_action(key, record, document)), sent=True
            )
        except RemoteFailure:
            self._lookup.forget(key)
        finally:
            self._settle(record.content if data is not None else None, is_sent=is_sent)

    def _settle(self, content: ContentReference | None, *, is_sent: bool) -> None:
        """A content is sent, or will not be: so are the entries that waited for it."""
        if content is None:
            return
        with self._lock:
            pending = self._pending.pop(content.digest, None)
        for key, follower in pending.followers.items() if pending is not None else ():
            if not is_sent or not self._uploads.add(follower):
                self._lookup.forget(key)

    def _write_content(self, content: ContentReference, data: bytes) -> None:
        with self._lock:
            is_damaged = content.digest in self._damaged
        there = self._objects.size(content.name)
        if there is None:
            self._objects.write(content.name, data)
        elif is_damaged or there != content.stored:  # bytes are known by their digest: nothing good is lost
            self._objects.write(content.name, data, replace=True)
        with self._lock:
            self._damaged.discard(content.digest)

    def _write_action(self, key: str, record: Record, document: bytes) -> Record:
        """Write an entry; gives the one that is there afterwards. One that nobody can read is replaced."""
        name = action_name(key)
        if self._objects.write(name, document):
            return record
        try:
            present = self._objects.read(name, MAX_RECORD_BYTES)
            if present is None:
                raise RemoteFailure("missing", f"the entry {key[:12]} was removed just now")
            other = read_record(present, key, self.place.key)
        except RemoteFailure as failure:
            if failure.kind not in ("damaged", "unsigned", "size"):
                raise
            self._objects.write(name, document, replace=True)
            return record
        if other != record:
            self._troubles.tell(
                "conflict", f"the entry {key[:12]} has other outputs than were made here; the first ones stay"
            )
        return other

    def _send_batch(self, batch: UnwrittenBatch) -> None:
        """Write the copies of a graph's entries, when more are known than the batch has."""
        records = self._lookup.sent(batch.keys)
        if len(records) <= batch.had:
            return
        try:
            document = batch_bytes(records, self.place.key)
            self._writing.ask(lambda: self._objects.write(batch.name, document, replace=True))
        except RemoteFailure:
            return


def _unpacked(data: bytes, content: ContentReference) -> bytes | bytearray:
    """The encoded outputs.

    Raises:
        RemoteFailure: they are compressed and zstandard is not installed, or the frame is damaged.
    """
    if not content.codec:
        return data
    try:
        return decompress(data, content.size)
    except CodecMissing as error:
        raise RemoteFailure("codec", f"{error}: pip install 'graphengine-comfy[compress]'") from error
    except (DamagedFrame, MemoryError) as error:
        raise RemoteFailure("damaged", f"the outputs {content.digest[:12]} of an entry are damaged") from error


def _decoded(encoded: str | bytes | bytearray, record: Record) -> tuple[tuple[object, ...], ...]:
    try:
        slots = decode(encoded)
    except (DamagedEncoding, MemoryError) as error:
        raise RemoteFailure("damaged", f"the outputs of an entry cannot be read: {error}") from error
    if record.digests:
        _check_digests(slots, record.digests)
    return slots


def _check_digests(slots: tuple[tuple[object, ...], ...], promised: tuple[str, ...]) -> None:
    """Have the outputs the digests that were promised?

    Raises:
        RemoteFailure: they have others.
    """
    found = slot_digests(slots, "")
    for index, (digest, wanted) in enumerate(zip(found, promised, strict=False)):
        # what has no digest of its own was promised by its recipe, which is not known here
        if digest not in (wanted, recipe_digest("", index)):
            raise RemoteFailure("damaged", "the outputs of an entry have other digests than it says")
    if len(found) != len(promised):
        raise RemoteFailure("damaged", f"an entry promises {len(promised)} outputs and has {len(found)}")
