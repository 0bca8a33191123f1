"""`graphengine run`: one workflow, with progress, a summary, and a way to stop it."""

import sys
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphengine.cli.check_pure import PurityOptions, checking_engine, tell_purity
from graphengine.cli.compute_options import ComputeOptions
from graphengine.cli.console import complain, problem_lines, say, say_json
from graphengine.cli.event_lines import event_lines
from graphengine.cli.history_options import HistoryOptions
from graphengine.cli.interrupt import cancel_on_signals
from graphengine.cli.lock_options import LockGuard, LockOptions
from graphengine.cli.option_groups import with_option_groups
from graphengine.cli.options import (
    DebugOption,
    JsonOption,
    examples,
    open_engine,
)
from graphengine.cli.overrides import apply_changes, find_node, read_changes, seed_changes
from graphengine.cli.policy_options import PolicyOptions
from graphengine.cli.progress import show_progress
from graphengine.cli.reading import FromOption, read_workflow
from graphengine.cli.record_options import RecordOptions
from graphengine.cli.remote_options import RemoteOptions
from graphengine.cli.run_installing import MissingOptions
from graphengine.cli.run_settings import PlaceOptions, run_settings
from graphengine.cli.summary import RunRecord, file_lines, summary_json, summary_lines
from graphengine.cli.sweep_options import SweepOptions
from graphengine.cli.trust_options import TrustOptions
from graphengine.errors import GraphEngineError, RunCancelled, ValidationFailed, node_label
from graphengine.execution.events import Event, Listener
from graphengine.execution.policy import RunOptions
from graphengine.workflow.documents import DocumentKind
from graphengine.workflow.models import Link, NodeId, Workflow

if TYPE_CHECKING:
    from graphengine.engine import Engine
    from graphengine.execution.result import RunResult

EXAMPLES = examples(
    "graphengine run workflows/img2img.json",
    "graphengine run picture.png --seed 7",
    'graphengine run flow.json --set 6.text="a red fox" --set KSampler.steps=30',
    "graphengine run flow.json --base-dir ~/ComfyUI --target 9",
    "graphengine run flow.json --quiet --events - | jq .kind",
    "graphengine run flow.json --sweep KSampler.seed=1..8 --sweep cfg=4,7,10",
    "graphengine run flow.json --record KSampler -o tests/recorded/",
)


