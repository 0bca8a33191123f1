"""`graphengine cache`: how much is kept between runs, what stays, and whether it is sound."""

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphengine.cli.console import complain, plural, say, say_json, table
from graphengine.cli.models import format_size
from graphengine.cli.options import CacheOption, DebugOption, JsonOption, examples
from graphengine.errors import SettingsError
from graphengine.settings import load_settings

if TYPE_CHECKING:
    from graphengine.cache.disk import DiskStore
    from graphengine.cache.upkeep import Collected, Info

INFO_EXAMPLES = examples("graphengine cache info", "graphengine cache info --json --cache /mnt/shared/cache")
GC_EXAMPLES = examples(
    "graphengine cache gc",
    "graphengine cache gc --keep 'last 5 runs' --keep-referenced --dry-run",
    "graphengine cache gc --keep '30 days'",
)
VERIFY_EXAMPLES = examples("graphengine cache verify", "graphengine cache verify --json")
CLEAR_EXAMPLES = examples("graphengine cache clear", "graphengine cache clear --other-releases")
PIN_EXAMPLES = examples("graphengine cache pin workflows/img2img.json", "graphengine cache pin 9f86d081884c7d65")
UNPIN_EXAMPLES = examples("graphengine cache unpin workflows/img2img.json", "graphengine cache unpin --all")
SET_EXAMPLES = examples(
    "graphengine cache set --limit 100GB",
    "graphengine cache set --limit none",
    "graphengine cache set --compress text,tensors",
)

_PREFIX = re.compile(r"[0-9a-f]{8,64}")
EntriesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY|FILE…",
        help="A cache key, or its first 8 digits or more; or a workflow file: all that its last run used.",
        show_default=False,
    ),
]


def info_command(cache: CacheOption = None, as_json: JsonOption = False, debug: DebugOption = False) -> None:
    """Show how much is kept, and where."""
    from graphengine.cache.upkeep import info  # brings SQLite, as all of the cache

    with _store(cache) as store:
        found = info(store)
    if as_json:
        say_json({**asdict(found), "root": str(found.root)})
        return
    for line in table(list(_info_rows(found))):
        say(line)


def _info_rows(found: "Info") -> Iterator[tuple[str, str]]:
    totals = found.totals
    yield "folder", str(found.root)
    yield "entries", f"{totals.actions:,}, {found.pinned:,} pinned"
    yield "kept", f"{format_size(totals.bytes)}, {totals.blobs:,} in files of their own"
    yield "limit", "none" if found.limit_bytes >= 2**62 else format_size(found.limit_bytes)
    yield "compressed", ", ".join(found.compressed) or "nothing"
    yield "runs", f"{found.runs:,} recorded"
    yield "evicted", f"{found.evicted:,} entries remembered"
    if found.damaged_bytes:
        yield "damaged", f"{format_size(found.damaged_bytes)} set aside"
    if found.other_releases:
        yield "other releases", f"{format_size(found.other_releases)}, removed by: cache clear --other-releases"


