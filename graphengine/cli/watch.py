"""`graphengine watch`: runs workflows, and runs again what a save changed."""

import shlex
import subprocess
import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from graphengine.cli.compute_options import ComputeOptions
from graphengine.cli.console import complain
from graphengine.cli.foreseeing import Asked
from graphengine.cli.history_options import HistoryOptions
from graphengine.cli.interrupt import cancel_on_signals
from graphengine.cli.option_groups import OptionGroup, with_option_groups
from graphengine.cli.options import DebugOption, examples, open_engine
from graphengine.cli.overrides import find_node
from graphengine.cli.policy_options import PolicyOptions
from graphengine.cli.reading import FromOption
from graphengine.cli.remote_options import RemoteOptions
from graphengine.cli.run import EventsOption, SeedOption, SetOption, TargetOption
from graphengine.cli.run_settings import PlaceOptions, run_settings
from graphengine.cli.trust_options import TrustOptions
from graphengine.cli.watch_keys import pressed_keys
from graphengine.errors import SettingsError
from graphengine.settings import Settings

if TYPE_CHECKING:
    from graphengine.engine import Engine
    from graphengine.errors import Problem
    from graphengine.packs.discover import Pack
    from graphengine.workflow.models import NodeId, Workflow

EXAMPLES = examples(
    "graphengine watch workflows/img2img.json",
    "graphengine watch flow.json --set KSampler.steps=4 --exec 'imv {}'",
    "graphengine watch flow.json --trust my-pack --test",
    "graphengine watch *.json --queue --serve 0",
)

FilesArgument = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Saved workflows.")]
QueueOption = Annotated[
    bool,
    typer.Option("--queue/--restart", help="Let a run end when a newer save comes. Default: start over."),
]
PollOption = Annotated[
    bool, typer.Option("--poll", help="Look twice a second, where the system reports nothing: network drives.")
]
ExecOption = Annotated[
    str | None,
    typer.Option("--exec", metavar="COMMAND", help="Run this after each good run, without a shell. {} alone "
                 "stands for the files that the run gave."),
]  # fmt: skip


TestOption = Annotated[
    bool,
    typer.Option("--test", help="When a pack changes, run its checks and its tests, in processes of their own."),
]
TestTimeoutOption = Annotated[
    float,
    typer.Option("--test-timeout", metavar="SECONDS", min=1.0, help="How long the tests of a pack may take."),
]
ServeOption = Annotated[
    int | None,
    typer.Option(
        "--serve", metavar="PORT", min=0, max=65535,
        help="Show all of it on a page at this port of 127.0.0.1, which keeps itself up to date; 0 takes any.",
    ),
]  # fmt: skip
#: Seconds that a changed pack may take to be imported; the first import has the longer time of `run`.
_RELOAD_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Values(OptionGroup):
    """What of the workflows is run, with which values: as `run` has it."""

    changes: SetOption = None
    seed: SeedOption = None
    targets: TargetOption = None
    wanted: FromOption = None

    def read(self, engine: "Engine", file: Path) -> "tuple[Workflow, Collection[NodeId] | None]":
        """The workflow in a file with the changes made, and the nodes that are wanted of it."""
        asked = Asked(changes=self.changes, seed=self.seed, wanted=self.wanted, load_packs=True)
        workflow = asked.workflow(engine, file)
        return workflow, [find_node(name, workflow) for name in self.targets] if self.targets else None