FileArgument = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="A saved workflow, or a picture, video, sound or model that carries one."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NODE.INPUT=VALUE",
        help="Set an input. NODE is an id, or a title or node type that one node alone has. Repeatable.",
    ),
]
SeedOption = Annotated[
    int | None, typer.Option("--seed", metavar="N", min=0, max=2**64 - 1, help="Set every seed and noise_seed.")
]
TargetOption = Annotated[
    list[str] | None,
    typer.Option("--target", metavar="NODE", help="Run only this node and what it needs. Repeatable."),
]
EventsOption = Annotated[
    str | None,
    typer.Option(
        "--events",
        metavar="FILE",
        help="Write each event as a line of JSON; - is stdout, and the summary goes to stderr then.",
    ),
]
PartialOption = Annotated[
    bool,
    typer.Option("--partial", help="Run the outputs without errors although others have some; exit 1 then."),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Write only where the files are, and errors.")]


@with_option_groups
def command(
    file: FileArgument,
    *,
    changes: SetOption = None,
    seed: SeedOption = None,
    targets: TargetOption = None,
    sweeping: SweepOptions,
    purity: PurityOptions,
    recording: RecordOptions,
    wanted: FromOption = None,
    places: PlaceOptions,
    sharing: RemoteOptions,
    policy: PolicyOptions,
    computing: ComputeOptions,
    trusting: TrustOptions,
    locking: LockOptions,
    keeping: HistoryOptions,
    missing: MissingOptions,
    partial: PartialOption = False,
    events: EventsOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Run a workflow: JSON in either of ComfyUI's formats, or a picture, video, sound or model that carries one.

    A node whose inputs have not changed since an earlier run is not run again. Results are written to stdout,
    progress and errors to stderr. Ctrl-C stops at the next step; what has finished stays in the cache.
    """
    how = _How(policy.run_options(), partial, events, quiet, as_json)
    how.check()
    purity.check(how.options, is_sweep=sweeping.is_asked)
    recording.check(how.options, purity, is_sweep=sweeping.is_asked)
    settings = keeping.applied(run_settings(file, places, sharing, policy, computing, trusting))
    computing.tell(settings)
    locking.check(installs=missing.install_missing)
    with open_engine(settings) as engine, missing.handled(engine, file, wanted):
        guard = locking.guard(engine, settings)
        _Request(
            engine, file, wanted, changes or [], seed, targets, sweeping, purity, recording, how, guard
        ).carry_out()


@dataclass(frozen=True, slots=True)
class _How:
    """How the user wants the workflow run and told of."""

    options: RunOptions
    partial: bool
    events: str | None
    quiet: bool
    as_json: bool

    def write(self, line: str) -> None:
        """Write a line of the result; stdout may be taken by events."""
        (complain if self.events == "-" else say)(line)

    def check(self) -> None:
        """Refuse two kinds of JSON on stdout.

        Raises:
            BadParameter: both are asked for.
        """
        if self.as_json and self.events == "-":
            raise typer.BadParameter("stdout takes one of --json and --events -", param_hint="--events")


@dataclass(frozen=True, slots=True)
class _Request:
    """What the command line asks for."""

    engine: "Engine"
    file: Path
    wanted: DocumentKind | None
    changes: list[str]
    seed: int | None
    targets: list[str] | None
    sweeping: SweepOptions
    purity: PurityOptions
    recording: RecordOptions
    how: _How
    guard: LockGuard | None

    def carry_out(self) -> None:
        """Run the workflow, once or with many values, or check its nodes."""
        record = RunRecord()
        try:
            if self.guard is not None:
                self.guard.require(self.file, self.wanted)
            workflow = _prepare(self.engine, self.file, self.wanted, self.changes, self.seed)
            if self.guard is not None:
                self.guard.require_changed(workflow)
            goals = [find_node(name, workflow) for name in self.targets] if self.targets else None
            if self.sweeping.is_asked:
                self._sweep(workflow, goals)
            elif self.purity.check_pure:
                self._check_pure(workflow, goals, record)
            elif self.recording.record:
                self._record(workflow, goals, record)
            else:
                _run(self.engine, workflow, goals, record, self.how, self.file)
                _summarise(record, self.engine, self.how)
        except GraphEngineError as error:
            if self.how.as_json:
                say_json(summary_json(record, self.engine.folders, error))
            raise

    def _sweep(self, workflow: Workflow, goals: Collection[NodeId] | None) -> None:
        # with nine modules that a single run does not need, and a cached one would wait for
        from graphengine.cli.sweep import HowToSweep, sweep_workflow, tell_result

        how = self.how
        if how.partial:
            raise typer.BadParameter("a sweep runs what has no errors only", param_hint="--partial")
        asked = HowToSweep(how.options, goals, how.events, how.quiet)
        manifest, folder = sweep_workflow(self.engine, workflow, self.file, self.sweeping, asked)
        tell_result(manifest, folder, as_json=how.as_json, quiet=how.quiet, write=how.write)

    def _check_pure(self, workflow: Workflow, goals: Collection[NodeId] | None, record: RunRecord) -> None:
        tolerance = self.purity.pure_tolerance or 0.0
        with checking_engine(self.engine, workflow, tolerance) as (engine, executor):
            _run(engine, workflow, goals, record, self.how)
        told = self.how
        tell_purity(executor.found, workflow, tolerance, as_json=told.as_json, quiet=told.quiet, write=told.write)

    def _record(self, workflow: Workflow, goals: Collection[NodeId] | None, record: RunRecord) -> None:
        recorder = self.recording.recorder(self.engine, workflow, goals)
        result = _run(recorder.engine, workflow, recorder.targets, record, self.how, self.file)
        _summarise(record, self.engine, self.how)
        self.recording.write(recorder, result, self.file, self.how)


def _prepare(
    engine: "Engine", file: Path, wanted: DocumentKind | None, changes: list[str], seed: int | None
) -> Workflow:
    """The workflow with what the command line changes in it; warnings go to stderr.

    Raises:
        ValidationFailed: the document cannot be converted.
        SettingsError: a change names what is not there.
    """
    conversion = read_workflow(engine, file, load_packs=True, wanted=wanted, runs=True)
    if any(problem.severity == "error" for problem in conversion.problems):
        raise ValidationFailed(conversion.problems)
    for line in problem_lines(conversion.problems):
        complain(line)
    workflow = conversion.workflow
    planned = seed_changes(seed, workflow) if seed is not None else []
    planned += read_changes(changes, workflow, engine.registry)
    for change in planned:
        if isinstance(change.replaced, Link):
            place = f"{node_label(change.node_id, change.class_type)}: input {change.input_name!r}"
            complain(f"warning: {place} was linked to node {change.replaced.source}; --set replaces it")
    return apply_changes(workflow, planned)


def _run(
    engine: "Engine",
    workflow: Workflow,
    targets: Collection[NodeId] | None,
    record: RunRecord,
    how: _How,
    file: Path | None = None,
) -> "RunResult":
    with ExitStack() as stack:
        listeners: list[Listener] = [record]
        if how.events is not None:
            listeners.append(stack.enter_context(event_lines(how.events)))
        if not how.quiet:
            listeners.append(stack.enter_context(show_progress(sys.stderr)))

        def tell(event: Event) -> None:
            for listener in listeners:
                listener(event)

        is_cancelled = stack.enter_context(cancel_on_signals())
        try:
            result = engine.run(
                workflow,
                targets=targets,
                on_event=tell,
                is_cancelled=is_cancelled,
                options=how.options,
                partial=how.partial,
                record_as=file,
            )
        except KeyboardInterrupt as interrupt:
            raise RunCancelled from interrupt
    if any(problem.severity == "error" for problem in result.problems):
        raise ValidationFailed(result.problems)
    return result


def _summarise(record: RunRecord, engine: "Engine", how: _How) -> None:
    current = Path.cwd()
    if how.as_json:
        say_json(summary_json(record, engine.folders))
    elif how.quiet:
        for line in file_lines(record, engine.folders, current):
            how.write(line)
    else:
        for line in summary_lines(record, engine.folders, current):
            how.write(line)
