"""The SQLite index of a disk store: what is kept under which key, in which blob, and fingerprints of files.

Schema 1. `actions` has one row per cache key: the digest of its blob or, for small plain data, the structure
itself, and what the node showed. `contents` has one row per blob. `files` remembers fingerprints of files by path.

An index of an older schema is brought up to date by the release that changes the schema (there is none older than
1); one of a newer schema is left alone (`NewerIndex`). A file that is no index or damaged is moved aside, together
with its write-ahead log, and a new one begun: a cache may be lost, never wrong.

WAL with `synchronous=NORMAL`: what is committed survives the end of the process at any moment; after a power loss
the last commits may be missing.
"""

import logging
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

logger = logging.getLogger(__name__)

SCHEMA = 1
_BUSY_S = 30.0
_CHUNK = 500
_TABLES = (
    "CREATE TABLE actions (key TEXT PRIMARY KEY, content TEXT, structure TEXT, ui TEXT NOT NULL,"
    " size INTEGER NOT NULL, created REAL NOT NULL, used REAL NOT NULL) WITHOUT ROWID",
    "CREATE TABLE contents (digest TEXT PRIMARY KEY, size INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE files (path BLOB PRIMARY KEY, stamp TEXT NOT NULL, fingerprint TEXT NOT NULL) WITHOUT ROWID",
)


class NewerIndex(Exception):
    """The index has a schema of a later release."""


class Action(NamedTuple):
    """One row of `actions`: `content` is a blob's digest, or `structure` the values themselves.

    `size` is in bytes (of the blob, or of the texts), the times are seconds since 1970.
    """

    key: str
    content: str | None
    structure: str | None
    ui: str
    size: int
    created: float
    used: float


class Shown(NamedTuple):
    """What a peek needs of an action."""

    ui: str
    used: float


@dataclass(frozen=True, slots=True)
class IndexTotals:
    """Rows and bytes: `inline_bytes` in the index itself, `blob_bytes` in blobs."""

    actions: int
    blobs: int
    inline_bytes: int
    blob_bytes: int


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error says that the file is no sound SQLite database, or not one of ours."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return False
    if code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return True
    return "no such" in str(error) or "already exists" in str(error)  # a table or column: somebody else's database


