"""Looking after a cache folder: how much it holds, what stays in it, whether it is sound."""

import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from graphengine.cache import eviction
from graphengine.cache.blobs import PREFIXES, DamagedBlob
from graphengine.cache.budget import COMPRESS, LIMIT
from graphengine.cache.compression import CodecMissing, ValueKind
from graphengine.cache.content import recipe_digest, slot_digests
from graphengine.cache.disk import DiskStore
from graphengine.cache.encoding import DamagedEncoding, decode
from graphengine.cache.index import Index, IndexTotals
from graphengine.cache.rows import Found, is_sound
from graphengine.cache.run_log import LoggedRun
from graphengine.cache.schema import SCHEMA
from graphengine.errors import SettingsError

_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
_RUNS = re.compile(r"last(?: (?P<count>[1-9][0-9]{0,5}))? runs?")
_TIME = re.compile(rf"(?P<count>[1-9][0-9]{{0,8}}) (?P<unit>{'|'.join(_UNITS)})s?")
_CHUNK = 1000
_MOST_RECENT = 2**63


@dataclass(frozen=True, slots=True)
class Info:
    """How much a cache folder holds. `other_releases` are bytes that releases with other schemas keep there."""

    root: Path
    totals: IndexTotals
    limit_bytes: int
    compressed: tuple[str, ...]
    pinned: int
    evicted: int
    runs: int
    damaged_bytes: int
    other_releases: int


@dataclass(frozen=True, slots=True)
class Keep:
    """What `collect` keeps: entries of the last runs, entries used in the last seconds, entries of the last run of
    every workflow file that is still there, and of those that lock files name (`locked`), there or not. What is
    pinned is always kept.
    """

    runs: int = 0
    seconds: float = 0.0
    referenced: bool = False
    locked: frozenset[Path] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.runs or self.seconds or self.referenced or self.locked)


@dataclass(frozen=True, slots=True)
class Collected:
    """What was removed: entries and the bytes they took, and what killed processes had left."""

    entries: int
    bytes: int
    orphans: int = 0
    orphan_bytes: int = 0
    temporary: int = 0


@dataclass(frozen=True, slots=True)
class Verified:
    """What was looked at, and what is wrong with what was dropped, one line each."""

    entries: int
    contents: int
    bytes: int
    damaged: tuple[str, ...]


class _WrongDigest(DamagedEncoding):
    """The content is sound, but not what the action says of it."""


class _DryRun(Exception):
    """Ends a transaction that is only to be counted."""


def keep_rule(text: str) -> Keep:
    """The rule in a text: "last run", "last 5 runs", "30 days", "12 hours".

    Raises:
        SettingsError: it is none.
    """
    if (runs := _RUNS.fullmatch(text.strip().lower())) is not None:
        return Keep(runs=int(runs["count"] or 1))
    if (time := _TIME.fullmatch(text.strip().lower())) is not None:
        return Keep(seconds=float(time["count"]) * _UNITS[time["unit"]])
    raise SettingsError(f"there is no rule {text!r} of what to keep", hint="write 'last 5 runs' or '30 days'")


def info(store: DiskStore) -> Info:
    """How much the store holds."""
    totals = store.index.totals()
    counts = store.index.ask(
        lambda index: [
            index.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("pins", "evicted", "runs")
        ]
    )
    pinned, evicted, runs = counts or (0, 0, 0)
    return Info(
        root=store.root,
        totals=totals,
        limit_bytes=store.limit_bytes,
        compressed=tuple(sorted(store.compressed)),
        pinned=pinned,
        evicted=evicted,
        runs=runs,
        damaged_bytes=store.blobs.set_aside_bytes(),
        other_releases=sum(_bytes_below(path) for path in _of_other_releases(store.root)),
    )


def collect(store: DiskStore, keep: Iterable[Keep], now: float, *, dry_run: bool = False) -> Collected:
    """Remove what no rule keeps, what exceeds the limit, and what killed processes left.

    Without a rule every entry is kept that the limit allows. A dry run only counts the entries.
    """
    rules = [rule for rule in keep if rule]
    before = store.index.totals()
    after = before

    def remove(index: Index) -> list[str]:
        nonlocal after
        unnamed: list[str] = []
        if rules:
            since = min((now - rule.seconds for rule in rules if rule.seconds), default=float(_MOST_RECENT))
            unnamed += eviction.keep_only(index, _kept_keys(store, rules), since, now)
        unnamed += eviction.evict(index, store.limit_bytes, now)
        after = index.totals()
        if dry_run:
            raise _DryRun
        return unnamed

    with suppress(_DryRun):
        store.forget(remove)
    entries, freed = before.actions - after.actions, before.bytes - after.bytes
    if dry_run:
        return Collected(entries, freed)
    swept = [store.sweep(prefix) for prefix in PREFIXES]
    store.index.ask(lambda index: index.shrink())
    return Collected(
        entries, freed, sum(count for count, _ in swept), sum(size for _, size in swept), _sweep_temporary(store)
    )


def _kept_keys(store: DiskStore, rules: Iterable[Keep]) -> set[str]:
    runs = store.runs.last(max(rule.runs for rule in rules))
    if any(rule.referenced or rule.locked for rule in rules):
        runs += _referenced(store, rules)
    return {key for run in runs for key in run.keys}


