"""A file of lines that several processes append to, and that is read from its end.

A line is written with one call while the file is locked, so lines of two processes never mix. What a process left
that was killed while it wrote, a last line without its end, is passed over by readers, and removed by the next
that writes.
"""

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EACCES, EAGAIN
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: one write in append mode is all the care there is
    fcntl = None  # type: ignore[assignment]

#: Longest line that is written or read, in bytes.
LONGEST_LINE = 64 * 2**20
_BLOCK = 2**16
_PATIENCE = 5.0  # seconds for another process to write its line


@dataclass(frozen=True, slots=True)
class Line:
    """A line without its end; `offset` is where it begins in the file, `data` None where it is too long."""

    offset: int
    data: bytes | None


class LineFile:
    """The lines of a file, which need not be there yet."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, data: bytes) -> int:
        """Write a line, which has no newline in it; gives where it begins.

        Raises:
            OSError: it cannot be written, or another process holds the file for seconds.
            ValueError: it is too long.
        """
        if b"\n" in data or len(data) > LONGEST_LINE:
            raise ValueError(f"a line of {len(data):,} bytes cannot be written")
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _NEVER_WAIT, 0o666)
        try:
            _refuse_special(file, self.path)
            with _locked(file):
                end = _repaired(file)
                written = os.write(file, data + b"\n")
                if written != len(data) + 1:  # no room on the disk
                    os.ftruncate(file, end)
                    raise OSError(f"only {written} of {len(data) + 1} bytes could be written to {self.path}")
                return end
        finally:
            os.close(file)

    def end(self) -> int:
        """Where the last whole line ends; 0 when there is none."""
        try:
            with self._opened() as file:
                return _whole(file, os.fstat(file).st_size)
        except FileNotFoundError:
            return 0

    def backwards(self) -> Iterator[Line]:
        """The lines, last first; empty ones and a last one without its end are left out.

        Raises:
            OSError: the file cannot be read.
        """
        try:
            with self._opened() as file:
                yield from _backwards(file, _whole(file, os.fstat(file).st_size))
        except FileNotFoundError:
            return

    def forwards(self, start: int, end: int) -> Iterator[Line]:
        """The lines between two places at which lines begin.

        Raises:
            OSError: the file cannot be read.
        """
        with self.path.open("rb") as file:
            file.seek(start)
            while start < end:
                data = file.readline(LONGEST_LINE + 2)
                if not data:
                    return
                is_long = not data.endswith(b"\n")
                line, start = Line(start, None if is_long else data[:-1]), start + len(data)
                while is_long and data and not data.endswith(b"\n"):
                    data = file.readline(_BLOCK)
                    start += len(data)
                if line.data != b"":
                    yield line

    def at(self, offset: int, length: int) -> bytes:
        """So many bytes at a place, fewer where the file ends.

        Raises:
            OSError: the file cannot be read.
        """
        with self._opened() as file:
            return _read(file, min(length, LONGEST_LINE), offset)

    def number(self, offset: int) -> int:
        """Which line begins at a place, counted from 1."""
        count = 1
        with self.path.open("rb") as file:
            while offset > 0 and (block := file.read(min(offset, _BLOCK))):
                count += block.count(b"\n")
                offset -= len(block)
        return count

    @contextmanager
    def _opened(self) -> Iterator[int]:
        file = os.open(self.path, os.O_RDONLY | _NEVER_WAIT)
        try:
            _refuse_special(file, self.path)
            yield file
        finally:
            os.close(file)


#: Opening a pipe must not wait for somebody at its other end.
_NEVER_WAIT = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def _refuse_special(file: int, path: Path) -> None:
    if not stat.S_ISREG(os.fstat(file).st_mode):
        raise OSError(f"{path} is no regular file")


def _read(file: int, length: int, place: int) -> bytes:
    """So many bytes at a place, fewer where the file ends."""
    os.lseek(file, place, os.SEEK_SET)
    parts: list[bytes] = []
    while length > 0 and (part := os.read(file, length)):
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


@contextmanager
def _locked(file: int) -> Iterator[None]:
    """Hold the file alone; where the file system has no locks, go on without."""
    if fcntl is None:
        yield
        return
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError as error:
            if error.errno not in (EACCES, EAGAIN):
                break
            if time.monotonic() > until:
                raise TimeoutError("another process holds the history and does not let go of it") from error
            time.sleep(0.002)
    yield  # closing the file lets go of it


def _repaired(file: int) -> int:
    """The end of the file, after what a killed process left at it was removed."""
    size = os.fstat(file).st_size
    end = _whole(file, size)
    if end != size:
        os.ftruncate(file, end)
    return end


def _whole(file: int, size: int) -> int:
    """Where the last line that has its newline ends."""
    place = size
    while place > 0:
        begin = max(0, place - _BLOCK)
        found = _read(file, place - begin, begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        place = begin
    return 0


def _backwards(file: int, place: int) -> Iterator[Line]:
    """The lines before a place, which is behind a newline or 0."""
    parts: list[bytes] = []  # of the line that is gathered, last first
    length = 0
    while place > 0:
        begin = max(0, place - _BLOCK)
        block = _read(file, place - begin, begin)
        end = len(block)
        while (found := block.rfind(b"\n", 0, end)) >= 0:
            parts.append(block[found + 1 : end])
            length += end - found - 1
            if length:
                yield _gathered(begin + found + 1, parts, length)
            parts, length, end = [], 0, found
        length += end
        parts = [*parts, block[:end]] if length <= LONGEST_LINE else []
        place = begin
    if length:
        yield _gathered(0, parts, length)


def _gathered(offset: int, parts: list[bytes], length: int) -> Line:
    return Line(offset, b"".join(reversed(parts)) if length <= LONGEST_LINE else None)
