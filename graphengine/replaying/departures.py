"""What is another one than when a run was recorded: versions, device, lock, code of packs, files.

These are the suspects when a replay gives something else.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from graphengine.errors import GraphEngineError
from graphengine.node.folders import Folders
from graphengine.provenance.history.past_run import Machine, PastRun, UsedFile, UsedPack

Part = Literal["engine", "python", "torch", "platform", "device", "setting", "package", "lock", "pack", "file"]

#: Parts that alone give other bits: with another file or other code anything may come out.
_STRONG: frozenset[Part] = frozenset({"file", "pack"})
_DIGITS = 12  # of a hash that is shown


@dataclass(frozen=True, slots=True)
class Departure:
    """One thing that is another: `name` which one, `nodes` those that use it; None stands for "not there".

    `files` are those of a pack that are others, where that is known.
    """

    part: Part
    name: str
    then: str | None
    now: str | None
    nodes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def told(self) -> str:
        """The departure in words."""
        then, now = (self._shown(value) for value in (self.then, self.now))
        match self.part:
            case "file":
                what = f"the file {self.name} has other bytes" if self.now else f"the file {self.name} is gone"
            case "pack":
                files = f" in {', '.join(self.files)}" if self.files else ""
                what = f"the code of pack {self.name} is another{files}"
            case "lock":
                what = "the lock is another"
            case "setting" | "package":
                what = f"{self.part} {self.name} is another"
            case _:
                what = f"{self.name} is another"
        nodes = f" ({', '.join(f'node {node}' for node in self.nodes)})" if self.nodes else ""
        return f"{what}: {then}, {now} now{nodes}"

    def _shown(self, value: str | None) -> str:
        if value is None:
            return "none" if self.part != "file" else "not there"
        return f"{value[:_DIGITS]}…" if self.part in ("file", "pack", "lock") and len(value) > 20 else value


@dataclass(frozen=True, slots=True)
class Here:
    """The machine and the project as they are now; `fingerprint` gives the SHA-256 (hex) of a file.

    `packs` are the hashes of the code of packs by name, None where that is not known before their nodes run.
    """

    machine: Machine
    lock: str | None
    folders: Folders
    fingerprint: Callable[[Path], str]
    environment: Mapping[str, str] = field(default_factory=dict)
    packs: Mapping[str, str | None] | None = None


def departures(then: PastRun, here: Here, nodes: Collection[str] | None = None) -> list[Departure]:
    """All that is another one now; of files and packs, only what these nodes use (all, if None)."""
    return [
        *_of_files(then, here, nodes),
        *_of_packs(then.packs, here.packs),
        *_of_lock(then, here),
        *_of_machine(then.machine, here.machine),
        *_of_environment(then.environment, here.environment),
    ]


def between(then: PastRun, now: PastRun) -> list[Departure]:
    """What was another one for the later of two runs; of files, those that both name by the same choice."""
    files = {(used.kind, used.name): used for used in now.files}
    users: dict[tuple[str, str], list[str]] = {}
    for used in now.files:
        users.setdefault((used.kind, used.name), []).append(used.node_id)
    found: dict[str, Departure] = {}
    for used in then.files:
        place = (used.kind, used.name)
        other = files.get(place)
        if other is not None and other.sha256 != used.sha256:
            name = f"{used.kind}/{used.name}"
            found[name] = Departure("file", name, used.sha256, other.sha256, tuple(dict.fromkeys(users[place])))
    packs = {pack.name: pack.sha256 for pack in now.packs}
    lock = () if then.lock == now.lock else (Departure("lock", "graphengine.lock", then.lock, now.lock),)
    return [
        *found.values(),
        *(each for each in _of_packs(then.packs, packs) if each.now is not None),
        *lock,
        *_of_machine(then.machine, now.machine),
        *_of_environment(then.environment, now.environment),
    ]


def suspects(found: Collection[Departure]) -> list[Departure]:
    """Those most likely to blame first: files and code, then the rest."""
    return sorted(found, key=lambda departure: departure.part not in _STRONG)


def changed_files(found: Collection[Departure]) -> frozenset[str]:
    """The nodes whose files are others."""
    return frozenset(node for departure in found if departure.part == "file" for node in departure.nodes)


def _of_files(then: PastRun, here: Here, nodes: Collection[str] | None) -> Iterator[Departure]:
    digests: dict[tuple[str, str], str | None] = {}
    users: dict[tuple[str, str, str], list[str]] = {}
    for used in then.files:
        if nodes is not None and used.node_id not in nodes:
            continue
        place = (used.kind, used.name)
        if place not in digests:
            digests[place] = _digest(used, here)
        if digests[place] != used.sha256:
            users.setdefault((*place, used.sha256), []).append(used.node_id)
    for (kind, name, sha256), found in users.items():
        yield Departure("file", f"{kind}/{name}", sha256, digests[kind, name], tuple(dict.fromkeys(found)))


def _digest(used: UsedFile, here: Here) -> str | None:
    """The digest of the file that a choice means now; None where there is none that can be read."""
    try:
        path = here.folders.find(used.kind, used.name)
        return None if path is None else here.fingerprint(path).removeprefix("sha256:")
    except (GraphEngineError, OSError):
        return None


def _of_packs(then: Iterable[UsedPack], now: Mapping[str, str | None] | None) -> Iterator[Departure]:
    for pack in then if now is not None else ():
        digest = now.get(pack.name) if now is not None else None
        if pack.sha256 is not None and digest != pack.sha256:
            yield Departure("pack", pack.name, pack.sha256, digest)


def _of_lock(then: PastRun, here: Here) -> Iterator[Departure]:
    if then.lock != here.lock:
        yield Departure("lock", "graphengine.lock", then.lock, here.lock)


def _of_machine(then: Machine, now: Machine) -> Iterator[Departure]:
    named: tuple[tuple[Part, str, str | None, str | None], ...] = (
        ("engine", "graphengine", then.graphengine, now.graphengine),
        ("python", "Python", then.python, now.python),
        ("torch", "torch", then.torch, now.torch),
        ("platform", "the platform", then.platform, now.platform),
        ("device", "the device", then.device, now.device),
    )
    for part, name, before, after in named:
        known = None not in (before, after) and "unknown" not in (before, after)
        if known and before != after:
            yield Departure(part, name, before, after)


def _of_environment(then: Mapping[str, str], now: Mapping[str, str]) -> Iterator[Departure]:
    """What stands in keys, as far as both know it."""
    for name, before in then.items():
        after = now.get(name, before)
        if after == before or name in ("device", "package:torch"):
            continue
        package = name.removeprefix("package:")
        yield Departure("package" if package != name else "setting", package, before, after)
