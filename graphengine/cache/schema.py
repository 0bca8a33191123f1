"""The SQLite file of a disk store: its tables, how it is opened, and what is done when it is damaged.

Schema 2. `actions` has one row per cache key, `contents` one per blob or small content (see `rows`), as Bazel
keeps action results and contents apart: several keys may share a content. `pins` are keys that nothing evicts,
`evicted` tells what is gone and why, `runs` which keys a run used, `files` are fingerprints of files by path, and
`settings` hold the budget of the folder, which all processes share.

Each schema has a folder of its own (`v2/`), also when only the encoding of values changes. So two releases on one
cache folder do not see each other's entries, and an older index is left as it is. A file in our folder that says
it is newer is left alone, too (`NewerIndex`). One that is no index or damaged is moved aside, together with its
write-ahead log, and a new one begun: a cache may be lost, never wrong.

WAL with `synchronous=FULL`: what is committed survives the end of the process and a power loss at any moment.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SCHEMA = 2
_BUSY_S = 30.0
_WAL_BYTES = 64 * 2**20
_TABLES = (
    "CREATE TABLE actions (key TEXT PRIMARY KEY, content TEXT, structure TEXT, ui TEXT NOT NULL,"
    " digests TEXT NOT NULL, size INTEGER NOT NULL, class_type TEXT NOT NULL, seconds REAL, writer TEXT NOT NULL,"
    " created REAL NOT NULL, used REAL NOT NULL, mark INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX action_contents ON actions (content) WHERE content IS NOT NULL",
    "CREATE TABLE contents (digest TEXT PRIMARY KEY, codec TEXT NOT NULL, size INTEGER NOT NULL,"
    " length INTEGER NOT NULL, data BLOB, used REAL NOT NULL)",
    "CREATE TABLE pins (key TEXT PRIMARY KEY, pinned REAL NOT NULL) WITHOUT ROWID",
    "CREATE TABLE evicted (key TEXT PRIMARY KEY, at REAL NOT NULL, why TEXT NOT NULL, class_type TEXT NOT NULL)"
    " WITHOUT ROWID",
    "CREATE TABLE runs (id TEXT PRIMARY KEY, file BLOB NOT NULL, started REAL NOT NULL, count INTEGER NOT NULL,"
    " keys TEXT NOT NULL)",
    "CREATE TABLE files (path BLOB PRIMARY KEY, stamp TEXT NOT NULL, fingerprint TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
)


class NewerIndex(Exception):
    """The index has a schema of a later release."""


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error says that the file is no sound SQLite database, or not one of ours."""
    text = str(error)
    if "Could not decode to UTF-8" in text:
        return True
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return False
    if code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return True
    return "no such" in text or "already exists" in text  # a table or column: somebody else's database


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


def connect(path: Path) -> sqlite3.Connection:
    """An open index of this schema, begun where there is none.

    Raises:
        NewerIndex: a later release wrote it.
        sqlite3.Error: it is damaged, or cannot be opened or written (permission, no room, locked for long).
    """
    connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        fresh = _schema(connection) != SCHEMA  # before anything is changed
        if fresh:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        _use_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
        with transaction(connection):  # fails at once where the file cannot be written
            if _schema(connection) != SCHEMA:
                for statement in _TABLES:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {SCHEMA}")
    except BaseException:
        connection.close()
        raise
    return connection


def connect_readonly(path: Path) -> sqlite3.Connection:
    """An open index of this schema that cannot be written.

    Where others cannot share their log with us (the folder is read-only, and nobody has it open), what is in the
    log is not seen; all else is.

    Raises:
        NewerIndex: a later release wrote it.
        sqlite3.Error: there is none, or it cannot be read.
    """
    try:
        return _connect_readonly(path, "mode=ro")
    except sqlite3.Error:
        return _connect_readonly(path, "mode=ro&immutable=1")


def _connect_readonly(path: Path, query: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{query}",
        timeout=_BUSY_S,
        isolation_level=None,
        check_same_thread=False,
        uri=True,
    )
    try:
        if _schema(connection) != SCHEMA:
            raise sqlite3.DatabaseError("it has no tables yet")
        connection.execute("SELECT 1 FROM actions LIMIT 1").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, and no other process writes meanwhile."""
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
