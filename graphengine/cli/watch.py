"""`graphengine watch`: runs workflows, and runs again what a save changed."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphengine.cli.compute_options import FastOption
from graphengine.cli.console import complain, say
from graphengine.cli.event_lines import event_lines
from graphengine.cli.foreseeing import Asked
from graphengine.cli.history_options import HistoryOptions, NoRecordOption, StripMetadataOption
from graphengine.cli.interrupt import cancel_on_signals
from graphengine.cli.option_groups import OptionGroup, with_option_groups
from graphengine.cli.options import (
    BaseDirOption,
    CacheOption,
    CustomNodesOption,
    DebugOption,
    DeviceOption,
    InputOption,
    ModelsOption,
    OutputOption,
    examples,
    open_engine,
)
from graphengine.cli.overrides import find_node
from graphengine.cli.reading import FromOption
from graphengine.cli.run import EventsOption, SeedOption, SetOption, TargetOption
from graphengine.cli.trust_options import TrustChangedOption, TrustOption
from graphengine.cli.watch_keys import pressed_keys
from graphengine.cli.watch_lines import WatchLines
from graphengine.errors import SettingsError
from graphengine.settings import Settings, load_settings

if TYPE_CHECKING:
    from graphengine.engine import Engine
    from graphengine.errors import Problem
    from graphengine.packs.discover import Pack
    from graphengine.workflow.models import NodeId, Workflow

EXAMPLES = examples(
    "graphengine watch workflows/img2img.json",
    "graphengine watch flow.json --set KSampler.steps=4 --exec 'imv {}'",
    "graphengine watch flow.json --trust my-pack",
    "graphengine watch *.json --queue --poll",
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


@dataclass(frozen=True, slots=True)
class Runs(OptionGroup):
    """How the workflows are run: options as `run` has them."""

    changes: SetOption = None
    seed: SeedOption = None
    targets: TargetOption = None
    wanted: FromOption = None
    base_dir: BaseDirOption = None
    input: InputOption = None
    output: OutputOption = None
    models: ModelsOption = None
    custom_nodes: CustomNodesOption = None
    cache: CacheOption = None
    device: DeviceOption = None
    fast: FastOption = False
    trust: TrustOption = None
    trust_changed: TrustChangedOption = False
    no_record: NoRecordOption = False
    strip_metadata: StripMetadataOption = False

    def settings(self, files: Sequence[Path]) -> Settings:
        """The settings as they are now; an input folder beside each of the files is searched."""
        settings = load_settings(
            base_dir=self.base_dir,
            input=self.input,
            output=self.output,
            models=self.models or (),
            custom_nodes=self.custom_nodes or (),
            cache=self.cache,
            device=self.device,
            fast=self.fast,
            workflow=files[0],
            environ=os.environ,
        )
        beside = (file.absolute().parent / "input" for file in files)
        inputs = tuple(dict.fromkeys((*settings.folders.input, *beside)))
        settings = replace(settings, folders=replace(settings.folders, input=inputs))
        settings = HistoryOptions(self.no_record, self.strip_metadata).applied(settings)
        return settings.trusting(self.trust or (), changed=self.trust_changed)

    def read(self, engine: "Engine", file: Path) -> "tuple[Workflow, Collection[NodeId] | None]":
        """The workflow in a file with the changes made, and the nodes that are wanted of it."""
        asked = Asked(changes=self.changes, seed=self.seed, wanted=self.wanted, load_packs=True)
        workflow = asked.workflow(engine, file)
        return workflow, [find_node(name, workflow) for name in self.targets] if self.targets else None


@with_option_groups
def command(
    files: FilesArgument,
    *,
    runs: Runs,
    queue: QueueOption = False,
    poll: PollOption = False,
    execute: ExecOption = None,
    events: EventsOption = None,
    debug: DebugOption = False,
) -> None:
    """Run workflows, then run again what a save changed, until Ctrl-C.

    Watched are the workflow files, the input and model files that their nodes name, and the code of their custom
    packs. On a change it tells what changed and what runs, and runs that; models stay loaded. A workflow with
    errors, or one that is being written, waits for the next save.
    """
    from graphengine.watch.changes import FolderChanges  # with watchdog (0.05 s), which help does not need
    from graphengine.watch.loop import Watch, Wishes

    after = _command_after(execute, to_stderr=events == "-")
    settings = runs.settings(files)
    with ExitStack() as stack:
        engine = open_engine(settings)
        changes = FolderChanges(poll=poll)
        stack.callback(changes.close)
        listeners = [] if events is None else [stack.enter_context(event_lines(events))]
        write = complain if events == "-" else say
        live = sys.stderr if sys.stderr.isatty() else None
        lines = WatchLines(engine.folders, write=write, listeners=listeners, after=after, live=live)
        is_interrupted = stack.enter_context(cancel_on_signals())
        keys = stack.enter_context(pressed_keys(sys.stdin))
        wishes = Wishes(not queue, lambda: is_interrupted() or keys.quits(), keys.repeats)
        watch = Watch(
            engine, files, runs.read, changes, lines, wishes,
            renew=_renewing(lambda: runs.settings(files)), project=settings.project.file,
        )  # fmt: skip
        how = "r runs all again, q quits" if keys.descriptor is not None else "Ctrl-C ends it"
        complain(f"watching {', '.join(file.name for file in files)}; {how}")
        try:
            with suppress(KeyboardInterrupt):
                watch.go()
        finally:
            watch.engine.close()


def _renewing(
    settings: Callable[[], Settings],
) -> "Callable[[Engine, Collection[Pack]], tuple[Engine, Sequence[Problem]]]":
    """Takes in changed packs as the project file trusts them by then."""

    def renew(engine: "Engine", changed: "Collection[Pack]") -> "tuple[Engine, Sequence[Problem]]":
        from graphengine.watch.code import renewed  # as above

        return renewed(engine, settings(), changed)

    return renew


def _command_after(text: str | None, *, to_stderr: bool) -> Callable[[Path, Sequence[Path]], None]:
    """Runs a command after a good run.

    Raises:
        SettingsError: the text is no command.
    """
    try:
        words = shlex.split(text or "")
    except ValueError as error:
        raise SettingsError(f"--exec {text!r}: {error}", hint="close the quotes") from None
    if text is not None and not words:
        raise SettingsError("--exec names no command", hint="give it as --exec 'imv {}'")

    def run(file: Path, files: Sequence[Path]) -> None:
        if not words:
            return
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