@with_option_groups
def command(
    files: FilesArgument,
    *,
    values: Values,
    places: PlaceOptions,
    sharing: RemoteOptions,
    policy: PolicyOptions,
    computing: ComputeOptions,
    trusting: TrustOptions,
    keeping: HistoryOptions,
    queue: QueueOption = False,
    poll: PollOption = False,
    execute: ExecOption = None,
    test: TestOption = False,
    test_timeout: TestTimeoutOption = 300.0,
    serve: ServeOption = None,
    events: EventsOption = None,
    debug: DebugOption = False,
) -> None:
    """Run workflows, then run again what a save changed, until Ctrl-C.

    Watched are the workflow files, the input and model files that their nodes name, and the code of their custom
    packs. On a change it tells what changed and what runs, and runs that; models stay loaded. A workflow with
    errors, or one that is being written, waits for the next save.
    """
    from graphengine.cli.watch_session import How, session  # all of it comes with the engine (0.2 s)
    from graphengine.watch.changes import FolderChanges
    from graphengine.watch.loop import Watch, Wishes

    def settings() -> Settings:
        found = run_settings(files[0], places, sharing, policy, computing, trusting)
        return _with_inputs_beside(files, keeping.applied(found))

    after = _command_after(execute, to_stderr=events == "-")
    how = How(events, after, test_timeout if test else None, serve)
    first = settings()
    computing.tell(first)
    with ExitStack() as stack:
        engine = _remembering(open_engine(first), stack)
        changes = FolderChanges(poll=poll)
        stack.callback(changes.close)
        is_interrupted = stack.enter_context(cancel_on_signals())
        keys = stack.enter_context(pressed_keys(sys.stdin))
        audience, answers = stack.enter_context(
            session(files, engine.folders, how, keys, is_interrupted, lambda: _packs(watch.engine))
        )
        watch = Watch(
            engine, files, values.read, changes, audience, Wishes(not queue, answers.stop, answers.again),
            renew=_renewing(settings, trusting.import_timeout), project=first.project.file,
            options=policy.run_options(),
        )  # fmt: skip
        try:
            with suppress(KeyboardInterrupt):
                watch.go()
        finally:
            watch.engine.close()


def _remembering(engine: "Engine", stack: ExitStack) -> "Engine":
    """The engine with records of its runs, which say what changed; without a cache they end with the watch."""
    if engine.records is not None:
        return engine
    from graphengine.provenance.folder import RecordFolder  # with pydantic models, which help does not need

    folder = stack.enter_context(TemporaryDirectory(prefix="graphengine_watch_"))
    return replace(engine, records=RecordFolder(Path(folder)))


def _with_inputs_beside(files: Sequence[Path], settings: Settings) -> Settings:
    """The settings with the input folder beside each of the files."""
    beside = (file.absolute().parent / "input" for file in files)
    inputs = tuple(dict.fromkeys((*settings.folders.input, *beside)))
    return replace(settings, folders=replace(settings.folders, input=inputs))


def _packs(engine: "Engine") -> dict[str, Path]:
    return {pack.name: pack.path for pack in engine.custom if pack.path is not None}


def _renewing(
    settings: Callable[[], Settings], import_timeout: float | None
) -> "Callable[[Engine, Collection[Pack]], tuple[Engine, Sequence[Problem]]]":
    """Takes in changed packs as the project file trusts them by then."""

    def renew(engine: "Engine", changed: "Collection[Pack]") -> "tuple[Engine, Sequence[Problem]]":
        from graphengine.watch.code import renewed  # as above

        now = settings()
        importing = now.importing
        if import_timeout is None and (importing.timeout is None or importing.timeout > _RELOAD_SECONDS):
            now = replace(now, importing=replace(importing, timeout=_RELOAD_SECONDS))
        return renewed(engine, now, changed)

    return renew


def _command_after(text: str | None, *, to_stderr: bool) -> Callable[[Path, Sequence[Path]], None] | None:
    """Runs a command after a good run, None where there is none.

    Raises:
        SettingsError: the text is no command.
    """
    if text is None:
        return None
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise SettingsError(f"--exec {text!r}: {error}", hint="close the quotes") from None
    if not words:
        raise SettingsError("--exec names no command", hint="give it as --exec 'imv {}'")

    def run(file: Path, files: Sequence[Path]) -> None:
        told = [part for word in words for part in ([str(path) for path in files] if word == "{}" else [word])]
        try:
            done = subprocess.run(
                told, stdin=subprocess.DEVNULL, stdout=sys.stderr if to_stderr else None, check=False
            )
        except OSError as error:
            complain(f"error: --exec: {words[0]}: {error.strerror}")
            return
        if done.returncode:
            complain(f"error: --exec: {words[0]} ended with {done.returncode}")

    return run
