"""What quick nodes gave, before it is committed: a file that rows are appended to.

A commit that waits for the disk is too dear for a node that adds two integers, so these wait for each other (see
`buffered_index`). Until then a row stands in a journal: one `write` per row, which the end of the process does not
undo. A journal is locked as long as its writer lives; whoever opens the folder later and gets the lock commits
what it holds and removes it. It is not synced: after a power loss it may end in garbage, which checksums tell.

    root/v2/journals/<process>-<id>

A row is a line with the CRC-32 of the rest, the lengths of header and data, then the header (JSON: action, content
without data, name of the staged file) and the data. A second key for what the row before holds is a row of its
own, with a header of key, time of use and mark.
"""

import json
import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import NamedTuple
from uuid import uuid4
from zlib import crc32

from pydantic import TypeAdapter, ValidationError

from graphengine.cache.rows import Action, Content

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:
    fcntl = None

logger = logging.getLogger(__name__)

#: Whether there are journals: Windows has no locks that end with their process.
HAS_JOURNALS = fcntl is not None

_MOST_BYTES = 64 * 2**20
_LINE = 32  # bytes of a line at most
_encode = json.JSONEncoder(separators=(",", ":")).encode  # made once: `dumps` would make one for every row


class Row(NamedTuple):
    """One row: an action, its content if it is not known yet, and the name of the staged file that holds it."""

    action: Action
    content: Content | None
    staged: str | None


_Header = tuple[Action, Content | None, str | None] | tuple[str, float, int]


@cache
def _headers() -> TypeAdapter[_Header]:
    # Made when the first journal is replayed: it takes milliseconds.
    return TypeAdapter(_Header)


class Journal:
    """A file for the rows of one group, until it is committed."""

    def __init__(self, folder: Path) -> None:
        """Begin one; the folder is made.

        Raises:
            OSError: it cannot be written.
        """
        folder.mkdir(exist_ok=True)
        self.path = folder / f"{os.getpid()}-{uuid4().hex}"
        self._last: Action | None = None
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        try:
            _lock(self._file)
        except OSError:  # a file system without locks
            self.discard()
            raise

    def add(self, action: Action, content: Content | None, staged: Path | None) -> None:
        """Append a row.

        Raises:
            OSError: no room; a part of the row may be there, and is told by its checksum.
        """
        data = b""
        if content is not None and content.data is not None:
            data, content = content.data, content._replace(data=None)
        if content is None and self._last is not None and action[1:10] == self._last[1:10]:
            header = _encode((action.key, action.used, action.mark)).encode()
        else:
            header = _encode((action, content, None if staged is None else staged.name)).encode()
        self._last = action
        line = b"%08x %d %d\n" % (crc32(data, crc32(header)), len(header), len(data))
        row = b"".join((line, header, data))
        if os.write(self._file, row) != len(row):
            raise OSError("a row was cut short")

    def discard(self) -> None:
        """Remove it: its rows are committed, or given up."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
        os.close(self._file)


@dataclass(slots=True)
class LeftJournal:
    """A journal whose writer is gone. It stays locked until it is removed or closed."""

    path: Path
    rows: list[Row] = field(default_factory=list)
    _file: int = -1

    def remove(self) -> None:
        """Remove it: its rows are committed."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._file)


def left_journals(folder: Path) -> Iterator[LeftJournal]:
    """The journals that killed processes left, each with its sound rows; those of living ones are passed over."""
    if fcntl is None or not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        try:
            file = os.open(path, os.O_RDWR)
        except OSError:  # it was removed meanwhile, or is somebody else's
            continue
        left = LeftJournal(path, [], file)
        try:
            _lock(file)
            left.rows.extend(_rows(file))
            yield left
        except BlockingIOError:
            continue
        except OSError as error:
            logger.debug("cannot read the journal %s: %s", path, error)
        finally:
            left.close()


def _lock(file: int) -> None:
    if fcntl is None:
        raise OSError("no locks on this system")
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _rows(file: int) -> Iterator[Row]:
    """The rows up to the first that is not sound."""
    data = memoryview(_read(file))
    place, last = 0, None
    while place < len(data):
        line, _, _ = bytes(data[place : place + _LINE]).partition(b"\n")
        lengths = _lengths(line)
        if lengths is None:
            return
        begin, (mark, header_length, data_length) = place + len(line) + 1, lengths
        header, place = data[begin : begin + header_length], begin + header_length + data_length
        content = data[begin + header_length : place]
        if place > len(data) or crc32(content, crc32(header)) != mark:
            return
        row = _row(bytes(header), bytes(content), last)
        if row is None:
            return
        last = row.action
        yield row


def _read(file: int) -> bytes:
    parts: list[bytes] = []
    left = _MOST_BYTES
    while left > 0 and (part := os.read(file, min(left, 2**20))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _lengths(line: bytes) -> tuple[int, int, int] | None:
    mark, *lengths = line.split(b" ")
    if len(lengths) != 2 or not all(length.isdigit() for length in lengths):
        return None
    try:
        return int(mark, 16), int(lengths[0]), int(lengths[1])
    except ValueError:
        return None


def _row(header: bytes, data: bytes, last: Action | None) -> Row | None:
    try:
        found = _headers().validate_json(header)
    except ValidationError:
        return None
    if isinstance(found[0], str):
        key, used, mark = found
        return None if last is None else Row(last._replace(key=key, used=used, mark=mark), None, None)
    action, content, staged = found
    if staged is not None and (not staged or Path(staged).name != staged):  # the name of a file in `tmp/`
        return None
    if content is not None and staged is None and data:
        content = content._replace(data=data)
    return Row(action, content, staged)
