"""Questions and changes of an open index (see `schema`): actions, contents, fingerprints of files, settings.

Methods that write need a transaction. What is to be removed to make room, and what a user keeps, is in `eviction`.
"""

import logging
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from graphengine.cache.rows import Action, Content, Found, Shown, Timing, checksum
from graphengine.cache.schema import connect, connect_readonly, is_damage, move_aside, transaction

logger = logging.getLogger(__name__)

_CHUNK = 500
#: What a row of `actions` takes beside its texts, about.
ROW_BYTES = 300
_ACTION = "key, content, structure, ui, digests, size, class_type, seconds, writer, created, used, mark"
_CONTENT = "digest, codec, size, length, data, used"
_MARKS = {12: ",".join("?" * 12), 6: ",".join("?" * 6)}


@dataclass(frozen=True, slots=True)
class IndexTotals:
    """Rows and bytes: `inline_bytes` in the index itself, `blob_bytes` in `blobs` files."""

    actions: int
    contents: int
    blobs: int
    inline_bytes: int
    blob_bytes: int

    @property
    def bytes(self) -> int:
        """All bytes."""
        return self.inline_bytes + self.blob_bytes


class Index:
    """An open index. Its connection may be used by one thread at a time, whichever."""

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        """Open the index, or begin one; a damaged file is moved aside with a warning. Not so with `readonly`.

        Raises:
            NewerIndex: a later release wrote it.
            sqlite3.Error: it cannot be opened or written (permission, no room, locked for half a minute).
        """
        self._path = path
        try:
            self.connection = connect_readonly(path) if readonly else connect(path)
        except sqlite3.Error as error:
            if readonly or not is_damage(error):
                raise
            logger.warning("the cache index %s is damaged (%s); a new one is begun", path, error)
            move_aside(path)
            self.connection = connect(path)
        self._inode = _inode(path)

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing, and no other process writes meanwhile."""
        return transaction(self.connection)

    def is_in_place(self) -> bool:
        """Whether the file is still where it was opened."""
        return self._inode is not None and _inode(self._path) == self._inode

    def find(self, key: str) -> Found | None:
        """The action of a key and its content; None when either is missing."""
        row = self.connection.execute(
            "SELECT a.*, c.* FROM actions a LEFT JOIN contents c ON c.digest = a.content WHERE a.key = ?", (key,)
        ).fetchone()
        if row is None:
            return None
        action, content = Action(*row[:12]), Content(*row[12:])
        if action.content is None:
            return Found(action, None)
        return Found(action, content) if content.digest is not None else None

    def find_shown(self, keys: Sequence[str]) -> dict[str, Shown]:
        """What is needed to peek at those keys that are kept; damaged rows are left out."""
        found: dict[str, Shown] = {}
        for start in range(0, len(keys), _CHUNK):
            chunk = keys[start : start + _CHUNK]
            rows = self.connection.execute(
                "SELECT key, content, structure, ui, digests, used, mark FROM actions"
                f" WHERE key IN ({','.join('?' * len(chunk))})",
                chunk,
            )
            found.update(
                (key, Shown(ui, digests, used))
                for key, content, structure, ui, digests, used, stored in rows
                if checksum(key, content, structure, ui, digests) == stored
            )
        return found

    def content(self, digest: str) -> Content | None:
        """The content of a digest."""
        row = self.connection.execute(f"SELECT {_CONTENT} FROM contents WHERE digest = ?", (digest,)).fetchone()
        return Content(*row) if row else None

    def contents_in(self, prefix: str) -> list[Content]:
        """The contents whose digest begins so, without their data."""
        rows = self.connection.execute(
            "SELECT digest, codec, size, length, NULL, used FROM contents WHERE digest >= ? AND digest < ?"
            " AND data IS NULL",
            (prefix, prefix + "g"),
        )
        return [Content(*row) for row in rows]

    def add(self, actions: Iterable[Action], contents: Iterable[Content] = ()) -> None:
        """Write contents and actions; an action whose content is not there is left out."""
        self.connection.executemany(
            f"INSERT OR REPLACE INTO contents ({_CONTENT}) VALUES ({_MARKS[6]})", list(contents)
        )
        rows = list(actions)
        self.connection.executemany(
            f"INSERT OR REPLACE INTO actions ({_ACTION}) VALUES ({_MARKS[12]})",
            [row for row in rows if row.content is None],
        )
        self.connection.executemany(
            f"INSERT OR REPLACE INTO actions ({_ACTION}) SELECT {_MARKS[12]}"
            " WHERE EXISTS (SELECT 1 FROM contents WHERE digest = ?)",
            [(*row, row.content) for row in rows if row.content is not None],
        )

    def drop(self, key: str) -> None:
        """Forget one action."""
        self.connection.execute("DELETE FROM actions WHERE key = ?", (key,))

    def touch(self, keys: Iterable[str], now: float) -> None:
        """Note that actions and their contents were used."""
        rows = [(now, key) for key in keys]
        self.connection.executemany("UPDATE actions SET used = ? WHERE key = ?", rows)
        self.connection.executemany(
            "UPDATE contents SET used = ? WHERE digest = (SELECT content FROM actions WHERE key = ?)", rows
        )

    def keys_like(self, prefix: str) -> list[str]:
        """Keys that begin so, at most three."""
        end = prefix + "\U0010ffff"
        rows = self.connection.execute("SELECT key FROM actions WHERE key >= ? AND key < ? LIMIT 3", (prefix, end))
        return [key for (key,) in rows]

    def keys_after(self, key: str, count: int) -> list[str]:
        """The next keys in their order."""
        rows = self.connection.execute("SELECT key FROM actions WHERE key > ? ORDER BY key LIMIT ?", (key, count))
        return [key for (key,) in rows]

    def totals(self) -> IndexTotals:
        """How much the index knows of."""
        actions, rows = self.connection.execute("SELECT count(*), coalesce(sum(size), 0) FROM actions").fetchone()
        contents, blobs, inline, files = self.connection.execute(
            "SELECT count(*), count(*) - count(data), coalesce(sum(iif(data IS NULL, 0, size)), 0),"
            " coalesce(sum(iif(data IS NULL, size, 0)), 0) FROM contents"
        ).fetchone()
        return IndexTotals(actions, contents, blobs, rows + actions * ROW_BYTES + inline, files)

    def timings(self) -> dict[str, Timing]:
        """What nodes took so far, by class."""
        rows = self.connection.execute(
            "SELECT a.class_type, count(*), avg(a.seconds), avg(a.size + coalesce(c.length, 0)) FROM actions a"
            " LEFT JOIN contents c ON c.digest = a.content WHERE a.seconds IS NOT NULL GROUP BY a.class_type"
        )
        return {class_type: Timing(*rest) for class_type, *rest in rows}

    def recall(self, path: bytes, stamp: str) -> str | None:
        """The fingerprint remembered for a path with this stamp."""
        row = self.connection.execute(
            "SELECT fingerprint FROM files WHERE path = ? AND stamp = ?", (path, stamp)
        ).fetchone()
        return row[0] if row else None

    def remember(self, rows: Iterable[tuple[bytes, str, str]]) -> None:
        """Remember (path, stamp, fingerprint), one per path."""
        self.connection.executemany("INSERT OR REPLACE INTO files VALUES (?,?,?)", list(rows))

    def setting(self, name: str) -> str | None:
        """A setting of the folder."""
        row = self.connection.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def set(self, name: str, value: str) -> None:
        """Change a setting of the folder."""
        self.connection.execute("INSERT OR REPLACE INTO settings VALUES (?,?)", (name, value))

    def shrink(self) -> None:
        """Give room that nothing uses back to the disk; outside a transaction."""
        self.connection.executescript("PRAGMA incremental_vacuum")  # `execute` frees a single page
        self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    def restart(self) -> None:
        """Begin a new index in place of the damaged one, which is moved aside unless somebody else did that.

        Raises:
            sqlite3.Error: a new one cannot be opened.
            OSError: the file cannot be moved.
        """
        with suppress(sqlite3.Error):
            self.connection.close()
        if self.is_in_place():
            move_aside(self._path)
        self.connection = connect(self._path)
        self._inode = _inode(self._path)


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
