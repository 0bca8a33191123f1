"""`graphengine merge`: two edits of one workflow in one document, also as git's merge driver."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from graphengine.cli.console import complain, plural, problem_lines, say
from graphengine.cli.definitions import DefinitionsOption
from graphengine.cli.fmt import read_bytes
from graphengine.cli.known_nodes import known_nodes
from graphengine.cli.options import BaseDirOption, CustomNodesOption, DebugOption, examples
from graphengine.cli.rewriting import rewrite
from graphengine.errors import GraphEngineError, Problem, WorkflowFormatError
from graphengine.node.definition import NodeDefinition
from graphengine.workflow.canonical import Json, read_raw, text_of
from graphengine.workflow.documents import document_from_json
from graphengine.workflow.formats import to_workflow
from graphengine.workflow.json_text import one_line
from graphengine.workflow.layout_file import is_layout, layout_text, merge_layouts, read_layout
from graphengine.workflow.merging.circles import circle_problems
from graphengine.workflow.merging.documents import Merged, merge_documents
from graphengine.workflow.merging.merge_nodes import Conflict

EXAMPLES = examples(
    "graphengine merge base.json ours.json theirs.json -o flow.json",
    "graphengine git setup",
)
_LONGEST = 60


def command(
    base: Annotated[Path, typer.Argument(metavar="BASE", help="What both sides began with.")],
    ours: Annotated[Path, typer.Argument(metavar="OURS", help="One side.")],
    theirs: Annotated[Path, typer.Argument(metavar="THEIRS", help="The other side.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="PATH", help="File to write. Default: stdout.")
    ] = None,
    driver: Annotated[
        bool,
        typer.Option(
            "--driver", help="As git's merge driver: write to OURS; merge what is no workflow as git merges text."
        ),
    ] = False,
    path: Annotated[str, typer.Option("--path", metavar="NAME", help="How messages call the file.")] = "",
    definitions: DefinitionsOption = None,
    base_dir: BaseDirOption = None,
    custom_nodes: CustomNodesOption = None,
    debug: DebugOption = False,
) -> None:
    """Merge two edits of one workflow, node by node and input by input.

    What both sides changed is a conflict: it has the value of OURS, the document stays valid and lists both
    values in `extra.conflicts`, and `graphengine resolve` settles it. Exit code: 0 merged, 1 conflicts.
    """
    name = path or str(output or ours)
    try:
        if driver and _merge_layout_files(base, ours, theirs):
            return
        known = known_nodes(ours, definitions, base_dir, custom_nodes)
        before, mine, other = (_read(file) for file in (base, ours, theirs))
        merged = merge_documents(before, mine, other, known)
    except GraphEngineError:
        if not driver:
            raise
        raise typer.Exit(_merge_as_text(base, ours, theirs)) from None
    text = text_of(merged.document)
    problems = new_problems(merged.document, [mine, other], known)
    for conflict in merged.conflicts:
        complain(f"conflict: {name}: {conflict_line(conflict)}")
    for line in problem_lines(problems):
        complain(line)
    place = ours if driver else output
    if place is None:
        say(text.removesuffix("\n"))
    else:
        rewrite(place, text)
    _conclude(merged, problems, name)


def _conclude(merged: Merged, problems: list[Problem], name: str) -> None:
    if merged.conflicts:
        complain(f"{plural(len(merged.conflicts), 'conflict')}; to settle them: graphengine resolve {name}")
    if merged.conflicts or any(problem.severity == "error" for problem in problems):
        raise typer.Exit(1)


def conflict_line(conflict: Conflict) -> str:
    """A conflict in words, with both values."""
    place = f"node {conflict.node}" if conflict.node else "the document"
    if conflict.part == "node":
        return f"{place}: {conflict.why}"
    shown = [
        f"{side} {_short(one_line(conflict.values[side])) if side in conflict.values else 'nothing'}"
        for side in ("ours", "theirs")
    ]
    return f"{place}, {conflict.name}: {', '.join(shown)}"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def new_problems(merged: Json, sides: list[Json], definitions: Mapping[str, NodeDefinition]) -> list[Problem]:
    """What is wrong with a merged document and with neither of its sides."""
    found = [_problems(each, definitions) for each in (merged, *sides)]
    return [problem for problem in found[0] if all(problem not in side for side in found[1:])]


def _problems(raw: Json, definitions: Mapping[str, NodeDefinition]) -> list[Problem]:
    conversion = to_workflow(document_from_json(text_of(raw).encode()), definitions)
    return [*conversion.problems, *circle_problems(conversion.workflow)]


def _read(file: Path) -> Json:
    try:
        return read_raw(read_bytes(file))
    except WorkflowFormatError as error:
        raise WorkflowFormatError(f"{file}: {error.message}", hint=error.hint) from error


def _merge_layout_files(base: Path, ours: Path, theirs: Path) -> bool:
    """Merge three layout files, in which two edits of one place are no conflict; says whether they are such."""
    try:
        layouts = [read_layout(file) for file in (base, ours, theirs)]
    except WorkflowFormatError:
        return False
    if not all(map(is_layout, layouts)):
        return False
    rewrite(ours, layout_text(merge_layouts(*layouts)))
    return True


def _merge_as_text(base: Path, ours: Path, theirs: Path) -> int:
    """Merge as git does without a driver; the exit code is the one that git expects: 0, 1 or above 128."""
    try:
        done = subprocess.run(
            ["git", "merge-file", "-L", "ours", "-L", "base", "-L", "theirs", str(ours), str(base), str(theirs)],
            check=False,
        )
    except OSError as error:
        raise GraphEngineError(f"git cannot be run: {error.strerror}", hint="install git") from error
    return 0 if done.returncode == 0 else 1