def gc_command(
    keep: Annotated[
        list[str] | None,
        typer.Option(
            "--keep",
            metavar="RULE",
            help="Remove every entry but those of the 'last 5 runs', or those used in the last '30 days'. "
            "Repeatable: what any rule keeps stays, and so does what is pinned.",
        ),
    ] = None,
    keep_referenced: Annotated[
        bool,
        typer.Option(
            "--keep-referenced",
            help="Like --keep: what the last run of every workflow file used that is there, or that a lock names: "
            "graphengine.lock of the current folder, and those of --lock.",
        ),
    ] = False,
    locks: Annotated[
        list[Path] | None,
        typer.Option(
            "--lock",
            metavar="FILE",
            help="With --keep-referenced: another project's lock, or its folder. Repeatable.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Remove nothing; only say how much it would be.")
    ] = False,
    cache: CacheOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Remove what exceeds the limit, what killed processes left, and, with --keep, what no rule keeps."""
    from graphengine.cache.upkeep import Keep, collect, keep_rule  # brings SQLite, as all of the cache

    if locks and not keep_referenced:
        raise SettingsError("--lock says what is referenced", hint="add --keep-referenced")
    locked = _locked_files(locks or ()) if keep_referenced else frozenset[Path]()
    rules = [*map(keep_rule, keep or ()), Keep(referenced=keep_referenced, locked=locked)]
    with _store(cache) as store:
        collected = collect(store, rules, time.time(), dry_run=dry_run)
    if as_json:
        say_json({**asdict(collected), "dry_run": dry_run})
        return
    say(_collected_line(collected, "would remove" if dry_run else "removed"))


def _locked_files(locks: Iterable[Path]) -> frozenset[Path]:
    """The workflow files that locks name: those given, and that of the current folder if it has one.

    Raises:
        LockError: one cannot be read; nothing that it may name is removed then.
    """
    from graphengine.locking.lock_file import read_lock  # only --keep-referenced needs it
    from graphengine.locking.schema import LOCK_FILE

    here = Path.cwd() / LOCK_FILE
    files = [path / LOCK_FILE if path.is_dir() else path for path in locks]
    files += [here] if here.exists() else []
    return frozenset(file.absolute().parent / name for file in files for name in read_lock(file).workflows)


def _collected_line(collected: "Collected", verb: str) -> str:
    line = f"{verb} {_entries(collected.entries)}, {format_size(collected.bytes)}"
    if left := collected.orphans + collected.temporary:
        line += f"; {plural(left, 'file')} that killed processes left, {format_size(collected.orphan_bytes)}"
    return line


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count:,} entries"


def verify_command(cache: CacheOption = None, as_json: JsonOption = False, debug: DebugOption = False) -> None:
    """Read and hash everything that is kept; damaged entries are removed, damaged files set aside.

    Exits with 1 when something was damaged.
    """
    from graphengine.cache.upkeep import verify  # brings SQLite, as all of the cache

    with _store(cache) as store:
        found = verify(store)
    if as_json:
        say_json(asdict(found))
    else:
        for line in found.damaged:
            complain(f"damaged: {line}")
        sizes = f"{found.entries:,} entries, {found.contents:,} contents, {format_size(found.bytes)}"
        say(f"{sizes}: {f'{len(found.damaged)} damaged, removed' if found.damaged else 'all sound'}")
    if found.damaged:
        raise typer.Exit(1)


def clear_command(
    other_releases: Annotated[
        bool, typer.Option("--other-releases", help="Remove also what other releases of graphengine keep there.")
    ] = False,
    cache: CacheOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Remove everything that is kept, pinned entries too."""
    from graphengine.cache.upkeep import clear  # brings SQLite, as all of the cache

    with _store(cache) as store:
        totals = clear(store, other_releases=other_releases)
    if as_json:
        say_json({"entries": totals.actions, "bytes": totals.bytes})
        return
    say(f"removed {_entries(totals.actions)}, {format_size(totals.bytes)}")


def pin_command(
    entries: EntriesArgument = None,
    cache: CacheOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Keep entries whatever the limit and the rules of gc."""
    from graphengine.cache.upkeep import pin  # brings SQLite, as all of the cache

    with _store(cache) as store:
        pinned = pin(store, _keys(store, entries or []))
    if as_json:
        say_json({"pinned": pinned})
        return
    say(f"{_entries(pinned)} pinned")


def unpin_command(
    entries: EntriesArgument = None,
    all_: Annotated[bool, typer.Option("--all", help="Take away every pin.")] = False,
    cache: CacheOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Take pins away."""
    from graphengine.cache.eviction import pinned  # brings SQLite, as all of the cache
    from graphengine.cache.upkeep import unpin

    with _store(cache) as store:
        keys = (store.index.ask(pinned) or []) if all_ else _keys(store, entries or [])
        unpinned = unpin(store, keys)
    if as_json:
        say_json({"unpinned": unpinned})
        return
    say(f"{_entries(unpinned)} unpinned")


def set_command(
    limit: Annotated[
        str | None,
        typer.Option(
            "--limit",
            metavar="SIZE",
            help="How much the folder may hold: 100GB, 20GiB, none. At first a tenth of its disk, 2 to 50 GiB.",
        ),
    ] = None,
    compress: Annotated[
        str | None,
        typer.Option(
            "--compress", metavar="KINDS", help="What is compressed from now on: text, tensors, both, none."
        ),
    ] = None,
    cache: CacheOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Change the settings of a cache folder, for all that use it."""
    from graphengine.cache.upkeep import change_settings, info  # brings SQLite, as all of the cache

    limit_bytes, kinds = _limit(limit), _kinds(compress)
    with _store(cache) as store:
        change_settings(store, limit_bytes=limit_bytes, compress=kinds)
    with _store(cache) as store:
        store.evict(store.limit_bytes)
        found = info(store)
    if as_json:
        say_json({"limit_bytes": found.limit_bytes, "compressed": found.compressed})
        return
    for line in table([row for row in _info_rows(found) if row[0] in ("folder", "limit", "compressed")]):
        say(line)


# Any: kinds of values, whose type lives in a module that is imported late.
def _kinds(text: str | None) -> Any:
    from graphengine.cache.compression import VALUE_KINDS, can_compress  # only this command needs it

    if text is None:
        return None
    named = {"both": sorted(VALUE_KINDS), "none": []}.get(text, [part.strip() for part in text.split(",")])
    unknown = [name for name in named if name not in VALUE_KINDS]
    if unknown:
        raise SettingsError(f"there is no kind of values {unknown[0]!r}", hint="use text, tensors, both or none")
    if named and not can_compress():
        raise SettingsError(
            "compressing needs the package zstandard", hint="pip install 'graphengine-comfy[compress]'"
        )
    return named


def _limit(text: str | None) -> int | None:
    from pydantic import ByteSize, TypeAdapter, ValidationError  # only this command needs it

    from graphengine.cache.budget import UNLIMITED

    if text is None or text == "none":
        return None if text is None else UNLIMITED
    try:
        return min(int(TypeAdapter(ByteSize).validate_python(text, strict=False)), UNLIMITED)
    except ValidationError:
        # no cause: it is the command line that is wrong, not a file
        raise SettingsError(f"the limit {text!r} is no size", hint="write it as 500MB, 20GiB or none") from None


def _keys(store: "DiskStore", entries: list[str]) -> list[str]:
    """The cache keys that the user names.

    Raises:
        SettingsError: a file has no recorded run, or a key is unknown or ambiguous.
    """
    if not entries:
        raise SettingsError("nothing is named", hint="name a workflow file or a cache key")
    return [key for entry in entries for key in _keys_of(store, entry)]


def _keys_of(store: "DiskStore", entry: str) -> tuple[str, ...]:
    if _PREFIX.fullmatch(entry) and not Path(entry).exists():
        found = store.index.ask(lambda index: index.keys_like(entry)) or []
        if len(found) == 1:
            return (found[0],)
        if found:
            raise SettingsError(f"several keys begin with {entry}", hint="give more digits")
        raise SettingsError(f"nothing is kept under {entry}", hint="see graphengine explain for the keys of nodes")
    runs = store.runs.last(1, Path(entry))
    if not runs:
        raise SettingsError(
            f"no run of {entry!r} is recorded in {store.root}", hint=f"run it first: graphengine run {entry}"
        )
    return runs[0].keys


@contextmanager
def _store(cache: Path | None) -> Iterator["DiskStore"]:
    """The store in the folder that the user means.

    Raises:
        SettingsError: it cannot be used.
    """
    from graphengine.cache.disk import DiskStore  # brings SQLite, which most commands do not need

    root = load_settings(cache=cache, environ=os.environ).cache
    if root is None:
        raise SettingsError("there is no cache folder", hint="name one with --cache")
    with DiskStore(root) as store:
        if not store.index.can_keep:
            raise SettingsError(store.index.why_closed or f"the cache folder {root} cannot be used")
        yield store


#: The commands of the group: name, function, examples.
COMMANDS: tuple[tuple[str, Callable[..., None], str], ...] = (
    ("info", info_command, INFO_EXAMPLES),
    ("gc", gc_command, GC_EXAMPLES),
    ("verify", verify_command, VERIFY_EXAMPLES),
    ("clear", clear_command, CLEAR_EXAMPLES),
    ("pin", pin_command, PIN_EXAMPLES),
    ("unpin", unpin_command, UNPIN_EXAMPLES),
    ("set", set_command, SET_EXAMPLES),
)
