"""Reading a workflow for a command, with the node packs that it names."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphengine.cli.console import complain, problem_lines
from graphengine.workflow.documents import DocumentKind

if TYPE_CHECKING:
    from graphengine.engine import Engine
    from graphengine.workflow.formats import Conversion


FromOption = Annotated[
    DocumentKind | None,
    typer.Option(
        "--from",
        help="Which document to take from a file: api is what ran, ui what the editor drew. "
        "Default: api, or the only one that is there.",
    ),
]


def read_workflow(
    engine: "Engine", file: Path, *, load_packs: bool, wanted: DocumentKind | None = None, runs: bool = False
) -> "Conversion":
    """The workflow in the file; with `load_packs` after the custom packs that it names are imported.

    `wanted` says which of two documents to take; without it, it is the API document.

    A document of the editor can be converted only with the definitions of its nodes, so it is read again when
    packs brought some. What is wrong with a pack is written to stderr; when the workflow `runs` next, that tells
    what stops it.

    Raises:
        WorkflowFormatError: the file is no workflow that can be read, or does not hold the wanted document.
    """
    conversion = engine.read(file, wanted)
    if not load_packs:
        return conversion
    named = {node.class_type for node in conversion.workflow.nodes.values()}
    missing = {name for name in named if name not in engine.registry}
    problems = engine.load_packs(missing)
    for line in problem_lines(each for each in problems if not runs or each.severity != "error"):
        complain(line)
    return engine.read(file, wanted) if any(name in engine.registry for name in missing) else conversion
