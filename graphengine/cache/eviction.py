"""What is removed from an index: the least recently used, what no rule keeps, what is damaged; and what is pinned.

All functions but `pinned` and `evictions` write and need a transaction. They give the digests of blobs that
nothing names any more. The caller removes the files after the transaction, in another one
(`DiskStore.remove_unnamed`): in this order a crash leaves files without a row, which are swept later, and never a
row without its file.
"""

import sqlite3
from collections.abc import Collection, Iterable

from graphengine.cache.index import ROW_BYTES, Index
from graphengine.cache.rows import Eviction

_REMEMBERED = 100_000
_PINNED_CONTENTS = "SELECT a.content FROM actions a JOIN pins p ON p.key = a.key WHERE a.content IS NOT NULL"


def evict(index: Index, limit_bytes: int, now: float, why: str = "budget") -> list[str]:
    """Forget the least recently used entries until the rest fits into the limit; pinned ones stay.

    An entry that was used in the future, because the clock was set back, counts as used now.
    """
    sql = index.connection
    for table in ("actions", "contents"):
        sql.execute(f"UPDATE {table} SET used = ? WHERE used > ?", (now, now))
    surplus = index.totals().bytes - limit_bytes
    if surplus <= 0:
        return []
    keys: list[str] = []
    digests: list[str] = []
    for key, digest, size in _oldest_first(sql):
        if surplus <= 0:
            break
        surplus -= size + ROW_BYTES
        if digest is None:
            keys.append(key)
        else:
            digests.append(digest)
    return forget(index, keys, digests, now, why)


def _oldest_first(sql: sqlite3.Connection) -> list[tuple[str, str | None, int]]:
    """Key, digest of its content and bytes of what may be evicted; of a content, the key says nothing."""
    return sql.execute(
        "SELECT id, digest, size FROM ("
        "SELECT key AS id, NULL AS digest, size, used FROM actions"
        " WHERE content IS NULL AND key NOT IN (SELECT key FROM pins)"
        " UNION ALL SELECT digest, digest, size, used FROM contents"
        f" WHERE digest NOT IN ({_PINNED_CONTENTS})) ORDER BY used, id"
    ).fetchall()


def forget(index: Index, keys: Collection[str], digests: Collection[str], now: float, why: str) -> list[str]:
    """Forget actions by key, and contents by digest with every action that names them."""
    for column, values in (("key", keys), ("content", digests)):
        rows = [(value,) for value in values]
        index.connection.executemany(
            f"INSERT OR REPLACE INTO evicted SELECT key, ?, ?, class_type FROM actions WHERE {column} = ?",
            [(now, why, value) for value in values],
        )
        index.connection.executemany(f"DELETE FROM actions WHERE {column} = ?", rows)
    _forget_old_evictions(index.connection)
    return drop_unnamed(index)


def keep_only(index: Index, keys: Collection[str], used_since: float, now: float) -> list[str]:
    """Forget every action but these, pinned ones, and those used since then."""
    sql = index.connection
    sql.execute("CREATE TEMP TABLE IF NOT EXISTS kept (key TEXT PRIMARY KEY)")
    sql.execute("DELETE FROM kept")
    sql.executemany("INSERT OR IGNORE INTO kept VALUES (?)", [(key,) for key in keys])
    gone = (
        "FROM actions WHERE used < ? AND key NOT IN (SELECT key FROM kept) AND key NOT IN (SELECT key FROM pins)"
    )
    sql.execute(f"INSERT OR REPLACE INTO evicted SELECT key, ?, 'gc', class_type {gone}", (now, used_since))
    sql.execute(f"DELETE {gone}", (used_since,))
    _forget_old_evictions(sql)
    return drop_unnamed(index)


def forget_all(index: Index, now: float) -> None:
    """Forget everything that is kept, pins and fingerprints of files too; runs and settings stay."""
    index.connection.execute(
        "INSERT OR REPLACE INTO evicted SELECT key, ?, 'cleared', class_type FROM actions", (now,)
    )
    for table in ("actions", "contents", "pins", "files"):
        index.connection.execute(f"DELETE FROM {table}")
    _forget_old_evictions(index.connection)


def drop_unnamed(index: Index) -> list[str]:
    """Forget contents that no action names."""
    unnamed = "FROM contents WHERE digest NOT IN (SELECT content FROM actions WHERE content IS NOT NULL)"
    rows = index.connection.execute(f"SELECT digest {unnamed} AND data IS NULL").fetchall()
    index.connection.execute(f"DELETE {unnamed}")
    return [digest for (digest,) in rows]


def pin(index: Index, keys: Iterable[str], now: float) -> int:
    """Pin those of the keys that are kept; how many these are."""
    rows = [(now, key) for key in keys]
    return index.connection.executemany(
        "INSERT OR REPLACE INTO pins SELECT key, ? FROM actions WHERE key = ?", rows
    ).rowcount


def unpin(index: Index, keys: Iterable[str]) -> int:
    """Take pins away; how many there were."""
    return index.connection.executemany("DELETE FROM pins WHERE key = ?", [(key,) for key in keys]).rowcount


def pinned(index: Index) -> list[str]:
    """The keys that are pinned."""
    return [key for (key,) in index.connection.execute("SELECT key FROM pins ORDER BY key")]


def evictions(index: Index, keys: Iterable[str]) -> dict[str, Eviction]:
    """When and why those of the keys that were evicted are gone."""
    found: dict[str, Eviction] = {}
    for key in keys:
        row = index.connection.execute("SELECT at, why, class_type FROM evicted WHERE key = ?", (key,)).fetchone()
        if row is not None:
            found[key] = Eviction(*row)
    return found


def _forget_old_evictions(sql: sqlite3.Connection) -> None:
    (count,) = sql.execute("SELECT count(*) FROM evicted").fetchone()
    if count > _REMEMBERED:
        sql.execute(
            "DELETE FROM evicted WHERE key IN (SELECT key FROM evicted ORDER BY at LIMIT ?)",
            (count - _REMEMBERED,),
        )
