"""`graphengine restore`: what the lock of a project says, on this machine."""

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphengine.cli.console import complain, plural, problem_lines, say, say_json
from graphengine.cli.installing_options import InstallingOptions, chosen_folder
from graphengine.cli.lock_options import ProjectOptions
from graphengine.cli.models import format_size
from graphengine.cli.nodes_install import MirrorOption
from graphengine.cli.option_groups import with_option_groups
from graphengine.cli.options import DebugOption, JsonOption, examples, open_engine
from graphengine.errors import Problem, SettingsError
from graphengine.settings import Settings

if TYPE_CHECKING:
    from graphengine.engine import Engine
    from graphengine.locking.downloading import Progress
    from graphengine.locking.restore_models import ModelStep
    from graphengine.locking.restoring import RestorePlan, Restorer
    from graphengine.locking.schema import Lock

EXAMPLES = examples(
    "graphengine restore --dry-run",
    "graphengine restore --models /mnt/models --yes",
    "graphengine restore --no-index --find-links wheels --yes",
)

_TOLD_EVERY = 5.0  # seconds


@with_option_groups
def command(
    *,
    models: Annotated[
        list[Path] | None,
        typer.Option(
            "--models",
            metavar="DIR",
            help="Folder that may hold models of the lock, under whatever names: they are linked, or copied from "
            "another disk. Repeatable. What is in none is downloaded.",
        ),
    ] = None,
    options: InstallingOptions,
    mirrors: MirrorOption = None,
    trust: Annotated[
        bool,
        typer.Option("--trust", help="List the packs that were fetched in graphengine.toml, so that they run."),
    ] = False,
    places: ProjectOptions,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Bring what graphengine.lock says and what is missing here: packages and models by hash, packs at commits.

    First it tells what it would do; it goes on when you agree, or with --yes. What is there already stays as it
    is: where it differs from the lock, that is told. Nothing of a pack is run, and none is trusted by this.
    """
    if options.tool == "uv":
        raise SettingsError("restore installs with pip, which checks the hashes", hint="leave --tool out")
    settings = places.settings()
    with open_engine(settings) as engine:
        restorer, lock = _restorer(engine, settings, options, models or [], mirrors or [], places.base_dir)
        plan = restorer.plan(lock)
        if not as_json:
            _tell_plan(plan, lock)
        done = _is_wanted(plan, options, as_json=as_json)
        problems = list(plan.problems)
        if done:
            problems += _carry_out(restorer, plan, trust=trust)
    _finish(plan, problems, options, done=done, as_json=as_json)


def _restorer(
    engine: "Engine",
    settings: Settings,
    options: InstallingOptions,
    sources: list[Path],
    mirrors: list[str],
    base_dir: Path | None,
) -> "tuple[Restorer, Lock]":
    from graphengine.locking.lock_file import read_lock
    from graphengine.locking.locking import LockedProject
    from graphengine.locking.restoring import Restorer

    for folder in sources:
        if not folder.is_dir():
            raise SettingsError(f"there is no folder {str(folder)!r}", hint="check the path of --models")
    project = LockedProject(engine, settings)
    lock = read_lock(project.file)
    folder = chosen_folder(settings, base_dir).absolute()
    installer = options.installer(folder, quiet=True)
    made = Restorer(
        project,
        folder,
        (base_dir or Path.cwd()).absolute() / "models",
        installer.environment,
        installer.wishes,
        tuple(sources),
        tuple(mirrors),
    )
    return made, lock


def _tell_plan(plan: "RestorePlan", lock: "Lock") -> None:
    for line in plan.lines():
        say(line)
    for line in problem_lines(plan.problems):
        complain(line)
    if plan.is_empty and not plan.problems:
        say(f"nothing is missing: {plural(len(lock.packages), 'package')}, {plural(len(lock.packs), 'pack')}, "
            f"{plural(len(lock.places()), 'model')} are as the lock says")  # fmt: skip


def _is_wanted(plan: "RestorePlan", options: InstallingOptions, *, as_json: bool) -> bool:
    if plan.is_empty or options.dry_run:
        return False
    if options.yes:
        return True
    if sys.stdin.isatty() and not as_json:
        return typer.confirm("go on?", err=True)
    complain("nothing was done: add --yes, as nobody can be asked")
    return False


def _carry_out(restorer: "Restorer", plan: "RestorePlan", *, trust: bool) -> list[Problem]:
    problems = restorer.carry_out(plan, complain, _told)
    told = [problem.message for problem in problems]
    brought = [step for step in plan.packs if not any(f"pack {step.name!r}" in message for message in told)]
    listed = restorer.project.settings.project.trust().listed
    untrusted = [step.name for step in brought if listed.get(step.name) != step.locked.content]
    if untrusted and trust:
        _trust(restorer, untrusted)
    elif untrusted:
        complain(f"their code runs once this project trusts them: graphengine nodes trust {' '.join(untrusted)}")
    return problems


def _trust(restorer: "Restorer", names: list[str]) -> None:
    from graphengine.packs.discover import custom_packs
    from graphengine.packs.trust import trust_packs

    packs = [pack for pack in custom_packs([restorer.custom_nodes]) if pack.name in names]
    trust_packs(restorer.project.settings.project, restorer.project.engine.packs.trust, packs)
    complain(f"trusted as locked: {', '.join(names)}")


def _told(step: "ModelStep") -> "Progress":
    """Tells of a download from time to time."""
    last = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _TOLD_EVERY:
            last = time.monotonic()
            complain(
                f"  {step.place}: {format_size(done)} of {format_size(total)}, {100 * done // max(total, 1)} %"
            )

    return tell


def _finish(
    plan: "RestorePlan", problems: list[Problem], options: InstallingOptions, *, done: bool, as_json: bool
) -> None:
    """Tell what became of it.

    Raises:
        Exit: something could not be brought, or was not because nobody agreed.
    """
    new = problems[len(plan.problems) :]
    errors = sum(problem.severity == "error" for problem in problems)
    if as_json:
        listed = [asdict(problem) for problem in problems]
        say_json({"steps": list(plan.lines()), "done": done, "ok": not errors, "problems": listed})
    else:
        for line in problem_lines(new):
            complain(line)
        if done:
            say("restored" if not errors else f"restored but for {plural(errors, 'problem')}")
    if errors or (not done and not plan.is_empty and not options.dry_run):
        raise typer.Exit(1)
