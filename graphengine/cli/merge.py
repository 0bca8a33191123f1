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
from graphengine.cli.merge_checks import new_problems
from graphengine.cli.option_groups import with_option_groups
from graphengine.cli.options import DebugOption, examples
from graphengine.cli.pack_folders import PackFolders
from graphengine.cli.rewriting import rewrite, with_line_ends_of
from graphengine.errors import GraphEngineError, Problem, WorkflowFormatError
from graphengine.node.definition import NodeDefinition
from graphengine.workflow.canonical import Json, read_raw, text_of
from graphengine.workflow.json_text import one_line
from graphengine.workflow.layout_file import is_layout, layout_text, merge_layouts, read_layout
from graphengine.workflow.merging.documents import Merged, merge_documents
from graphengine.workflow.merging.merge_nodes import Conflict

EXAMPLES = examples(
    "graphengine merge base.json ours.json theirs.json -o flow.json",
    "graphengine git setup",
)
_LONGEST = 60


@with_option_groups
def command(
    base: Annotated[Path, typer.Argument(metavar="BASE", help="What both sides began with.")],
    ours: Annotated[Path, typer.Argument(metavar="OURS", help="One side.")],
    theirs: Annotated[Path, typer.Argument(metavar="THEIRS", help="The other side.")],
    *,
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
    places: PackFolders,
    debug: DebugOption = False,
) -> None:
    """Merge two edits of one workflow, node by node and input by input.

    What both sides changed is a conflict: it has the value of OURS, the document stays valid and lists both
    values in `extra.conflicts`, and `graphengine resolve` settles it. Exit code: 0 merged, 1 conflicts or problems
    that neither side had.
    """
    name = path or str(output or ours)
    if not driver:
        merged, problems = _merged(base, ours, theirs, known_nodes(ours, definitions, places))
        _write(merged, output, like=ours)
        if _tell(merged, problems, name):
            raise typer.Exit(1)
        return
    try:
        if _merge_layout_files(base, ours, theirs):
            return
        merged, problems = _merged(base, ours, theirs, known_nodes(ours, definitions, places))
        rewrite(ours, with_line_ends_of(ours, text_of(merged.document)))
    except Exception as error:  # noqa: BLE001 - whatever fails here, git must get a merge, or both sides marked
        if not isinstance(error, GraphEngineError):
            complain(f"{name}: merged as text: unexpected {type(error).__name__}: {error}")
        if not _merge_as_text(base, ours, theirs):
            raise typer.Exit(1) from None
        return
    if _tell(merged, problems, name):
        raise typer.Exit(1)


def _merged(
    base: Path, ours: Path, theirs: Path, known: Mapping[str, NodeDefinition]
) -> tuple[Merged, list[Problem]]:
    """The merge of three files, and the problems that it made.

    Raises:
        WorkflowFormatError: a file cannot be read or is no workflow, or they are of different kinds.
    """
    before, mine, other = (_read(file) for file in (base, ours, theirs))
    merged = merge_documents(before, mine, other, known)
    return merged, new_problems(merged.document, [mine, other], known)


def _write(merged: Merged, place: Path | None, *, like: Path) -> None:
    text = text_of(merged.document)
    if place is None:
        say(text.removesuffix("\n"))
    else:
        rewrite(place, with_line_ends_of(like, text))


def _tell(merged: Merged, problems: list[Problem], name: str) -> bool:
    """Write conflicts and problems to stderr; says whether somebody must look at them."""
    for conflict in merged.conflicts:
        complain(f"conflict: {name}: {conflict_line(conflict)}")
    for line in problem_lines(problems):
        complain(line)
    if merged.conflicts:
        complain(f"{plural(len(merged.conflicts), 'conflict')}; to settle them: graphengine resolve {name}")
    return bool(merged.conflicts) or any(problem.severity == "error" for problem in problems)


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


def _merge_as_text(base: Path, ours: Path, theirs: Path) -> bool:
    """Merge as git does without a driver; says whether that was clean."""
    try:
        done = subprocess.run(
            ["git", "merge-file", "-L", "ours", "-L", "base", "-L", "theirs", str(ours), str(base), str(theirs)],
            check=False,
        )
    except OSError as error:
        raise GraphEngineError(f"git cannot be run: {error.strerror}", hint="install git") from error
    return done.returncode == 0
