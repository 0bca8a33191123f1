"""`graphengine fmt`: workflows in the form that diffs and merges well."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from graphengine.cli.console import complain, plural, report, say
from graphengine.cli.options import DebugOption, examples
from graphengine.cli.rewriting import rewrite, with_line_ends_of
from graphengine.errors import GraphEngineError, WorkflowFormatError
from graphengine.workflow.canonical import Json, canonical, is_ui, read_raw, text_of
from graphengine.workflow.collector import collector_paused
from graphengine.workflow.json_input import FOR_FILES, parse_json, too_large
from graphengine.workflow.layout_file import (
    is_bare,
    is_layout,
    join_layout,
    layout_path,
    layout_text,
    read_layout,
    split_layout,
)

EXAMPLES = examples(
    "graphengine fmt flow.json",
    "graphengine fmt --check workflows/*.json",
    "graphengine fmt --layout split flow.json",
)


class LayoutChoice(StrEnum):
    """What becomes of positions, sizes and colours."""

    KEEP = "keep"
    SPLIT = "split"
    DROP = "drop"


def command(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Saved workflows (JSON).")],
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; name the files that are not in this form, exit with 1.")
    ] = False,
    layout: Annotated[
        LayoutChoice,
        typer.Option(
            "--layout",
            help="keep: where it is. split: positions, sizes and colours go to FILE.layout.json. drop: they go.",
        ),
    ] = LayoutChoice.KEEP,
    skip_others: Annotated[
        bool, typer.Option("--skip-others", help="Pass over files that are no workflows, as a hook should.")
    ] = False,
    debug: DebugOption = False,
) -> None:
    """Write workflows in canonical form: what runs and what is seen stays, noise goes.

    Keys, nodes and links get a fixed order, a line holds one thing, and what the editor counts, computes or
    remembers of its window is left out. Files are replaced as a whole or not at all.
    """
    changed: list[Path] = []
    failed = 0
    for file in dict.fromkeys(files):
        try:
            written = _formatted(file, layout)
            changed += [place for place, text in written.items() if _apply(place, text, check=check)]
        except WorkflowFormatError as error:
            if skip_others:
                continue
            failed += 1
            report(WorkflowFormatError(_in(file, error.message), hint=error.hint))
        except GraphEngineError as error:
            failed += 1
            report(error)
    for place in changed:
        say(str(place))
    if changed:
        complain(f"{plural(len(changed), 'file')} {'to be written anew' if check else 'written anew'}")
    if failed or (check and changed):
        raise typer.Exit(1)


def _in(file: Path, message: str) -> str:
    return message if message.startswith(str(file)) else f"{file}: {message}"


def _apply(place: Path, text: str, *, check: bool) -> bool:
    """Whether a file has, or had, another content; line ends stay as they are."""
    text = with_line_ends_of(place, text)
    if not check:
        return rewrite(place, text)
    return not place.exists() or place.read_bytes() != text.encode("utf-8")


def _formatted(file: Path, layout: LayoutChoice) -> Mapping[Path, str]:
    """What to write where; the layout comes first, so that it is never lost.

    Raises:
        WorkflowFormatError: the file cannot be read or is no workflow.
    """
    data = read_bytes(file)
    with collector_paused():
        if file.name.endswith(".layout.json") and is_layout(
            raw := parse_json(data, as_written=True, limits=FOR_FILES).value
        ):
            assert isinstance(raw, dict)
            return {file: layout_text(raw)}
        document = read_raw(data)
        if not is_ui(document):
            return {file: text_of(canonical(document))}
        return _drawn(file, document, layout)


def _drawn(file: Path, document: Json, layout: LayoutChoice) -> Mapping[Path, str]:
    beside = layout_path(file)
    if layout is LayoutChoice.DROP:
        rest, _ = split_layout(canonical(document))
        return {file: text_of(canonical(rest))}
    if layout is LayoutChoice.KEEP and not beside.exists():
        return {file: text_of(canonical(document))}
    if beside.exists() and (is_bare(document) or _some_are_new(document)):
        document = join_layout(document, read_layout(beside))
    if is_bare(document):  # nothing is known of its layout
        return {file: text_of(canonical(document))}
    rest, told = split_layout(canonical(document))
    return {beside: layout_text(told), file: text_of(canonical(rest))}


def _some_are_new(document: Json) -> bool:
    """Whether some nodes have no position."""
    return any("pos" not in node for node in document["nodes"])


def read_bytes(file: Path) -> bytes:
    """What a file holds.

    Raises:
        WorkflowFormatError: it cannot be read or is too large for a workflow.
    """
    try:
        with file.open("rb") as stream:
            data = stream.read(FOR_FILES.bytes + 1)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise WorkflowFormatError(f"{file}: cannot be read: {reason}") from error
    if len(data) > FOR_FILES.bytes:
        raise too_large(file.stat().st_size, FOR_FILES.bytes)
    return data
