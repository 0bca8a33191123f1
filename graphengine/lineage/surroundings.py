"""What this machine can add to a record: the licences and requirements of packs, and which pack a node is from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path

from graphengine.lineage.licences import licence_of_distribution, licence_of_folder
from graphengine.lineage.parts import Licence, Package, PackPart
from graphengine.node.definition import NodeDefinition
from graphengine.node.folders import Folders
from graphengine.node.secrets import without_credentials
from graphengine.packs.discover import ENTRY_POINTS, Pack
from graphengine.packs.requirements import OURS, package_version, required_in_folder
from graphengine.provenance.history.past_run import Machine, PastRun, UsedPack

_PACKAGE = "package:"
_ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The project's folder, the folders of a run, and the packs that are there; `definitions` may be few."""

    project: Path
    folders: Folders = field(default_factory=Folders)
    packs: Sequence[Pack] = ()
    definitions: Mapping[str, NodeDefinition] = field(default_factory=dict)

    def path(self, name: str) -> Path:
        """The file of a path as a record has it: relative to the project's folder, or absolute."""
        return self.project / name

    def pack_of(self, class_type: str) -> str | None:
        """The pack that a node type is from, as runs name it; None when no pack that is known has it.

        A custom pack has the name of its folder or file, an installed one that of its module.
        """
        definition = self.definitions.get(class_type)
        if definition is None or not definition.module:
            return None
        return definition.module.removeprefix("custom_nodes.")

    def licence_of(self, name: str) -> Licence | None:
        """The licence of a pack as it lies here."""
        pack = self._pack(name)
        if pack is None:
            return None
        if pack.path is not None:
            return licence_of_folder(pack.path) if pack.path.is_dir() else None
        return licence_of_distribution(_distribution(pack.module))

    def requirements_of(self, name: str) -> tuple[str, ...]:
        """The packages that the files of a custom pack list."""
        pack = self._pack(name)
        return required_in_folder(pack.path) if pack is not None and pack.path and pack.path.is_dir() else ()

    def _pack(self, name: str) -> Pack | None:
        found = (pack for pack in self.packs if name == (pack.module if pack.path is None else pack.name))
        return next(found, None)


def used_packs(run: PastRun, class_types: Iterable[str], here: Surroundings) -> tuple[PackPart, ...]:
    """The packs of a run whose nodes lead to the output; all of them where a node's pack is not known here."""
    of: dict[str, list[str]] = {}
    unknown = False
    for class_type in sorted(set(class_types)):
        name = here.pack_of(class_type)
        unknown = unknown or name is None
        of.setdefault(name or "", []).append(class_type)
    packs = [pack for pack in run.packs if unknown or pack.name in of]
    return tuple(_part(pack, tuple(of.get(pack.name, ())), here) for pack in packs)


def packs_here(class_types: Iterable[str], here: Surroundings) -> tuple[PackPart, ...]:
    """The packs on this machine that have the node types, for a picture of which there is no record."""
    of: dict[str, list[str]] = {}
    for class_type in sorted(set(class_types)):
        if (name := here.pack_of(class_type)) is not None:
            of.setdefault(name, []).append(class_type)
    return tuple(PackPart(name, licence=here.licence_of(name), class_types=tuple(of[name])) for name in of)


def used_packages(run: PastRun, packs: Iterable[PackPart], here: Surroundings) -> tuple[Package, ...]:
    """The Python packages that count: the engine, torch, what stands in keys, and what the packs require.

    A version is the one that ran, as far as the run recorded it.
    """
    recorded = {
        name.removeprefix(_PACKAGE): version
        for name, version in run.environment.items()
        if name.startswith(_PACKAGE)
    }
    found = _engine_packages(run.machine)
    for pack in packs:
        for name in here.requirements_of(pack.name):
            found.setdefault(name, (recorded.get(name), f"required by {pack.name}"))
    for name, version in recorded.items():
        found.setdefault(name, (version, "its version stands in keys"))
    return tuple(
        Package(name, version if version != _ABSENT else None, why, _licence_if_same(name, version))
        for name, (version, why) in found.items()
    )


def _engine_packages(machine: Machine) -> dict[str, tuple[str | None, str]]:
    found: dict[str, tuple[str | None, str]] = {OURS: (machine.graphengine, "the engine")}
    if machine.torch is not None:
        found["torch"] = (machine.torch, "computes")
    return found


def _licence_if_same(name: str, version: str | None) -> Licence | None:
    """The licence of a package as it is installed here; that of another version says nothing of what ran."""
    here = package_version(name)
    if version is not None and here.partition("+")[0] != version.partition("+")[0]:
        return None
    return licence_of_distribution(name)


def _part(pack: UsedPack, class_types: tuple[str, ...], here: Surroundings) -> PackPart:
    licence = here.licence_of(pack.name)
    source = without_credentials(pack.source) if pack.source is not None else None
    return PackPart(pack.name, pack.version, pack.sha256, source, pack.commit, licence, class_types)


def _distribution(module: str) -> str:
    """The distribution that announces an installed pack, "" when there is none."""
    for point in entry_points(group=ENTRY_POINTS):
        if point.value == module and point.dist is not None:
            return str(point.dist.name)
    return ""
