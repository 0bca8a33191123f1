"""`graphengine run --sweep`: one workflow with many values, all runs over one cache.

Everything is read and checked before anything runs. A run that fails does not stop the others. Ctrl-C stops at the
next step and keeps what is there; a second start takes finished nodes from the cache.
"""

import sys
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from graphengine.cli.console import complain, plural, say, say_json
from graphengine.cli.event_lines import event_lines
from graphengine.cli.interrupt import cancel_on_signals
from graphengine.cli.overrides import apply_changes
from graphengine.cli.summary import RunRecord, shorten, summary_json
from graphengine.cli.sweep_axes import Axis, Row, Sweep, make_sweep, read_axis
from graphengine.cli.sweep_labels import file_stem, row_label, short_names
from graphengine.cli.sweep_manifest import (
    MANIFEST,
    Cell,
    SweepManifest,
    keep_files,
    new_manifest,
    open_folder,
    write_manifest,
)
from graphengine.cli.sweep_options import SweepOptions
from graphengine.cli.sweep_progress import SweepProgress, show_sweep
from graphengine.cli.sweep_rows import read_csv, read_pictures
from graphengine.errors import GraphEngineError, Problem, RunCancelled, ValidationFailed, node_label
from graphengine.execution.events import Event, Listener
from graphengine.execution.hidden import RunExtra
from graphengine.execution.policy import RunOptions
from graphengine.workflow.models import NodeId, Workflow

if TYPE_CHECKING:
    from graphengine.engine import Engine

_WRITE_SECONDS = 2.0  # between two states of the manifest
_MANY = 20  # problems that a person wants to read


@dataclass(frozen=True, slots=True)
class HowToSweep:
    """How each run is made and told of."""

    options: RunOptions
    targets: Collection[NodeId] | None
    events: str | None
    quiet: bool


def sweep_workflow(
    engine: "Engine", workflow: Workflow, file: Path, asked: SweepOptions, how: HowToSweep
) -> tuple[SweepManifest, Path]:
    """Run the workflow with all values; gives the manifest and the folder that it lies in.

    Raises:
        SettingsError: a value, an input or a folder cannot be used.
        ValidationFailed: the workflow has errors with some of the values.
        GraphEngineError: the folder cannot be written.
    """
    sweep, engine = _plan(engine, workflow, asked)
    _warn_of_links(sweep)
    _check_all(engine, workflow, sweep, how.targets)
    manifest = new_manifest(file, sweep)
    folder = open_folder(asked.output_dir, engine.folders.output, manifest)
    if not how.quiet:
        complain(f"{_outlook(sweep)}, into {shorten(folder.absolute(), Path.cwd())}")
    runs = _Runs(engine, workflow, sweep, manifest, folder, how, fail_fast=asked.fail_fast)
    write_manifest(folder, manifest)
    begun = time.monotonic()
    try:
        runs.run_all()
    finally:
        if manifest["status"] == "running":  # it did not come to an end
            manifest["status"] = "error"
        manifest["seconds"] = round(time.monotonic() - begun, 3)
        write_manifest(folder, manifest)
    _add_sheet(folder, sweep, manifest)
    return manifest, folder


def _plan(engine: "Engine", workflow: Workflow, asked: SweepOptions) -> tuple[Sweep, "Engine"]:
    """The sweep, and an engine that finds the pictures of it."""
    definitions, most = engine.registry, asked.max_runs
    axes: list[Axis] = []
    if asked.csv is not None:
        axes.append(read_csv(asked.csv, workflow, definitions, most))
    if asked.inputs is not None:
        axis, folders = read_pictures(asked.inputs, workflow, definitions, engine.folders)
        axes.append(axis)
        engine = replace(engine, folders=folders)
    axes += [read_axis(text, workflow, definitions, most) for text in asked.sweep or ()]
    return make_sweep(axes, zipped=asked.zipped, most=most), engine


def _outlook(sweep: Sweep) -> str:
    """`24 runs: seed (8) x cfg (3)`."""
    names = short_names(sweep.inputs)
    axes = [
        f"{', '.join(names[swept.address] for swept in axis.inputs)} ({len(axis.rows)})" for axis in sweep.axes
    ]
    return f"{plural(sweep.count, 'run')}: {' x '.join(axes)}"


def _warn_of_links(sweep: Sweep) -> None:
    for swept in sweep.inputs:
        if swept.replaced is not None:
            place = f"{node_label(swept.node_id, swept.class_type)}: input {swept.name!r}"
            complain(f"warning: {place} was linked to node {swept.replaced.source}; the sweep replaces it")


def _check_all(engine: "Engine", workflow: Workflow, sweep: Sweep, targets: Collection[NodeId] | None) -> None:
    """Check the workflow with each of the values.

    Raises:
        ValidationFailed: some have errors; it lists each error once, the first few of them.
    """
    found: dict[Problem, None] = {}
    for row in sweep.rows():
        problems = engine.check(apply_changes(workflow, sweep.changes(row)), targets)
        found.update((problem, None) for problem in problems if problem.severity == "error")
        if len(found) >= _MANY:
            break
    if found:
        raise ValidationFailed(list(found))


