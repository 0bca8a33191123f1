"""What a lock says of packs: where they came from, and what their code is."""

from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, entry_points
from pathlib import Path

from packaging.utils import canonicalize_name

from graphengine.errors import InstallRefused, Problem
from graphengine.locking.schema import LockedInstalledPack, LockedPack
from graphengine.node.secrets import without_credentials
from graphengine.packs.discover import ENTRY_POINTS, Pack, source_root
from graphengine.packs.installing.ledger import InstalledPack, Ledger
from graphengine.packs.records import Records
from graphengine.packs.requirements import package_version
from graphengine.packs.source import SourceReader
from graphengine.packs.trust import files_digest, pack_files


def locked_pack(pack: Pack) -> tuple[LockedPack, list[Problem]]:
    """A pack of `custom_nodes` as it is now, and warnings about what the lock cannot say of it.

    Raises:
        UntrustedPack: its files cannot be read.
        InstallRefused: the record of how it came is damaged.
    """
    path = pack.path or Path()
    files = pack_files(pack)
    content = files_digest(files)
    record = Ledger(path.parent).read(pack.name)
    if record is not None and record.content == SourceReader().read(path).version:
        return _installed(record, content, files), []
    if record is None and (path / ".git").exists():
        from graphengine.packs.installing.fetching import checked_out  # 15 ms, and few packs are clones

        address, commit = checked_out(path)
        if address is not None and commit is not None:
            source = without_credentials(address)
            return LockedPack(kind="git", source=source, commit=commit, content=content, files=files), []
    why = "it was edited since it was installed" if record is not None else "it was put there by hand"
    told = Problem(
        "not_lockable",
        f"pack {pack.name!r}: where its code is to be had is not known: {why}",
        hint="the lock holds its hash, but graphengine restore cannot bring it: commit it, or install it from git",
        severity="warning",
    )
    return LockedPack(kind="local", content=content, files=files), [told]


def _installed(record: InstalledPack, content: str, files: dict[str, str]) -> LockedPack:
    kind = record.kind
    return LockedPack(
        kind="git" if kind == "git" else "archive" if kind == "archive" else "folder",
        source=without_credentials(record.source)
        if kind == "git"
        else None,  # a path of this machine says nothing
        commit=record.commit,
        version=record.version,
        content=content,
        files=files,
    )


def locked_installed(packs: Iterable[Pack], records: Records) -> dict[str, LockedInstalledPack]:
    """The packs that installed distributions bring, by name: version, and hash of the source."""
    packages = _distributions()
    reader = SourceReader(records)
    codes: dict[Path | None, str | None] = {}
    found: dict[str, LockedInstalledPack] = {}
    for pack in packs:
        root = source_root(pack)
        if root not in codes:
            codes[root] = reader.read(root).version if root is not None else None
        package = packages.get(pack.module)
        found[pack.name] = LockedInstalledPack(
            package=canonicalize_name(package) if package else None,
            version=_version(package) if package else None,
            code=codes[root],
        )
    return found


def distributions_of(packs: Iterable[Pack]) -> set[str]:
    """The names of the distributions that bring these packs."""
    known = _distributions()
    return {known[pack.module] for pack in packs if pack.module in known}


def _distributions() -> dict[str, str]:
    """Distributions by the module of the packs that they announce."""
    return {point.value: point.dist.name for point in entry_points(group=ENTRY_POINTS) if point.dist is not None}


def _version(package: str) -> str | None:
    try:
        found = package_version(package)
    except PackageNotFoundError:
        return None
    return None if found == "absent" else found


def pack_differences(
    locked: Mapping[str, LockedPack], now: Mapping[str, LockedPack], names: Iterable[str]
) -> list[Problem]:
    """How these packs differ from what is locked; `now` has those that are there."""
    found = []
    for name in sorted(names):
        before, after = locked.get(name), now.get(name)
        hint = f"put it back (graphengine restore tells how), or take it in: graphengine lock --upgrade {name}"
        if before is None:
            told = f"pack {name!r} is used and not in the lock"
            found.append(Problem("locked_pack", told, hint=f"take it in: graphengine lock --upgrade {name}"))
        elif after is None:
            told = f"pack {name!r} is not in custom_nodes"
            found.append(Problem("locked_pack", told, hint="graphengine restore brings what is missing"))
        elif before.content != after.content:
            told = f"pack {name!r} is other code than the lock says: {_changed(before.files, after.files)}"
            found.append(Problem("locked_pack", told, hint=hint))
        elif before.commit and after.commit and before.commit != after.commit:
            told = f"pack {name!r} is at commit {after.commit[:12]}, locked is {before.commit[:12]}"
            found.append(Problem("locked_pack", told, hint=hint))
        elif files_digest(before.files) != before.content:
            told = f"pack {name!r}: its table of files in the lock is not what its content says"
            found.append(Problem("locked_pack", told, hint="the lock was changed by hand: undo that"))
    return found


def _changed(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """The files that changed, by name."""
    kinds = (
        ("changed", [name for name in after if before.get(name, after[name]) != after[name]]),
        ("new", [name for name in after if name not in before]),
        ("removed", [name for name in before if name not in after]),
    )
    parts = [f"{kind} {', '.join(sorted(names)[:5])}" + _more(names) for kind, names in kinds if names]
    return "; ".join(parts) or "its hash in the lock is that of no such files"


def _more(names: list[str]) -> str:
    return f" and {len(names) - 5} more" if len(names) > 5 else ""


def installed_differences(
    locked: Mapping[str, LockedInstalledPack], now: Mapping[str, LockedInstalledPack], names: Iterable[str]
) -> list[Problem]:
    """How these installed packs differ from what is locked."""
    found = []
    for name in sorted(names):
        before, after = locked.get(name), now.get(name)
        told = None
        if before is None:
            told = f"installed pack {name!r} is used and not in the lock"
        elif after is None:
            told = f"installed pack {name!r} is not there"
        elif before.version != after.version:
            told = f"installed pack {name!r} ({after.package}) is {after.version}, locked is {before.version}"
        elif before.code != after.code:
            told = f"installed pack {name!r} ({after.package} {after.version}) is other code than the lock says"
        if told is not None:
            hint = "install the locked version of its package, or take it in: graphengine lock"
            found.append(Problem("locked_pack", told, hint=hint))
    return found


def readable(pack: Pack) -> tuple[LockedPack | None, list[Problem]]:
    """A pack as it is now; None with the reason where it cannot be read."""
    try:
        return locked_pack(pack)
    except InstallRefused as error:
        return None, [Problem("locked_pack", f"pack {pack.name!r}: {error.message}", hint=error.hint)]