class Index:
    """An open index. Its connection may be used by one thread at a time, whichever."""

    def __init__(self, path: Path) -> None:
        """Open the index, or begin one; a damaged file is moved aside with a warning.

        Raises:
            NewerIndex: a later release wrote it.
            sqlite3.Error: it cannot be opened or written (permission, no room, locked for half a minute).
        """
        self._path = path
        try:
            self._connection = _open(path)
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            logger.warning("the cache index %s is damaged (%s); a new one is begun", path, error)
            move_aside(path)
            self._connection = _open(path)

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing, and no other process writes meanwhile."""
        return _transaction(self._connection)

    def find(self, key: str) -> Action | None:
        """The action of a key."""
        row = self._connection.execute("SELECT * FROM actions WHERE key = ?", (key,)).fetchone()
        return Action(*row) if row else None

    def find_shown(self, keys: Sequence[str]) -> dict[str, Shown]:
        """What the actions of those keys that are kept showed."""
        found: dict[str, Shown] = {}
        for start in range(0, len(keys), _CHUNK):
            chunk = keys[start : start + _CHUNK]
            marks = ",".join("?" * len(chunk))
            rows = self._connection.execute(f"SELECT key, ui, used FROM actions WHERE key IN ({marks})", chunk)
            found.update((key, Shown(ui, used)) for key, ui, used in rows)
        return found

    def add(self, actions: Iterable[Action]) -> None:
        """Write actions and the blobs they name; needs a transaction."""
        rows = list(actions)
        self._connection.executemany("INSERT OR REPLACE INTO actions VALUES (?,?,?,?,?,?,?)", rows)
        blobs = [(row.content, row.size) for row in rows if row.content is not None]
        self._connection.executemany("INSERT OR REPLACE INTO contents VALUES (?,?)", blobs)

    def touch(self, keys: Iterable[str], now: float) -> None:
        """Note that actions were used; needs a transaction."""
        self._connection.executemany("UPDATE actions SET used = ? WHERE key = ?", [(now, key) for key in keys])

    def drop(self, key: str) -> None:
        """Forget one action; needs a transaction."""
        self._connection.execute("DELETE FROM actions WHERE key = ?", (key,))

    def drop_content(self, digest: str) -> None:
        """Forget a blob and every action that names it; needs a transaction."""
        self._connection.execute("DELETE FROM actions WHERE content = ?", (digest,))
        self._connection.execute("DELETE FROM contents WHERE digest = ?", (digest,))

    def evict(self, limit_bytes: int) -> list[str]:
        """Forget the least recently used actions until the rest fits; needs a transaction.

        Returns the digests of blobs that nothing names any more, for the caller to remove.
        """
        orphans = self._drop_orphans()
        totals = self.totals()
        surplus = totals.inline_bytes + totals.blob_bytes - limit_bytes
        if surplus <= 0:
            return orphans
        uses = dict(
            self._connection.execute(
                "SELECT content, count(*) FROM actions WHERE content IS NOT NULL GROUP BY content"
            ).fetchall()
        )
        dropped: list[tuple[str]] = []
        for key, content, size in self._connection.execute(
            "SELECT key, content, size FROM actions ORDER BY used, key"
        ):
            if surplus <= 0:
                break
            dropped.append((key,))
            if content is not None:
                uses[content] -= 1
            if content is None or uses[content] == 0:
                surplus -= size
        self._connection.executemany("DELETE FROM actions WHERE key = ?", dropped)
        return orphans + self._drop_orphans()

    def _drop_orphans(self) -> list[str]:
        rows = self._connection.execute(
            "SELECT digest FROM contents"
            " WHERE digest NOT IN (SELECT content FROM actions WHERE content IS NOT NULL)"
        ).fetchall()
        self._connection.executemany("DELETE FROM contents WHERE digest = ?", rows)
        return [digest for (digest,) in rows]

    def totals(self) -> IndexTotals:
        """How much the index knows of."""
        actions, inline = self._connection.execute(
            "SELECT count(*), coalesce(sum(CASE WHEN content IS NULL THEN size ELSE 0 END), 0) FROM actions"
        ).fetchone()
        blobs, size = self._connection.execute("SELECT count(*), coalesce(sum(size), 0) FROM contents").fetchone()
        return IndexTotals(actions, blobs, inline, size)

    def clear(self) -> None:
        """Forget everything; needs a transaction."""
        for table in ("actions", "contents", "files"):
            self._connection.execute(f"DELETE FROM {table}")

    def recall(self, path: bytes, stamp: str) -> str | None:
        """The fingerprint remembered for a path with this stamp."""
        row = self._connection.execute(
            "SELECT fingerprint FROM files WHERE path = ? AND stamp = ?", (path, stamp)
        ).fetchone()
        return row[0] if row else None

    def remember(self, rows: Iterable[tuple[bytes, str, str]]) -> None:
        """Remember (path, stamp, fingerprint), one per path; needs a transaction."""
        self._connection.executemany("INSERT OR REPLACE INTO files VALUES (?,?,?)", rows)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def restart(self) -> None:
        """Move the damaged file aside and begin a new one.

        Raises:
            sqlite3.Error: a new one cannot be opened.
            OSError: the file cannot be moved.
        """
        with suppress(sqlite3.Error):
            self._connection.close()
        move_aside(self._path)
        self._connection = _open(self._path)


def move_aside(path: Path) -> Path:
    """Rename a damaged index and its log to `….damaged-<time>`; the new name of the index.

    Raises:
        OSError: it cannot be renamed.
    """
    aside = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).replace(aside.with_name(aside.name + suffix))
    return aside


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        _schema(connection)  # before anything is changed
        _use_wal(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        with _transaction(connection):  # fails at once where the file cannot be written
            if _schema(connection) != SCHEMA:
                for statement in _TABLES:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {SCHEMA}")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:  # an interrupt must not leave the transaction open
        with suppress(sqlite3.Error):  # a full disk has rolled back already
            connection.execute("ROLLBACK")
        raise


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead logging; SQLite does not wait for others here, so we do."""
    end = time.monotonic() + _BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return


def _schema(connection: sqlite3.Connection) -> int:
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if found > SCHEMA:
        raise NewerIndex(f"schema {found}, this release knows {SCHEMA}")
    return found