@dataclass(frozen=True, slots=True)
class _Runs:
    """The runs of a sweep; what comes of them goes into the manifest."""

    engine: "Engine"
    workflow: Workflow
    sweep: Sweep
    manifest: SweepManifest
    folder: Path
    how: HowToSweep
    fail_fast: bool

    def run_all(self) -> None:
        """Run one after the other, until all are done or the user stops."""
        cells, count = self.manifest["cells"], self.sweep.count
        written = time.monotonic()
        with ExitStack() as stack:
            listeners: list[Listener] = []
            if self.how.events is not None:
                listeners.append(stack.enter_context(event_lines(self.how.events)))
            display = stack.enter_context(show_sweep(sys.stderr, count, quiet=self.how.quiet))
            is_cancelled = stack.enter_context(cancel_on_signals())
            for number, (row, cell) in enumerate(zip(self.sweep.rows(), cells, strict=True), 1):
                if is_cancelled():
                    break
                self._run(number, row, cell, display, listeners, is_cancelled)
                if cell["status"] == "cancelled" or (self.fail_fast and cell["status"] == "error"):
                    break
                if time.monotonic() - written > _WRITE_SECONDS:
                    write_manifest(self.folder, self.manifest)
                    written = time.monotonic()
        states = {cell["status"] for cell in cells}
        self.manifest["status"] = (
            "success" if states == {"success"} else "error" if "error" in states else "cancelled"
        )

    def _run(
        self,
        number: int,
        row: Row,
        cell: Cell,
        display: SweepProgress,
        listeners: Iterable[Listener],
        is_cancelled: Callable[[], bool],
    ) -> None:
        """Make one run and fill in its cell."""
        record, label = RunRecord(), row_label(self.sweep.inputs, row)
        everyone: tuple[Listener, ...] = (record, display, *listeners)

        def tell(event: Event) -> None:
            for listener in everyone:
                listener(event)

        display.begin(number, label)
        failure: GraphEngineError | None = None
        try:
            self.engine.run(
                apply_changes(self.workflow, self.sweep.changes(row)),
                targets=self.how.targets,
                on_event=tell,
                is_cancelled=is_cancelled,
                options=self.how.options,
                extra=RunExtra(file=Path(self.manifest["workflow"])),
            )
            cell["status"] = "success"
            stem = file_stem(self.sweep.inputs, row, number, self.sweep.count)
            cell["files"] = keep_files(self.folder, stem, record.files(self.engine.folders))
        except (RunCancelled, KeyboardInterrupt):
            cell["status"] = "cancelled"
        except GraphEngineError as error:
            cell["status"], failure = "error", error
        summary = summary_json(record, self.engine.folders, failure)
        cell["seconds"] = summary["seconds"]
        cell["texts"] = [shown["text"] for shown in summary["texts"]]
        cell["executed"], cell["cached"] = len(record.executed), len(record.cached)
        if failure is not None:
            cell["error"] = summary["error"]
        display.end(number, label, cell)


def _add_sheet(folder: Path, sweep: Sweep, manifest: SweepManifest) -> None:
    if not any(cell["files"] for cell in manifest["cells"]):
        return
    from graphengine.cli.sweep_sheet import write_sheet  # brings Pillow, which reading and planning do not need

    try:
        manifest["sheet"] = write_sheet(folder, sweep, manifest)
    except KeyboardInterrupt:
        return  # all else is written
    write_manifest(folder, manifest)


def tell_result(
    manifest: SweepManifest, folder: Path, *, as_json: bool, quiet: bool, write: Callable[[str], None] = say
) -> None:
    """Write what came of a sweep: lines with `write`, JSON to stdout.

    Raises:
        Exit: some runs failed or were not made.
    """
    place = shorten(folder.absolute(), Path.cwd())
    if as_json:
        say_json({**manifest, "folder": str(folder.absolute())})
    else:
        for line in _lines(manifest, place, quiet=quiet):
            write(line)
    states = [cell["status"] for cell in manifest["cells"]]
    if manifest["status"] == "cancelled" or "cancelled" in states:
        complain(f"error: the sweep was stopped after {states.count('success')} of {plural(len(states), 'run')}")
        complain("  hint: start it again to go on; what is done comes from the cache")
    elif failed := states.count("error"):
        complain(f"error: {failed} of {plural(len(states), 'run')} failed")
    if manifest["status"] != "success":
        raise typer.Exit(1)


def _lines(manifest: SweepManifest, place: Path, *, quiet: bool) -> Iterable[str]:
    cells = manifest["cells"]
    if quiet:
        yield from (str(place / name) for cell in cells for name in cell["files"])
    if manifest["sheet"] is not None:
        yield str(place / manifest["sheet"])
    if quiet:
        return
    yield str(place / MANIFEST)
    done = sum(cell["status"] == "success" for cell in cells)
    executed, cached = (sum(cell[name] for cell in cells) for name in ("executed", "cached"))
    yield (
        f"{done} of {plural(len(cells), 'run')} done in {manifest['seconds']:.2f} s; "
        f"{plural(executed, 'node')} run, {cached} from the cache"
    )
