"""`graphengine diff`: what two workflows say differently, and what that means for the next run."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from graphengine.cli.console import printable, report, say, say_json
from graphengine.cli.definitions import DefinitionsOption
from graphengine.cli.files import write_whole
from graphengine.cli.known_nodes import known_nodes
from graphengine.cli.option_groups import with_option_groups
from graphengine.cli.options import DebugOption, JsonOption, examples
from graphengine.cli.pack_folders import PackFolders
from graphengine.cli.report_diff import Compared, Line, as_json, markdown, text_lines
from graphengine.cli.report_diff_html import Shown, html_page
from graphengine.cli.revisions import Pair, find_pairs
from graphengine.errors import GraphEngineError, SettingsError
from graphengine.execution.consequences import consequences
from graphengine.node.definition import NodeDefinition
from graphengine.workflow.collector import collector_paused
from graphengine.workflow.difference.changes import compare
from graphengine.workflow.difference.sheets import (
    Sheet,
    only_declared,
    sheets_of_ui,
    sheets_of_workflow,
    with_unnamed_values,
)
from graphengine.workflow.formats import Conversion, Document, to_workflow
from graphengine.workflow.models import Workflow

EXAMPLES = examples(
    "graphengine diff old.json new.json",
    "graphengine diff HEAD~3:flow.json",
    "graphengine diff main..feature --markdown",
    "graphengine diff flow.json output/picture.png",
    "graphengine diff flow.json --html changes.html",
)
_COLOURS = {"+": "green", "-": "red", "~": "yellow"}


@with_option_groups
def command(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="A B | FILE | REV[:FILE] | REV..REV [FILE]", help="Workflows, or revisions of git."
        ),
    ],
    *,
    definitions: DefinitionsOption = None,
    as_json_: JsonOption = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Write Markdown, for a merge request.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="PATH", help="Also write a page with both graphs drawn.")
    ] = None,
    layout: Annotated[bool, typer.Option("--layout", help="Also tell which nodes are drawn differently.")] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 when something changed.")] = False,
    places: PackFolders,
    debug: DebugOption = False,
) -> None:
    """Tell what two workflows say differently: nodes, inputs, links; where things are drawn is one line.

    FILE alone is compared with the last commit, REV with the files as they are now. Nodes are the same when their
    ids are, or, where ids were given anew, when their place in the graph is. Then it says which outputs will
    change and which nodes run again. Exit code: 0, with --exit-code 1 when something changed, 2 when what is
    named cannot be compared.
    """
    try:
        with collector_paused():
            pairs = find_pairs(what)
            file = pairs[0].new.file if pairs else Path(what[0])
            known = known_nodes(file, definitions, places)
            shown = [_compared(pair, known) for pair in pairs]
    except GraphEngineError as error:
        report(error)
        raise typer.Exit(2) from error
    found = [each.compared for each in shown]
    if html is not None:
        write_whole(html, html_page(shown, known))
    if as_json_:
        say_json([as_json(each, layout=layout) for each in found])
    elif as_markdown:
        say("\n".join(markdown(each, layout=layout) for each in found).removesuffix("\n"))
    else:
        for each in found:
            _print(text_lines(each, layout=layout))
    if exit_code and any(each.difference for each in found):
        raise typer.Exit(1)


def _print(lines: Iterable[Line]) -> None:
    import sys

    if not sys.stdout.isatty():
        for sign, text in lines:
            say(f"{sign} {text}")
        return
    from rich.console import Console  # a tenth of a second to import, for terminals only
    from rich.text import Text

    console = Console(soft_wrap=True)
    for sign, text in lines:
        console.print(Text(f"{sign} {printable(text)}", style=_COLOURS.get(sign, "")))


def _compared(pair: Pair, known: Mapping[str, NodeDefinition]) -> Shown:
    """Compare like with like: documents of the editor where both have one, else what runs."""
    documents = (pair.old.document, pair.new.document)
    drawn = all(document is None or document.ui is not None for document in documents)
    both_api = all(document is None or document.api is not None for document in documents)
    only_drawn = drawn and not (both_api and all(documents))
    conversions = [_conversion(document, known, drawn=only_drawn) for document in documents]
    workflows = [None if found is None else found.workflow for found in conversions]
    sheets = [
        _sheets(document, found, known, drawn=only_drawn)
        for document, found in zip(documents, workflows, strict=True)
    ]
    if only_drawn:
        workflows = [
            found and with_unnamed_values(found, each, known)
            for found, each in zip(workflows, sheets, strict=True)
        ]
    mixed = not only_drawn and not both_api
    if mixed:
        sheets = [only_declared(each, known) for each in sheets]
    difference = compare(sheets[0], sheets[1], titles_may_lack=mixed)
    broken = any(found is not None and _is_broken(found) for found in conversions)
    after = None
    if not broken:
        after = consequences(workflows[0] or Workflow({}), workflows[1] or Workflow({}), known)
    compared = Compared(pair.old.label, pair.new.label, difference, after, workflows[1])
    return Shown(compared, workflows[0], workflows[1])


def _is_broken(found: Conversion) -> bool:
    return any(problem.severity == "error" for problem in found.problems)


def _conversion(
    document: Document | None, known: Mapping[str, NodeDefinition], *, drawn: bool
) -> Conversion | None:
    if document is None:
        return None
    return to_workflow(Document(ui=document.ui) if drawn else document, known)


def _sheets(
    document: Document | None, workflow: Workflow | None, known: Mapping[str, NodeDefinition], *, drawn: bool
) -> dict[str, Sheet]:
    if document is None or workflow is None:
        return {"": Sheet("", "", "", {})}
    if drawn and document.ui is not None:
        return sheets_of_ui(document.ui, known)
    if document.api is None and document.ui is None:
        raise SettingsError("one of the two holds no workflow", hint="name saved workflows")
    return sheets_of_workflow(workflow)