def _referenced(store: DiskStore, rules: Iterable[Keep]) -> list[LoggedRun]:
    """The last run of every workflow file that is still there, as far as a rule asks for it, or that is locked."""
    by_being_there = any(rule.referenced for rule in rules)
    locked = {path for rule in rules for path in rule.locked}
    runs = store.runs.last_of_each_file()
    return [run for run in runs if Path(run.file) in locked or (by_being_there and Path(run.file).is_file())]


def _sweep_temporary(store: DiskStore) -> int:
    try:
        return store.blobs.sweep_temporary()
    except OSError:  # the folder is gone, and what was in it
        return 0


def verify(store: DiskStore) -> Verified:
    """Read and hash everything that is kept, blobs and the values of slots. What is damaged is dropped; a blob
    that is not what its name says is moved to `damaged/`.
    """
    store.flush()
    entries = 0
    sizes: dict[str, int] = {}
    damaged: list[str] = []
    seen: set[tuple[str, str]] = set()
    for found in _all(store):
        entries += 1
        action, content = found.action, found.content
        if content is not None:
            sizes[content.digest] = content.size
            if (content.digest, action.digests) in seen and is_sound(action):
                continue
            seen.add((content.digest, action.digests))
        reason = _damage(store, found)
        if reason is not None and _drop(store, found, reason):
            damaged.append(f"{action.class_type or 'entry'} {action.key}: {reason}")
    return Verified(entries, len(sizes), sum(sizes.values()), tuple(damaged))


def _drop(store: DiskStore, found: Found, reason: Exception) -> bool:
    if isinstance(reason, _WrongDigest):
        store.index.drop_row(found.action.key)  # others may name the same content
        return True
    return store.drop(found, reason)


def _all(store: DiskStore) -> Iterator[Found]:
    """Every entry, read in chunks: others may write meanwhile."""
    last = ""
    while chunk := store.index.ask(partial(Index.keys_after, key=last, count=_CHUNK)):
        for key in chunk:
            found = store.index.ask(partial(Index.find, key=key))
            if found is not None:
                yield found
        last = chunk[-1]


def _damage(store: DiskStore, found: Found) -> Exception | None:
    if not is_sound(found.action):
        return DamagedEncoding("the row of the index is not what was written")
    try:
        if found.content is not None:
            slots = decode(store.blobs.read(found.content))
        elif found.action.structure is not None:
            slots = decode(found.action.structure)
        else:
            return DamagedEncoding("the index names neither a content nor a structure")
    except (DamagedBlob, DamagedEncoding) as error:
        return error
    except (CodecMissing, OSError):
        return None
    return _wrong_digests(slots, found.action.digests.split())


def _wrong_digests(slots: tuple[tuple[object, ...], ...], told: Sequence[str]) -> Exception | None:
    """Digests of slots that are not those of the values; what has none of its own cannot be checked."""
    for index, (digest, computed) in enumerate(zip(told, slot_digests(slots, ""), strict=False)):
        if digest != computed and computed != recipe_digest("", index):
            return _WrongDigest(f"slot {index} has another digest than was written")
    return None


def clear(store: DiskStore, *, other_releases: bool = False) -> IndexTotals:
    """Forget everything that is kept, pinned entries and damaged blobs too; how much it was.

    With `other_releases`, what releases with other schemas keep in the folder is removed as well.
    """
    totals = store.index.totals()
    store.index.discard_waiting()
    if store.index.write(lambda index: eviction.forget_all(index, store.now())):
        for prefix in PREFIXES:
            store.sweep(prefix)
        store.index.ask(lambda index: index.shrink())
        store.blobs.clear_damaged()
    for path in _of_other_releases(store.root) if other_releases else ():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return totals


def pin(store: DiskStore, keys: Sequence[str]) -> int:
    """Keep entries whatever the limit and the rules; how many of the keys are kept at all."""
    store.flush()
    pinned = 0

    def write(index: Index) -> None:
        nonlocal pinned
        pinned = eviction.pin(index, keys, store.now())

    store.index.write(write)
    return pinned


def unpin(store: DiskStore, keys: Sequence[str]) -> int:
    """Take pins away; how many there were."""
    unpinned = 0

    def write(index: Index) -> None:
        nonlocal unpinned
        unpinned = eviction.unpin(index, keys)

    store.index.write(write)
    return unpinned


def change_settings(
    store: DiskStore, *, limit_bytes: int | None = None, compress: Iterable[ValueKind] | None = None
) -> None:
    """Change the budget of the folder, or which kinds of values are compressed from now on, for all processes."""

    def write(index: Index) -> None:
        if limit_bytes is not None:
            index.set(LIMIT, str(limit_bytes))
        if compress is not None:
            index.set(COMPRESS, ",".join(sorted(compress)))

    store.index.write(write)


def _of_other_releases(root: Path) -> Iterator[Path]:
    """What is not ours in the folder, but was written by a release of graphengine."""
    with suppress(OSError):
        for path in root.iterdir():
            versioned = re.fullmatch(r"v[0-9]{1,4}", path.name) is not None and path.name != f"v{SCHEMA}"
            if versioned or path.name in ("blobs", "tmp") or path.name.startswith("index.sqlite"):
                yield path


def _bytes_below(path: Path) -> int:
    total = 0
    for file in (path, *path.rglob("*")):
        with suppress(OSError):
            total += file.stat().st_size if file.is_file() and not file.is_symlink() else 0
    return total
