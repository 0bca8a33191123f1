"""`graphengine lock`: what a project depends on, in a file that git can merge."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphengine.cli.console import complain, plural, problem_lines, say, say_json
from graphengine.cli.lock_options import ProjectOptions
from graphengine.cli.option_groups import with_option_groups
from graphengine.cli.options import DebugOption, JsonOption, ModelsOption, examples, open_engine
from graphengine.errors import LockError, Problem

if TYPE_CHECKING:
    from graphengine.locking.locking import LockedProject, Made
    from graphengine.locking.schema import Lock

EXAMPLES = examples(
    "graphengine lock",
    "graphengine lock workflows/img2img.json",
    "graphengine lock --check",
    "graphengine lock --upgrade ComfyUI-Foo",
    "graphengine run workflows/img2img.json --locked",
)


@with_option_groups
def command(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE...]",
            help="Workflows to lock beside those that are. Default: those in the lock, else workflows/*.json.",
        ),
    ] = None,
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; tell all that differs from the lock, exit with 1.")
    ] = False,
    upgrade: Annotated[
        list[str] | None,
        typer.Option(
            "--upgrade",
            metavar="PACK",
            help="Bring the newest commit of this pack where it was installed from git, take it in, and change "
            "nothing else of the lock. Repeatable.",
        ),
    ] = None,
    offline: Annotated[
        bool,
        typer.Option(
            "--offline", help="Ask no index for hashes of packages, and fetch no pack: take it as it is."
        ),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="With --upgrade: do not ask before installing.")
    ] = False,
    places: ProjectOptions,
    models: ModelsOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write what workflows depend on into graphengine.lock, or check that nothing differs from it.

    The lock has the digests of workflows, the code of packs with source and commit, Python packages with hashes,
    models with size and hash, versions, device and settings. Nothing of a pack is run.
    """
    from graphengine.locking.locking import LockedProject

    if check and (files or upgrade):
        raise typer.BadParameter("it checks all of the lock and takes nothing in", param_hint="--check")
    if upgrade and files:
        raise typer.BadParameter(
            "it changes nothing but a pack: lock the files by themselves", param_hint="--upgrade"
        )
    settings = places.settings(models or ())
    with open_engine(settings) as engine:
        project = LockedProject(engine, settings)
        if check:
            _check(project, as_json=as_json)
        elif upgrade:
            _upgrade(project, upgrade, offline=offline, yes=yes, as_json=as_json)
        else:
            _lock(project, files or [], offline=offline, as_json=as_json)


def _check(project: "LockedProject", *, as_json: bool) -> None:
    """Tell all that differs.

    Raises:
        Exit: something does.
    """
    from graphengine.locking.differences import differences
    from graphengine.locking.lock_file import read_lock

    lock = read_lock(project.file)
    problems = differences(project, lock)
    errors = sum(problem.severity == "error" for problem in problems)
    if as_json:
        told = {"file": str(project.file), "ok": not errors, "problems": [asdict(problem) for problem in problems]}
        say_json(told)
    else:
        for line in problem_lines(problems):
            complain(line)
        differ = f"{plural(errors, 'difference')} from {project.file.name}"
        say(differ if errors else f"all as {project.file.name} says: {_counted(lock)}")
    if errors:
        raise typer.Exit(1)


def _lock(project: "LockedProject", files: Sequence[Path], *, offline: bool, as_json: bool) -> None:
    from graphengine.locking.lock_file import read_lock
    from graphengine.locking.locking import make_lock

    before = read_lock(project.file) if project.file.exists() else None
    names = [project.name(file) for file in files]
    if before is not None or not files:
        names += project.default_files(before)
    if not names:
        raise LockError(
            "there is nothing to lock: no workflow is named, none is locked, and none is in workflows/",
            hint="name them: graphengine lock FILE...",
        )
    made = make_lock(project, names, before)
    _write(project, before, made, offline=offline, as_json=as_json)


def _upgrade(project: "LockedProject", packs: Sequence[str], *, offline: bool, yes: bool, as_json: bool) -> None:
    from graphengine.cli.installing_options import Consent
    from graphengine.locking.lock_file import read_lock
    from graphengine.locking.locking import Made
    from graphengine.locking.upgrading import newest, with_pack

    before = read_lock(project.file)
    consent = Consent(dry_run=False, yes=yes, write=complain if as_json else say)
    made = Made(before)
    for name in packs:
        if not offline:
            for line in newest(project, name, consent):
                complain(line)
        one = with_pack(project, made.lock, name)
        made = replace(one, problems=(*made.problems, *one.problems))
    _write(project, before, made, offline=offline, as_json=as_json)


def _write(project: "LockedProject", before: "Lock | None", made: "Made", *, offline: bool, as_json: bool) -> None:
    """Write the lock unless something cannot be locked, and tell of it.

    Raises:
        Exit: something cannot be locked; nothing is written then.
    """
    from graphengine.locking.changes import lock_changes
    from graphengine.locking.lock_file import write_lock

    problems = list(made.problems)
    failed = any(problem.severity == "error" for problem in problems)
    lock = made.lock
    if not failed:
        lock, further = _hashed(lock, offline=offline)
        problems += further
    changes = lock_changes(before, lock)
    written = not failed and write_lock(project.file, lock)
    if as_json:
        listed = [asdict(problem) for problem in problems]
        say_json({"file": str(project.file), "written": written, "changes": changes, "problems": listed})
    else:
        for line in problem_lines(problems):
            complain(line)
        for line in changes if written and before is not None else ():
            say(line)
        if not failed:
            state = "locked in" if written else "already in"
            say(f"{_counted(lock)} {state} {project.file.name}")
    if failed:
        complain("nothing was written")
        raise typer.Exit(1)


def _hashed(lock: "Lock", *, offline: bool) -> "tuple[Lock, list[Problem]]":
    """The lock with the hashes of packages from the index, and a warning about those that have none."""
    from graphengine.locking.hashes import with_hashes
    from graphengine.packs.installing.environment import open_environment

    missing = [name for name, package in lock.packages.items() if package.installed and not package.sha256]
    if not missing:
        return lock, []
    why: str | None = "no index was asked (--offline)"
    if not offline:
        complain(f"asking the index of packages for the hashes of {plural(len(missing), 'package')}")
        hashed = with_hashes(lock.packages, open_environment())
        lock = lock.model_copy(update={"packages": dict(hashed.packages)})
        missing, why = list(hashed.unknown), (hashed.why or "the index does not tell").strip().splitlines()[-1]
    if not missing:
        return lock, []
    shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
    told = f"{plural(len(missing), 'package')} without hashes of files ({shown}): {why}"
    hint = (
        "they are locked by version and by what they installed; graphengine restore cannot bring them by hash, so "
        "lock again where the index can be reached"
    )
    return lock, [Problem("not_lockable", told, hint=hint, severity="warning")]


def _counted(lock: "Lock") -> str:
    parts = (
        plural(len(lock.workflows), "workflow"),
        plural(len(lock.packs) + len(lock.installed_packs), "pack"),
        plural(len(lock.packages), "package"),
        plural(len(lock.places()), "model"),
    )
    return ", ".join(parts)
