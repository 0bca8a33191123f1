"""`graphengine compare`: two runs of a project's history side by side."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphengine.cli.console import complain, say, say_json, table
from graphengine.cli.files import write_whole
from graphengine.cli.history_runs import ProjectOption, named_run, open_history, workflow_of
from graphengine.cli.options import DebugOption, JsonOption, examples
from graphengine.cli.show import RunArgument

if TYPE_CHECKING:
    from graphengine.provenance.history.comparison import RunComparison
    from graphengine.provenance.history.history import History

EXAMPLES = examples(
    "graphengine compare @2 @1",
    "graphengine compare 3f9c2a 81b0de --html compared.html",
    "graphengine compare before.png after.png --json",
)
_MOST_PICTURES = 24

HtmlOption = Annotated[
    Path | None,
    typer.Option(
        "--html", metavar="FILE", help="Write a page with the pictures side by side; it needs no others."
    ),
]


def command(
    old: RunArgument,
    new: RunArgument,
    *,
    html: HtmlOption = None,
    base_dir: ProjectOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Compare two runs: what was set, versions, models, packs, what each node took and gave, and the outputs.

    Outputs are identical in all bytes, have the same content in a file of other bytes (its metadata names its
    run), or are different. Exit code: 0 also when they are.
    """
    from graphengine.cli.run_changes import comparison_json
    from graphengine.provenance.history.comparison import compare_runs

    history = open_history(base_dir)
    before, after = named_run(history, old), named_run(history, new)
    comparison = compare_runs(before, after, workflow_of(history, before), workflow_of(history, after))
    if html is not None:
        _write_page(html, history, comparison)
    if as_json:
        say_json(comparison_json(comparison))
        return
    for line in _lines(comparison):
        say(line)


def _write_page(html: Path, history: "History", comparison: "RunComparison") -> None:
    from graphengine.cli.run_page import run_page
    from graphengine.cli.run_pictures import shown_pair

    pairs = comparison.outputs[:_MOST_PICTURES]
    if len(pairs) < len(comparison.outputs):
        complain(f"the page shows the first {_MOST_PICTURES} of {len(comparison.outputs)} outputs")
    write_whole(html, run_page(comparison, (shown_pair(history, pair) for pair in pairs)))


def _lines(comparison: "RunComparison") -> Iterator[str]:
    from graphengine.cli.run_changes import change_lines, node_rows
    from graphengine.provenance.history.words import when

    for name, run in (("before", comparison.old), ("after ", comparison.new)):
        yield f"{name} {run.id}  {when(run.started)}  {run.seconds:.2f} s  {run.file or '(no file)'}"
    lines = list(change_lines(comparison))
    yield from lines or ["nothing that is recorded differs"]
    yield ""
    rows = [("node", "class", "before", "after", "result"), *node_rows(comparison)]
    yield from table(rows, right=(2, 3))
    if comparison.first is not None:
        yield f"the first node that gave another result: {comparison.first}"
    if comparison.outputs:
        yield ""
    for pair in comparison.outputs:
        paths = [output.path if output is not None else "(none)" for output in (pair.old, pair.new)]
        yield f"{paths[0]} → {paths[1]}: {pair.agreement}"
