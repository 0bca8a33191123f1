"""Where the runs of a history stand in its file, by id, workflow file and output: `index.sqlite`.

The index is derived. It is brought up to date when it is asked, and made anew when it is missing, damaged, of
another version, or when the lines it knows are not those of the file. Where the folder cannot be written it is
made in memory.
"""

import logging
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from graphengine.provenance.history.line_file import Line, LineFile

logger = logging.getLogger(__name__)

_FORMAT = 1
_SCHEMA = """
CREATE TABLE state (format INTEGER, until INTEGER, last INTEGER, length INTEGER, digest TEXT);
CREATE TABLE runs (place INTEGER PRIMARY KEY, id TEXT, started REAL, file TEXT, workflow TEXT, status TEXT);
CREATE TABLE outputs (sha256 TEXT, path TEXT, place INTEGER);
CREATE INDEX run_ids ON runs (id);
CREATE INDEX run_files ON runs (file, place);
CREATE INDEX output_digests ON outputs (sha256, place);
CREATE INDEX output_paths ON outputs (path, place);
"""


@with_config(ConfigDict(extra="ignore"))
@dataclass(frozen=True, slots=True)
class _Output:
    sha256: str
    path: str


@with_config(ConfigDict(extra="ignore"))
@dataclass(frozen=True, slots=True)
class _Entry:
    """What the index has of a run."""

    id: str
    started: float
    workflow: str
    status: str
    file: str | None = None
    outputs: tuple[_Output, ...] = ()


@dataclass(frozen=True, slots=True)
class _State:
    """Up to where the file is known: the place, length and hash of the last known line."""

    until: int = 0
    last: int = 0
    length: int = 0
    digest: str = ""


class HistoryIndex:
    """Finds places of runs in the file of a history."""

    def __init__(self, path: Path, lines: LineFile) -> None:
        self.path = path
        self._lines = lines

    @cached_property
    def _entries(self) -> TypeAdapter[_Entry]:
        return TypeAdapter(_Entry)  # takes milliseconds, and a run asks nothing

    def places(self, *, file: str | None = None, output_sha256: str | None = None) -> list[int]:
        """Where the runs begin that are of a workflow file, or made an output, or both; the last first."""
        where, values = [], []
        if file is not None:
            where.append("file = ?")
            values.append(file)
        if output_sha256 is not None:
            where.append("place IN (SELECT place FROM outputs WHERE sha256 = ?)")
            values.append(output_sha256)
        condition = f" WHERE {' AND '.join(where)}" if where else ""
        return self._ask(f"SELECT place FROM runs{condition} ORDER BY place DESC", values)

    def of_path(self, path: str) -> list[int]:
        """Where the runs begin that saved a file of this path, the last first."""
        return self._ask("SELECT DISTINCT place FROM outputs WHERE path = ? ORDER BY place DESC", [path])

    def ids(self, text: str) -> list[tuple[str, int]]:
        """Ids that begin or end so, with where their runs begin, the last first; at most twenty."""
        sql = (
            "SELECT id, max(place) AS last FROM runs WHERE substr(id, 1, ?) = ? OR substr(id, -?) = ?"
            " GROUP BY id ORDER BY last DESC LIMIT 20"
        )
        return self._rows(sql, (len(text), text, len(text), text))

    def _ask(self, sql: str, values: Sequence[str]) -> list[int]:
        return [place for (place,) in self._rows(sql, values)]

    # Any: values of SQLite.
    def _rows(self, sql: str, values: Sequence[Any]) -> list[Any]:
        """What the index answers when it is up to date; a damaged one is made anew."""
        for attempt in range(2):
            try:
                with _connected(self.path) as index:
                    self._update(index)
                    return index.execute(sql, values).fetchall()
            except sqlite3.DatabaseError as error:
                logger.debug("the index %s is made anew: %s", self.path, error)
                if attempt == 0:
                    with suppress(OSError):
                        self.path.unlink(missing_ok=True)
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as index:  # the folder cannot be written
            self._update(index)
            return index.execute(sql, values).fetchall()

    def _update(self, index: sqlite3.Connection) -> None:
        """Take in the lines that are new."""
        end = self._lines.end()
        state = _state(index)
        if state is not None and state.until == end and (end == 0 or self._holds(state)):
            return
        with index:
            index.execute("BEGIN IMMEDIATE")
            state = _state(index)
            if state is None or state.until > end or not self._holds(state):
                _begin(index)
                state = _State()
            if state.until < end:
                self._take_in(index, state, end)

    def _holds(self, state: _State) -> bool:
        """Whether the last line that the index knows stands where it stood."""
        if not state.digest:
            return state.until == 0
        return sha256(self._lines.at(state.last, state.length)).hexdigest() == state.digest

    def _take_in(self, index: sqlite3.Connection, state: _State, end: int) -> None:
        last: Line | None = None
        for line in self._lines.forwards(state.until, end):
            last = line
            entry = self._read(line)
            if entry is not None:
                row = (line.offset, entry.id, entry.started, entry.file, entry.workflow, entry.status)
                index.execute("INSERT OR REPLACE INTO runs VALUES (?,?,?,?,?,?)", row)
                made = {(output.sha256, output.path, line.offset) for output in entry.outputs}
                index.executemany("INSERT INTO outputs VALUES (?,?,?)", made)
        if last is not None:
            data = last.data or b""
            digest = sha256(data).hexdigest()
            index.execute(
                "UPDATE state SET until=?, last=?, length=?, digest=?", (end, last.offset, len(data), digest)
            )

    def _read(self, line: Line) -> _Entry | None:
        try:
            return None if line.data is None else self._entries.validate_json(line.data)
        except (ValidationError, ValueError):  # whoever reads the line tells of it
            return None


@contextmanager
def _connected(path: Path) -> Iterator[sqlite3.Connection]:
    """The index in a file; nothing in it is worth waiting for the disk."""
    with closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as index:
        index.execute("PRAGMA synchronous = OFF")
        yield index


def _state(index: sqlite3.Connection) -> _State | None:
    """What the index knows, None when it is empty or of another version."""
    if not index.execute("SELECT 1 FROM sqlite_master WHERE name = 'state'").fetchone():
        return None
    row = index.execute("SELECT * FROM state").fetchone()
    return _State(*row[1:]) if row is not None and row[0] == _FORMAT else None


def _begin(index: sqlite3.Connection) -> None:
    """Make the tables anew."""
    for (name,) in index.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        index.execute(f'DROP TABLE "{name}"')
    for statement in _SCHEMA.split(";"):
        index.execute(statement)
    index.execute("INSERT INTO state VALUES (?, 0, 0, 0, '')", (_FORMAT,))
