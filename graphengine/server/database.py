"""Queue and history in SQLite, so that both survive a restart.

All statements run in one thread, one after the other, each in a short transaction of its own; a transaction is
committed before anybody is told of the change. A process that is killed loses nothing that was committed; what a
power failure may lose is the last moment (WAL, `synchronous=NORMAL`). The file is locked: a second server on the
same one would run the same prompts.
"""

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from graphengine.errors import SettingsError
from graphengine.server.queue_items import FinishedPrompt, QueueItem

logger = logging.getLogger(__name__)

#: Entries of the history that are kept.
HISTORY = 10_000
_VERSION = 1
_SCHEMA = """
CREATE TABLE queue (
    prompt_id TEXT PRIMARY KEY, number REAL NOT NULL, arrival INTEGER NOT NULL, created INTEGER NOT NULL,
    workflow_id TEXT, item TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE history (
    position INTEGER PRIMARY KEY AUTOINCREMENT, prompt_id TEXT NOT NULL UNIQUE, status TEXT NOT NULL,
    number REAL NOT NULL, workflow_id TEXT, created INTEGER NOT NULL, started INTEGER NOT NULL,
    ended INTEGER NOT NULL, entry TEXT NOT NULL, job TEXT NOT NULL
);
"""

P = ParamSpec("P")
T = TypeVar("T")


class PromptTables:
    """The statements, each one transaction. Used in one thread at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def queued(self) -> list[QueueItem]:
        """All prompts that have not ended, in order; one that ran when the server ended is among them."""
        rows = self._connection.execute(
            "SELECT prompt_id, number, arrival, created, workflow_id, item FROM queue ORDER BY number, arrival"
        )
        return [QueueItem(*row) for row in rows]

    def last_number(self) -> int:
        """The greatest number given so far, -1 when none was."""
        query = "SELECT MAX(ABS(number)) FROM (SELECT number FROM queue UNION ALL SELECT number FROM history)"
        (number,) = self._connection.execute(query).fetchone()
        return -1 if number is None else int(number)

    def add(self, item: QueueItem) -> None:
        """Queue a prompt."""
        with self._connection:
            self._connection.execute(
                "INSERT INTO queue VALUES (?, ?, ?, ?, ?, ?)",
                (item.prompt_id, item.number, item.arrival, item.created, item.workflow_id, item.text),
            )

    def remove(self, prompt_ids: Iterable[str]) -> None:
        """Take prompts out of the queue."""
        with self._connection:
            self._connection.executemany("DELETE FROM queue WHERE prompt_id = ?", [(each,) for each in prompt_ids])

    def finish(self, done: FinishedPrompt) -> None:
        """Move a prompt from the queue to the history; an older entry of its id goes, and the oldest beyond the
        limit.
        """
        with self._connection as connection:
            connection.execute("DELETE FROM queue WHERE prompt_id = ?", (done.prompt_id,))
            connection.execute("DELETE FROM history WHERE prompt_id = ?", (done.prompt_id,))
            connection.execute(
                "INSERT INTO history (prompt_id, status, number, workflow_id, created, started, ended, entry, job)"
                " VALUES (:prompt_id, :status, :number, :workflow_id, :created, :started, :ended, :entry, :job)",
                asdict(done),
            )
            connection.execute(
                "DELETE FROM history WHERE position <= (SELECT position FROM history ORDER BY position DESC"
                " LIMIT 1 OFFSET ?)",
                (HISTORY,),
            )

    def ended(self, limit: int | None = None, offset: int = 0) -> list[str]:
        """Ids in the order in which the prompts ended; a negative offset gives the last `limit`."""
        count = -1 if limit is None else limit
        if offset < 0 and limit is not None:
            query = "SELECT prompt_id FROM history ORDER BY position DESC LIMIT ?"
            rows = self._connection.execute(query, (count,)).fetchall()[::-1]
        else:
            query = "SELECT prompt_id FROM history ORDER BY position LIMIT ? OFFSET ?"
            rows = self._connection.execute(query, (count, max(offset, 0))).fetchall()
        return [row[0] for row in rows]

    def entries(self, prompt_ids: Sequence[str]) -> list[tuple[str, str]]:
        """Ids and entries of those that are still there, in the order asked for."""
        found = ((prompt_id, self.entry(prompt_id)) for prompt_id in prompt_ids)
        return [(prompt_id, entry) for prompt_id, entry in found if entry is not None]

    def entry(self, prompt_id: str) -> str | None:
        """One entry, None when there is none."""
        row = self._connection.execute("SELECT entry FROM history WHERE prompt_id = ?", (prompt_id,)).fetchone()
        return None if row is None else str(row[0])

    def forget(self, prompt_ids: Iterable[str] | None) -> None:
        """Delete entries of the history, all of them for None."""
        with self._connection:
            if prompt_ids is None:
                self._connection.execute("DELETE FROM history")
            else:
                ids = [(each,) for each in prompt_ids]
                self._connection.executemany("DELETE FROM history WHERE prompt_id = ?", ids)

    def jobs(self) -> list[tuple[str, str, str | None, int, int]]:
        """Of each entry the id, the status, the workflow's id, when it was made and how long it ran."""
        query = "SELECT prompt_id, status, workflow_id, created, ended - started FROM history ORDER BY position"
        return self._connection.execute(query).fetchall()

    def job(self, prompt_id: str) -> tuple[str, str] | None:
        """The job and the history entry of one id."""
        query = "SELECT job, entry FROM history WHERE prompt_id = ?"
        row: tuple[str, str] | None = self._connection.execute(query, (prompt_id,)).fetchone()
        return row


