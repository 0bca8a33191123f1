"""How a project differs from its lock: all of it, or what one run depends on."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from graphengine.errors import GraphEngineError, Problem, UntrustedPack
from graphengine.locking.locking import LockedProject, merged_packs
from graphengine.locking.machine import engine_differences, locked_engine
from graphengine.locking.models import model_differences
from graphengine.locking.packages import locked_packages, package_differences, these_packages
from graphengine.locking.packs import installed_differences, locked_installed, pack_differences, readable
from graphengine.locking.schema import Lock, LockedPack, LockedPackage, LockedWorkflow
from graphengine.locking.workflows import UsedByWorkflow, look_at, models_of, packs_of
from graphengine.packs.discover import Pack
from graphengine.packs.records import Records
from graphengine.workflow.documents import DocumentKind
from graphengine.workflow.models import Workflow

_TAKE_IN = "undo the change, or take it in: graphengine lock"


def differences(project: LockedProject, lock: Lock) -> list[Problem]:
    """All that differs from the lock, with what to do about each. Runs no code of packs."""
    found: list[Problem] = []
    used: list[UsedByWorkflow] = []
    for name, locked in sorted(lock.workflows.items()):
        looked, problems = _workflow(project, project.folder / name, name, locked)
        found += problems
        used += [] if looked is None else [looked]
    packages = locked_packages(project.packages_named_by(used), lock.packages)
    return [*found, *_rest(project, lock, used, lock.places(), packages)]


def differences_for(
    project: LockedProject, lock: Lock, file: Path, wanted: DocumentKind | None = None
) -> list[Problem]:
    """What differs from the lock of that which a run of the workflow in a file depends on.

    That is the workflow itself, the models that it uses, and all packs, packages and settings.

    Raises:
        LockError: the file lies outside of the project.
    """
    name = project.name(file)
    locked = lock.workflows.get(name)
    if locked is None:
        told = f"{name} is not in the lock"
        return [Problem("locked_workflow", told, hint=f"take it in: graphengine lock {file}")]
    looked, found = _workflow(project, file, name, locked, wanted)
    models = [*locked.models, *(looked.models if looked is not None else ())]
    used = [] if looked is None else [looked]
    # what these need in turn is in the lock, or one of them is another version than the lock says
    packages = these_packages({*lock.packages, *project.packages_named_by(used)})
    return [*found, *_rest(project, lock, used, models, packages)]


def differences_of_changes(project: LockedProject, lock: Lock, workflow: Workflow) -> list[Problem]:
    """What a workflow, with changes of the command line in it, uses of that which is not in the lock."""
    custom, installed = packs_of(project.engine, workflow)
    named = models_of(project.engine, workflow)
    return [
        *_packs(project, lock, custom, installed),
        *model_differences(lock, named, project.engine.folders, project.engine.memo),
    ]


def _workflow(
    project: LockedProject, file: Path, name: str, locked: LockedWorkflow, wanted: DocumentKind | None = None
) -> tuple[UsedByWorkflow | None, list[Problem]]:
    """What a workflow is now, None where it cannot be read, and how it differs."""
    try:
        looked = look_at(project.engine, file, wanted)
    except GraphEngineError as error:
        return None, [Problem("locked_workflow", f"{name}: {error.message}", hint=error.hint or _TAKE_IN)]
    now = looked.locked
    if locked.sha256 is not None and now.sha256 is not None:
        same = locked.sha256 == now.sha256
    else:  # a node type is not known here, or was not where it was locked
        same = locked.drawn is not None and locked.drawn == now.drawn
    if same:
        return looked, []
    told = f"workflow {name} is not what the lock says: what it runs was changed"
    hint = f"graphengine diff HEAD:{name} shows how; undo that, or take it in: graphengine lock {name}"
    return looked, [Problem("locked_workflow", told, hint=hint)]


def _rest(
    project: LockedProject,
    lock: Lock,
    used: Iterable[UsedByWorkflow],
    models: Iterable[str],
    packages: Mapping[str, LockedPackage],
) -> list[Problem]:
    looked = list(used)
    custom, installed = merged_packs(looked)
    engine = project.engine
    now = locked_engine(engine)
    also = {place for each in looked for place in each.models}
    return [
        *engine_differences(lock, now, engine.numerics.parts()),
        *_packs(project, lock, custom, installed),
        *package_differences(lock.packages, packages, same_platform=now.platform == lock.engine.platform),
        *model_differences(lock, {*models, *also}, engine.folders, engine.memo),
    ]


def _packs(
    project: LockedProject, lock: Lock, custom: dict[str, Pack], installed: dict[str, Pack]
) -> list[Problem]:
    # of two packs of one name the first has its node types
    present = {pack.name: pack for pack in reversed(project.engine.custom) if pack.name in lock.packs} | custom
    found: list[Problem] = []
    now: dict[str, LockedPack] = {}
    for name, pack in sorted(present.items()):
        try:
            read, problems = readable(pack)
        except UntrustedPack as error:
            read, problems = None, [Problem("locked_pack", error.message, hint=error.hint)]
        if read is not None:
            now[name] = read
        found += [problem for problem in problems if problem.severity == "error"]
    unreadable = present.keys() - now.keys()
    found += pack_differences(lock.packs, now, (lock.packs.keys() | now.keys()) - unreadable)
    known = {pack.name: pack for pack in project.engine.packs.packs if pack.path is None}
    named = lock.installed_packs.keys() | installed.keys()
    there = locked_installed((known[name] for name in named if name in known), Records(project.settings.packs))
    return [*found, *installed_differences(lock.installed_packs, there, named)]
