"""Content-addressed files: `blobs/ab/cdef….safetensors`, named by the SHA-256 of what they hold, uncompressed.

A blob is written under a temporary name in `tmp/`, synced to the disk, renamed, and its folder synced. So a name
never stands for half a file, neither when the process is killed nor after a power loss; what is left behind is a
temporary file, removed an hour later. Every read checks the digest.
"""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from itertools import islice
from pathlib import Path
from uuid import uuid4

from graphengine.cache.compression import Codec, DamagedFrame, decompress
from graphengine.cache.rows import Content

_ABANDONED_S = 3600.0
_LOOKED_AT = 1000
_HEX = frozenset("0123456789abcdef")
_SUFFIXES: dict[str, Codec] = {".safetensors": "", ".safetensors.zst": "zstd"}
_SUFFIX_OF = {codec: suffix for suffix, codec in _SUFFIXES.items()}
#: The names of the folders that blobs are spread over.
PREFIXES = tuple(f"{number:02x}" for number in range(256))


class DamagedBlob(Exception):
    """A blob is missing, or not what its name says."""


class BlobFolder:
    """The blobs below one folder."""

    def __init__(self, root: Path) -> None:
        self._blobs = root / "blobs"
        self._tmp = root / "tmp"
        self._damaged = root / "damaged"

    def prepare(self) -> None:
        """Make the folders, and try that they can be written.

        Raises:
            OSError: they cannot be made or written.
        """
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._tmp.mkdir(exist_ok=True)
        probe = self._new_name()
        probe.touch()
        self.discard(probe)

    def path(self, digest: str, codec: Codec = "") -> Path:
        """Where the blob of this digest is or would be."""
        return self._blobs / digest[:2] / f"{digest[2:]}{_SUFFIX_OF[codec]}"

    def has(self, content: Content) -> bool:
        """Whether a blob of this name and size is there; its content is not read."""
        try:
            return self.path(content.digest, content.codec).stat().st_size == content.size
        except OSError:
            return False

    def staged_path(self, name: str) -> Path:
        """Where a staged file of this name lies."""
        return self._tmp / name

    def stage(self, parts: Iterable[bytes | memoryview]) -> Path:
        """A temporary file with this content, not yet synced, to be settled or discarded.

        Raises:
            OSError: no room, no permission; nothing is left behind.
        """
        path = self._new_name()
        try:
            with path.open("xb") as file:
                file.writelines(parts)
        except BaseException:  # an interrupt, too, must leave nothing behind
            self.discard(path)
            raise
        return path

    def sync(self, path: Path) -> None:
        """Wait until a file, or what a folder lists, is on the disk.

        Raises:
            OSError: it is not there, or the disk fails.
        """
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def settle(self, staged: Path, content: Content) -> Path:
        """Give a staged file its lasting name; the folder that lists it, to be synced.

        Raises:
            OSError: the folder is gone or not writable.
        """
        path = self.path(content.digest, content.codec)
        path.parent.mkdir(exist_ok=True)
        staged.replace(path)
        return path.parent

    def discard(self, staged: Path | None) -> None:
        """Remove a staged file, if there is one."""
        if staged is not None:
            with suppress(OSError):
                staged.unlink(missing_ok=True)

    def read(self, content: Content, staged: Path | None = None) -> bytearray:
        """The bytes of a content, checked against its digest.

        Raises:
            DamagedBlob: they are missing or have another digest.
            CodecMissing: they cannot be decompressed here.
            OSError: the blob is there, but cannot be read just now.
        """
        data = bytearray(content.data) if content.data is not None else self._read_file(content, staged)
        if content.codec:
            try:
                data = decompress(data, content.length)
            except DamagedFrame as error:
                raise DamagedBlob(f"{content.digest} cannot be decompressed: {error}") from error
        if sha256(data).hexdigest() != content.digest:
            raise DamagedBlob(f"{content.digest} has other content than its name says")
        return data

    def _read_file(self, content: Content, staged: Path | None) -> bytearray:
        """The bytes as stored: at most as many as the index says, and one, so that a longer file is noticed."""
        path = self.path(content.digest, content.codec)
        for name in (path,) if staged is None else (staged, path):  # it may be settled meanwhile
            try:
                return _read_at_most(name, content.size)
            except FileNotFoundError:
                continue
        raise DamagedBlob(f"{path} is missing")

    def remove(self, digest: str) -> None:
        """Remove the blobs of a digest, if there are any and they can be removed."""
        for suffix in _SUFFIXES.values():
            with suppress(OSError):
                self.path(digest, suffix).unlink(missing_ok=True)

    def set_aside(self, content: Content) -> Path | None:
        """Move a damaged blob into `damaged/`, where it can be looked at; its new name, None when that fails."""
        path = self.path(content.digest, content.codec)
        aside = self._damaged / f"{content.digest}{_SUFFIX_OF[content.codec]}"
        try:
            self._damaged.mkdir(exist_ok=True)
            path.replace(aside)
        except OSError:
            self.remove(content.digest)
            return None
        return aside

    def stored(self, prefix: str) -> list[tuple[str, Codec, int]]:
        """Digest, codec and bytes of every blob in the folder of a prefix."""
        found: list[tuple[str, Codec, int]] = []
        with suppress(OSError), os.scandir(self._blobs / prefix) as entries:
            for entry in entries:
                rest, dot, suffix = entry.name.partition(".")
                codec = _SUFFIXES.get(dot + suffix)
                if codec is not None and len(rest) == 62 and _HEX.issuperset(rest):
                    found.append((prefix + rest, codec, entry.stat(follow_symlinks=False).st_size))
        return found

    def sweep_temporary(self, older_than_s: float = _ABANDONED_S) -> int:
        """Remove temporary files that nobody can be writing any more; how many. At most a thousand are looked at.

        A file from the future is as old: the clock was set back since.
        """
        removed = 0
        for path in islice(self._tmp.iterdir(), _LOOKED_AT):
            with suppress(OSError):
                if abs(time.time() - path.stat().st_mtime) > older_than_s:
                    path.unlink()
                    removed += 1
        return removed

    def set_aside_bytes(self) -> int:
        """How much lies in `damaged/`."""
        return sum(path.stat().st_size for path in self._damaged_files())

    def clear_damaged(self) -> None:
        """Remove what was set aside."""
        for path in self._damaged_files():
            with suppress(OSError):
                path.unlink()

    def _damaged_files(self) -> Iterator[Path]:
        return self._damaged.iterdir() if self._damaged.is_dir() else iter(())

    def _new_name(self) -> Path:
        return self._tmp / f"{os.getpid()}-{uuid4().hex}"


def _read_at_most(path: Path, size: int) -> bytearray:
    """All bytes of a file of `size` bytes, into a buffer that tensors can use without another copy.

    Raises:
        DamagedBlob: the file has another size.
        OSError: it cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        if os.fstat(file.fileno()).st_size != size:
            raise DamagedBlob(f"{path} has not the size that the index says")
        data = bytearray(size)
        view = memoryview(data)
        filled = 0
        while filled < size and (count := file.readinto(view[filled:])):
            filled += count
        view.release()
    return data


def digest_of(parts: Sequence[memoryview]) -> str:
    """SHA-256 (hex) of all parts in a row."""
    content = sha256()
    for part in parts:
        content.update(part)
    return content.hexdigest()