class Database:
    """Runs the statements in a thread of its own, in the order in which they are asked for."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="database")
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open or make the file. A damaged one is moved aside.

        Raises:
            SettingsError: the file is in use by another server, or cannot be written.
        """
        self._connection = await self._in_thread(open_tables, self._file)

    async def call(
        self, statement: Callable[Concatenate[PromptTables, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """The result of a statement of `PromptTables`.

        Raises:
            sqlite3.Error: it failed, for instance on a full disk.
        """
        connection = self._connection
        if connection is None:
            raise sqlite3.ProgrammingError("the database is not open")
        return await self._in_thread(lambda: statement(PromptTables(connection), *args, **kwargs))

    async def _in_thread(self, work: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)

    async def close(self) -> None:
        """Close the file; nothing is called after it."""
        if self._connection is not None:
            await self._in_thread(self._connection.close)
            self._connection = None
        self._thread.shutdown()


def open_tables(file: Path | None) -> sqlite3.Connection:
    """The connection to the file, or to a database in memory.

    Raises:
        SettingsError: the file is in use by another server, or cannot be written.
    """
    if file is None:
        return _connect(":memory:")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return _connect(str(file))
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise SettingsError(f"cannot use {file}: {error}", hint="give another --user-directory") from error
        hint = "end it, or give this one another --user-directory"
        raise SettingsError(f"another server uses {file}", hint=hint) from error
    except sqlite3.DatabaseError as error:
        _move_aside(file, error)
        return _connect(str(file))
    except OSError as error:
        raise SettingsError(
            f"cannot use {file}: {error.strerror}", hint="give another --user-directory"
        ) from error


def _connect(name: str) -> sqlite3.Connection:
    connection = sqlite3.connect(name, timeout=0.2, check_same_thread=False)
    try:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        (health,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if health != "ok" or version not in (0, _VERSION):
            raise sqlite3.DatabaseError(health if health != "ok" else f"it has the unknown version {version}")
        if version == 0:
            connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version={_VERSION}; COMMIT;")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _move_aside(file: Path, error: sqlite3.DatabaseError) -> None:
    """Keep a damaged file, with what belongs to it, under another name."""
    kept = file.with_name(f"{file.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
    for suffix in ("", "-wal", "-shm"):
        part = Path(f"{file}{suffix}")
        if part.exists():
            os.replace(part, f"{kept}{suffix}")
    logger.warning("queue and history cannot be read (%s): the file is kept as %s, both begin empty", error, kept)
