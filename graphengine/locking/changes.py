"""What differs between two locks, a line for each entry."""

from collections.abc import Mapping

from pydantic import BaseModel

from graphengine.locking.schema import Lock, LockedInstalledPack, LockedPack, LockedPackage


def lock_changes(before: Lock | None, after: Lock) -> list[str]:
    """What was added, removed and changed, as text."""
    old = _entries(before) if before is not None else {}
    new = _entries(after)
    found = []
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            found.append(f"added {name}{_told(new[name])}")
        elif name not in new:
            found.append(f"removed {name}")
        elif old[name] != new[name]:
            found.append(f"changed {name}{_between(old[name], new[name])}")
    return found


def _entries(lock: Lock) -> dict[str, BaseModel | str]:
    settings = {f"setting {name}": value for name, value in lock.numerics.items()}
    engine = {f"engine {name}": str(value) for name, value in lock.engine if value is not None}
    return {
        **engine,
        **settings,
        **_named("workflow", lock.workflows),
        **_named("pack", lock.packs),
        **_named("installed pack", lock.installed_packs),
        **_named("package", lock.packages),
        **{f"model {kind}/{name}": model for kind, named in lock.models.items() for name, model in named.items()},
    }


def _named(kind: str, entries: Mapping[str, BaseModel]) -> dict[str, BaseModel]:
    return {f"{kind} {name}": entry for name, entry in entries.items()}


def _told(entry: BaseModel | str) -> str:
    match entry:
        case str():
            return f": {entry}"
        case LockedPack(commit=str(commit)):
            return f" at {commit[:12]}"
        case LockedPackage(version=str(version)) | LockedInstalledPack(version=str(version)):
            return f" {version}"
        case _:
            return ""


def _between(before: BaseModel | str, after: BaseModel | str) -> str:
    """What changed of an entry: from what to what, or the names of the facts."""
    old, new = _told(before), _told(after)
    if old != new:
        return f"{old or ' from none'} ->{new.removeprefix(':') or ' none'}"
    if isinstance(before, BaseModel) and isinstance(after, BaseModel):
        facts = [name for name, value in before if getattr(after, name, None) != value]
        return f": {', '.join(facts)}" if facts else ""
    return ""
