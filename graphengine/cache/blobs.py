"""Content-addressed files: `blobs/ab/cdef….safetensors`, named by the SHA-256 of what they hold.

A blob is written under a temporary name in `tmp/`, synced to the disk, then renamed; the folder itself is not
synced. So the name never stands for half a file: a process that is killed leaves at most a temporary file, which
is removed by the next one to open the folder an hour later, and after a power loss a recent blob may be gone
altogether. Every read checks the digest.
"""

import os
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

_ABANDONED_S = 3600.0
_DIGEST_DIGITS = 64


class DamagedBlob(Exception):
    """A blob is missing, or not what its name says."""


class BlobFolder:
    """The blobs below one folder."""

    def __init__(self, root: Path) -> None:
        """Make the folders, try that they can be written, and remove what dead processes left.

        Raises:
            OSError: they cannot be made or written.
        """
        self._blobs = root / "blobs"
        self._tmp = root / "tmp"
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._tmp.mkdir(exist_ok=True)
        self._remove_abandoned()
        probe = self._new_name()
        probe.touch()
        self.discard(probe)

    def path(self, digest: str) -> Path:
        """Where the blob of this digest is or would be."""
        return self._blobs / digest[:2] / f"{digest[2:]}.safetensors"

    def has(self, digest: str, size: int) -> bool:
        """Whether a blob of this name and size (bytes) is there; its content is not read."""
        try:
            return self.path(digest).stat().st_size == size
        except OSError:
            return False

    def stage(self, data: bytes) -> Path:
        """A synced temporary file with this content, to be settled or discarded.

        Raises:
            OSError: no room, no permission; nothing is left behind.
        """
        path = self._new_name()
        try:
            with path.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:  # an interrupt, too, must leave nothing behind
            self.discard(path)
            raise
        return path

    def settle(self, staged: Path, digest: str) -> None:
        """Give a staged file its lasting name.

        Raises:
            OSError: the folder is gone or not writable; the staged file is removed.
        """
        path = self.path(digest)
        try:
            path.parent.mkdir(exist_ok=True)
            staged.replace(path)
        except OSError:
            self.discard(staged)
            raise

    def discard(self, staged: Path | None) -> None:
        """Remove a staged file, if there is one."""
        if staged is not None:
            with suppress(OSError):
                staged.unlink(missing_ok=True)

    def read(self, digest: str) -> bytes:
        """The content of a blob, checked against its digest.

        Raises:
            DamagedBlob: it is missing or has another digest.
            OSError: it is there, but cannot be read just now.
        """
        path = self.path(digest)
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise DamagedBlob(f"{path} is missing") from error
        if sha256(data).hexdigest() != digest:
            raise DamagedBlob(f"{path} has other content than its name says")
        return data

    def remove(self, digest: str) -> None:
        """Remove a blob, if it is there and can be removed."""
        with suppress(OSError):
            self.path(digest).unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove every blob, also those that no index knows."""
        for path in self._blobs.glob("??/*.safetensors"):
            digest = path.parent.name + path.stem
            if len(digest) == _DIGEST_DIGITS:
                self.remove(digest)

    def _new_name(self) -> Path:
        return self._tmp / f"{os.getpid()}-{uuid4().hex}"

    def _remove_abandoned(self) -> None:
        now = time.time()
        for path in self._tmp.iterdir():
            with suppress(OSError):
                if now - path.stat().st_mtime > _ABANDONED_S:
                    path.unlink()
