"""`graphengine log`: the runs of a project, the last first."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphengine.cli.console import complain, say, say_json, table
from graphengine.cli.history_runs import ProjectOption, hash_of, open_history, run_row, workflow_of
from graphengine.cli.options import DebugOption, JsonOption, examples
from graphengine.errors import SettingsError

if TYPE_CHECKING:
    from graphengine.provenance.history.comparison import RunComparison
    from graphengine.provenance.history.history import History
    from graphengine.provenance.history.past_run import PastRun

EXAMPLES = examples(
    "graphengine log",
    "graphengine log workflows/img2img.json -n 5",
    "graphengine log --output ~/Desktop/picture.png",
    "graphengine log workflows/img2img.json --changed",
)
_MANY = 12  # changes that are told of one run

FileArgument = Annotated[
    Path | None, typer.Argument(metavar="[FILE]", help="Only runs of this workflow file. Default: all.")
]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output", metavar="FILE", help="Only runs that made this file, by its bytes: it may lie elsewhere now."
    ),
]
ChangedOption = Annotated[
    bool,
    typer.Option(
        "--changed", help="Only runs whose outputs differ from those of the run before, with what changed."
    ),
]
CountOption = Annotated[
    int, typer.Option("-n", "--number", metavar="N", min=1, max=10**9, help="Show so many at most. Default: 20.")
]


def command(
    file: FileArgument = None,
    *,
    output: OutputOption = None,
    changed: ChangedOption = False,
    number: CountOption = 20,
    base_dir: ProjectOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List the runs of this project, the last first, with the files that they saved.

    A run is named by its id, the end of its id as it stands here, or @1 for the last one, @2 for the one before.
    A star behind a commit says that files differed from it. Exit code: 0, 1 when nothing was found.
    """
    history = open_history(base_dir)
    runs = _runs(history, file, output)
    found = list(islice(_changed(history, runs) if changed else ((run, None) for run in runs), number))
    found.sort(key=lambda each: each[0].started, reverse=True)
    if as_json:
        say_json([_json(run, change) for run, change in found])
    else:
        _tell(found)
    if not found:
        raise typer.Exit(1)


def _runs(history: "History", file: Path | None, output: Path | None) -> "Iterator[PastRun]":
    """The runs that are asked for.

    Raises:
        SettingsError: the output cannot be read.
    """
    if output is None:
        return history.runs(file=file)
    digest = hash_of(output)
    found = list(history.runs(file=file, output_sha256=digest))
    if not found:
        before = history.of_path(output)
        hint = "it was changed since, or made elsewhere"
        if before:
            hint = f"run {before[0].id} saved a file of this name with other bytes"
        raise SettingsError(f"no run in the history made {str(output)!r}", hint=hint)
    return iter(found)


def _changed(history: "History", runs: "Iterable[PastRun]") -> "Iterator[tuple[PastRun, RunComparison | None]]":
    """The runs whose outputs differ from the run before of the same workflow, each with the comparison."""
    from graphengine.provenance.history.comparison import compare_runs

    later: dict[object, PastRun] = {}
    for run in runs:
        if run.status != "success":
            continue
        kind = run.file or frozenset((node_id, node.class_type) for node_id, node in run.nodes.items())
        after = later.get(kind)
        later[kind] = run
        if after is None or _same_bytes(run, after):
            continue
        comparison = compare_runs(run, after, workflow_of(history, run), workflow_of(history, after))
        if comparison.is_changed:
            yield after, comparison


def _same_bytes(one: "PastRun", other: "PastRun") -> bool:
    return {(each.node_id, each.sha256) for each in one.outputs} == {
        (each.node_id, each.sha256) for each in other.outputs
    }


def _tell(found: "list[tuple[PastRun, RunComparison | None]]") -> None:
    if not found:
        complain("no such runs")
        return
    rows = [run_row(run) for run, _ in found]
    used = [index for index in range(len(rows[0])) if any(row[index] for row in rows)]
    lines = table([tuple(row[index] for index in used) for row in rows], right=(2,))
    for line, (run, change) in zip(lines, found, strict=True):
        say(line)
        for each in _details(run, change):
            say(f"        {each}")


def _details(run: "PastRun", change: "RunComparison | None") -> Iterator[str]:
    from graphengine.cli.run_changes import change_lines  # with the difference of workflows

    if run.failure is not None:
        yield run.failure.message
    if change is None:
        yield from (output.path for output in run.outputs if output.is_new)
        return
    yield from (f"{pair.new.path if pair.new else '(none)'}: {pair.agreement}" for pair in change.outputs)
    lines = list(change_lines(change))
    yield from lines[:_MANY]
    if len(lines) > _MANY:
        yield f"and {len(lines) - _MANY} more; see graphengine compare {change.old.id} {change.new.id}"


# Any: JSON.
def _json(run: "PastRun", change: "RunComparison | None") -> object:
    from graphengine.cli.run_changes import comparison_json
    from graphengine.provenance.history.past_run import PAST_RUN

    made = PAST_RUN.dump_python(run, mode="json")
    return made if change is None else {"run": made, "before": change.old.id, "changes": comparison_json(change)}
