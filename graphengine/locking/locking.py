"""Making a lock: what the workflows of a project use, as it is now. Runs no code of packs."""

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from graphengine.engine import Engine
from graphengine.errors import LockError, Problem
from graphengine.locking.machine import locked_engine
from graphengine.locking.models import locked_model, source_of, with_known_urls
from graphengine.locking.packages import locked_packages
from graphengine.locking.packs import distributions_of, locked_installed, locked_pack
from graphengine.locking.schema import LOCK_FILE, Lock, LockedModel, LockedPack, LockedPackage
from graphengine.locking.workflows import UsedByWorkflow, look_at
from graphengine.packs.discover import Pack
from graphengine.packs.records import Records
from graphengine.packs.requirements import required_in_folder
from graphengine.settings import Settings


@dataclass(frozen=True)
class LockedProject:
    """A project's folder with the engine that runs in it."""

    engine: Engine
    settings: Settings

    @property
    def folder(self) -> Path:
        """The folder of `graphengine.toml`, and of the lock."""
        return self.settings.project.file.absolute().parent

    @property
    def file(self) -> Path:
        """Where the lock is."""
        return self.folder / LOCK_FILE

    def name(self, file: Path) -> str:
        """A workflow's file as the lock names it.

        Raises:
            LockError: it lies outside of the project.
        """
        path = Path(os.path.abspath(file))
        if not path.is_relative_to(self.folder):
            raise LockError(
                f"{file} lies outside of {self.folder}, where the lock is",
                hint="name a workflow below that folder, or another one with --base-dir",
            )
        return path.relative_to(self.folder).as_posix()

    def default_files(self, before: Lock | None) -> list[str]:
        """The workflows that are locked unless some are named: those of the lock that are there, else those in
        `workflows/`.
        """
        if before is not None:
            return [name for name in before.workflows if (self.folder / name).is_file()]
        return sorted(self.name(path) for path in self.folder.glob("workflows/*.json") if _is_workflow(path))

    def packages_named_by(self, used: Collection[UsedByWorkflow]) -> set[str]:
        """The packages that the packs of workflows say they need."""
        custom, installed = merged_packs(used)
        named = {name for pack in custom.values() if pack.path for name in required_in_folder(pack.path)}
        named |= {name for each in used for name in each.packages}
        return named.union(distributions_of(installed.values()))


@dataclass(frozen=True, slots=True)
class Made:
    """A lock, and what the user should know of it; with an error among these it is not to be written."""

    lock: Lock
    problems: tuple[Problem, ...] = ()


@dataclass
class _Making:
    """Collects what workflows use."""

    project: LockedProject
    problems: list[Problem] = field(default_factory=list)

    def packs(self, custom: Mapping[str, Pack]) -> dict[str, LockedPack]:
        found: dict[str, LockedPack] = {}
        for name, pack in sorted(custom.items()):
            found[name], warnings = locked_pack(pack)
            self.problems += warnings
        return found

    def models(self, used: Iterable[UsedByWorkflow]) -> dict[str, dict[str, LockedModel]]:
        found: dict[str, dict[str, LockedModel]] = {}
        for each in used:
            for place, path in sorted(each.models.items()):
                kind, _, name = place.partition("/")
                if path is None:
                    told = f"model {place} is not there, so its hash is not known"
                    hint = f"put it into {' or '.join(map(str, self.project.engine.folders.roots(kind)))}"
                    self.problems.append(Problem("not_lockable", told, hint=hint))
                elif name not in found.setdefault(kind, {}):
                    source = source_of(place, each.sources)
                    found[kind][name] = locked_model(path, self.project.engine.memo, source)
        return found

    def tell_unknown(self, used: Mapping[str, UsedByWorkflow]) -> None:
        for name, each in used.items():
            if each.unknown:
                told = f"{name}: what {', '.join(each.unknown[:5])} takes is not known here"
                hint = (
                    "models are locked as far as the names of files tell; run the workflow once, which makes an "
                    "index of its packs, then lock again"
                )
                self.problems.append(Problem("not_lockable", told, hint=hint, severity="warning"))


def make_lock(project: LockedProject, files: Iterable[str], before: Lock | None = None) -> Made:
    """The lock of these workflows, named as below the project's folder. `before` is the lock there was.

    Raises:
        WorkflowFormatError: a file cannot be read, or holds no workflow.
        UntrustedPack: a pack cannot be read.
        LockError: a name is none that a lock can hold.
    """
    making = _Making(project)
    used = {name: look_at(project.engine, project.folder / name) for name in sorted(set(files))}
    custom, installed = merged_packs(used.values())
    making.tell_unknown(used)
    models = making.models(used.values())
    with_known_urls(models, before)
    try:
        lock = Lock(
            version=1,
            engine=locked_engine(project.engine),
            numerics=project.engine.numerics.parts(),
            workflows={name: each.locked for name, each in used.items()},
            packs=making.packs(custom),
            installed_packs=locked_installed(installed.values(), Records(project.settings.packs)),
            packages=with_known_hashes(locked_packages(project.packages_named_by(used.values())), before),
            models=models,
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise LockError(f"{place}: {first['msg']}", hint="rename it: a lock cannot hold this name") from error
    return Made(lock, tuple(making.problems))


def merged_packs(used: Iterable[UsedByWorkflow]) -> tuple[dict[str, Pack], dict[str, Pack]]:
    """All packs of `custom_nodes` that are used, and all installed ones, by name."""
    custom: dict[str, Pack] = {}
    installed: dict[str, Pack] = {}
    for each in used:
        custom |= each.packs
        installed |= each.installed
    return custom, installed


def with_known_hashes(packages: dict[str, LockedPackage], before: Lock | None) -> dict[str, LockedPackage]:
    """The packages with the hashes that the lock had for the same builds: no index need be asked again."""
    known = before.packages if before is not None else {}
    found = {}
    for name, package in packages.items():
        old = known.get(name)
        same = old is not None and (old.version, old.installed) == (package.version, package.installed)
        hashes = sorted({*package.sha256, *(old.sha256 if same and old is not None else ())})
        found[name] = package.model_copy(update={"sha256": hashes})
    return found


def _is_workflow(path: Path) -> bool:
    return path.is_file() and not path.name.endswith(".layout.json")
