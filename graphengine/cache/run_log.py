"""Which runs there were, of which file, and which entries they used: what `gc --keep 'last 5 runs'` goes by."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from graphengine.cache.buffered_index import BufferedIndex
from graphengine.cache.index import Index

_MOST_RUNS = 1000
_MOST_KEYS = 1_000_000


@dataclass(frozen=True, slots=True)
class LoggedRun:
    """One run: when it started (seconds since 1970), of which file ("" for none), with which cache keys."""

    run_id: str
    file: str
    started: float
    keys: tuple[str, ...]


class RunLog:
    """The runs that used a store: the last thousand, or fewer where they used more than a million keys."""

    def __init__(self, index: BufferedIndex) -> None:
        self._index = index

    def record(self, run_id: str, file: Path | None, started: float, keys: Collection[str]) -> bool:
        """Remember a run, in place of one with the same id; False when that fails."""
        name = _file_name(file)

        def write(index: Index) -> None:
            index.connection.execute(
                "INSERT OR REPLACE INTO runs VALUES (?,?,?,?,?)",
                (run_id, name, started, len(keys), "\n".join(keys)),
            )
            _forget_old(index)

        return self._index.write(write)

    def last(self, n: int, file: Path | None = None) -> list[LoggedRun]:
        """The latest runs, of one file if given, the latest first."""
        where, name = ("", ()) if file is None else ("WHERE file = ?", (_file_name(file),))
        sql = f"SELECT id, file, started, keys FROM runs {where} ORDER BY started DESC, rowid DESC LIMIT ?"
        return self._read(sql, (*name, n))

    def last_of_each_file(self) -> list[LoggedRun]:
        """The latest run of every file, the latest first."""
        return self._read(
            "SELECT id, file, max(started), keys FROM runs WHERE file != x'' GROUP BY file ORDER BY 3 DESC", ()
        )

    def _read(self, sql: str, values: tuple[object, ...]) -> list[LoggedRun]:
        rows = self._index.ask(lambda index: index.connection.execute(sql, values).fetchall()) or []
        return [
            LoggedRun(run_id, os.fsdecode(file), started, tuple(keys.split("\n") if keys else ()))
            for run_id, file, started, keys in rows
        ]


def _file_name(file: Path | None) -> bytes:
    # Bytes: file names need not be valid text.
    return b"" if file is None else os.fsencode(file.absolute())


def _forget_old(index: Index) -> None:
    total = 0
    rows = index.connection.execute("SELECT id, count FROM runs ORDER BY started DESC, rowid DESC").fetchall()
    for place, (run_id, count) in enumerate(rows):
        total += count
        if place and (place >= _MOST_RUNS or total > _MOST_KEYS):
            index.connection.execute("DELETE FROM runs WHERE id = ?", (run_id,))
