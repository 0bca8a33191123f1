"""The packs of a `custom_nodes` folder: what they are, removing, disabling, and newer versions."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from graphengine.errors import InstallRefused, nearest
from graphengine.packs.discover import custom_packs
from graphengine.packs.installing.contents import PackContents, read_contents
from graphengine.packs.installing.fetching import newest_commit
from graphengine.packs.installing.install import content_of
from graphengine.packs.installing.ledger import InstalledPack, Ledger
from graphengine.packs.installing.sources import Source, SourceKind, mirrored
from graphengine.packs.installing.staging import open_stage

DISABLED = ".disabled"


@dataclass(frozen=True, slots=True)
class PackState:
    """A pack in the folder. `record` is None when it was copied there by hand.

    `edited` says that its code is another than the one that was installed.
    """

    name: str
    path: Path
    enabled: bool
    contents: PackContents
    record: InstalledPack | None
    edited: bool

    @property
    def version(self) -> str | None:
        """The version that it says it has."""
        return self.contents.version or (self.record.version if self.record else None)


def list_packs(custom_nodes: Path) -> list[PackState]:
    """The packs of a folder by name, the disabled ones too."""
    ledger = Ledger(custom_nodes)
    found = []
    for name, path, enabled in _places(custom_nodes):
        record = ledger.read(name)
        edited = record is not None and content_of(path) != record.content
        found.append(PackState(name, path, enabled, read_contents(name, path), record, edited))
    return sorted(found, key=lambda state: state.name)


def find_pack(custom_nodes: Path, name: str) -> PackState:
    """The pack of that name.

    Raises:
        InstallRefused: there is none.
    """
    states = {state.name: state for state in list_packs(custom_nodes)}
    if name not in states:
        near = nearest(name, states)
        raise InstallRefused(
            f"there is no pack {name!r} in {custom_nodes}",
            hint=f"did you mean {near!r}?"
            if near
            else "graphengine nodes list --packs shows those that are there",
        )
    return states[name]


def remove_pack(custom_nodes: Path, name: str) -> PackState:
    """Remove a pack and its record; what it required stays.

    Raises:
        InstallRefused: there is none, or it is a link to somewhere else.
    """
    state = find_pack(custom_nodes, name)
    with open_stage(custom_nodes) as stage:
        stage.take_out(state.path.name)
        Ledger(custom_nodes).restore(name, None)
    return state


def set_enabled(custom_nodes: Path, name: str, *, enabled: bool) -> bool:
    """Let a pack be found or not, by its name as ComfyUI's tools do; whether that changed anything.

    Raises:
        InstallRefused: there is no such pack, or another one has the name that it would get.
    """
    state = find_pack(custom_nodes, name)
    if state.enabled == enabled:
        return False
    place = state.path.with_name(state.path.name.removesuffix(DISABLED) + ("" if enabled else DISABLED))
    if place.exists():
        raise InstallRefused(f"{place} is there already", hint="rename or remove one of the two")
    state.path.rename(place)
    return True


def recorded_source(state: PackState, ref: str | None = None, mirrors: tuple[str, ...] = ()) -> Source:
    """Where a pack was installed from; `ref` names another commit, branch or tag.

    Raises:
        InstallRefused: it was not installed by graphengine.
    """
    record = state.record
    if record is None:
        raise InstallRefused(
            f"where pack {state.name!r} comes from is not recorded: it was copied into the folder",
            hint=f"remove it, then: graphengine nodes install SOURCE --name {state.name}",
        )
    kind: SourceKind = "git" if record.kind == "git" else "archive" if record.kind == "archive" else "folder"
    return mirrored(Source(kind, record.source, state.name, record.asked, ref or record.ref), mirrors)


def newer_commit(state: PackState, mirrors: tuple[str, ...] = ()) -> str | None:
    """The commit that the source has now, when it is another than the installed one.

    Raises:
        InstallRefused: the repository cannot be reached.
    """
    record = state.record
    if record is None or record.kind != "git":
        return None
    found = newest_commit(recorded_source(state, mirrors=mirrors).place, record.ref)
    return found if found is not None and found != record.commit else None


def _places(custom_nodes: Path) -> Iterator[tuple[str, Path, bool]]:
    for pack in custom_packs([custom_nodes]):
        if pack.path is not None:
            yield pack.name, pack.path, True
    for path in sorted(custom_nodes.iterdir()) if custom_nodes.is_dir() else ():
        if path.name.endswith(DISABLED) and not path.name.startswith("."):
            plain = path.name.removesuffix(DISABLED)
            yield plain.removesuffix(".py") if path.is_file() else plain, path, False
