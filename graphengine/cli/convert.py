"""`graphengine convert`: the API document, which engines run, or the editor's, from any file with a workflow."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import JsonValue

from graphengine.cli.console import complain, plural, problem_lines, report, say_json
from graphengine.cli.definitions import DefinitionsOption, read_definitions
from graphengine.cli.files import write_whole
from graphengine.cli.option_groups import with_option_groups
from graphengine.cli.options import (
    DebugOption,
    LoadPacksOption,
    examples,
    open_engine,
)
from graphengine.cli.pack_folders import PackFolders
from graphengine.cli.reading import FromOption, read_workflow
from graphengine.errors import GraphEngineError, SettingsError, ValidationFailed
from graphengine.workflow.api_format import workflow_to_api
from graphengine.workflow.api_to_ui import workflow_to_ui
from graphengine.workflow.documents import DocumentKind
from graphengine.workflow.formats import load_workflow, read_document, to_workflow
from graphengine.workflow.upgrade import upgrade_document

if TYPE_CHECKING:
    from graphengine.node.definition import NodeDefinition
    from graphengine.workflow.formats import Conversion

    Definitions = Mapping[str, NodeDefinition]

EXAMPLES = examples(
    "graphengine convert flow.json > flow.api.json",
    "graphengine convert picture.png --output flow.api.json",
    "graphengine convert workflows/*.json --output api/",
    "graphengine convert flow.json --definitions object_info.json",
    "graphengine convert flow.api.json --to ui --output flow.json",
    "graphengine convert old.json --upgrade --output new.json",
)


class Format(StrEnum):
    """Formats that can be written."""

    API = "api"
    UI = "ui"


@with_option_groups
def command(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Saved workflows, or pictures, videos, … that carry one."),
    ],
    *,
    definitions: DefinitionsOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="PATH", help="File to write, or a folder. Default: stdout."),
    ] = None,
    wanted: FromOption = None,
    to: Annotated[
        Format, typer.Option("--to", help="Document to write: api is for engines, ui for the editor.")
    ] = Format.API,
    upgrade: Annotated[
        bool,
        typer.Option("--upgrade", help="Put today's node types and inputs for older ones, and tell which."),
    ] = False,
    folders: PackFolders,
    load_packs: LoadPacksOption = False,
    debug: DebugOption = False,
) -> None:
    """Convert workflows to the API document, or to the editor's.

    Nothing is written unless all files can be converted. With --to ui the editor's document that a file holds is
    written as it is; a new one is drawn, with its nodes in columns, when there is none or with --from api.
    """
    places = _places(files, output)
    read, known = _reader(definitions, folders, wanted=wanted, load_packs=load_packs, upgrade=upgrade)
    documents: dict[Path, Mapping[str, JsonValue]] = {}
    for file in dict.fromkeys(files):
        try:
            conversion = read(file)
            redrawn = wanted is DocumentKind.API or conversion.workflow.ui is None
            documents[file] = _document(file, conversion, known if to is Format.UI else None, redrawn=redrawn)
        except GraphEngineError as error:
            report(error)
    if len(documents) < len(set(files)):
        raise typer.Exit(1)
    for file, document in documents.items():
        if places is None:
            say_json(document)
        else:
            write_whole(places[file], json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def _places(files: Sequence[Path], output: Path | None) -> Mapping[Path, Path] | None:
    """Where each document goes, None for stdout.

    Raises:
        SettingsError: several files need a folder, two would have one name, or one would replace its own source.
    """
    if output is None:
        if len(set(files)) > 1:
            raise SettingsError("several files cannot go to stdout", hint="name a folder with --output")
        return None
    if output.is_dir():
        places = {file: output / f"{file.stem}.json" for file in files}
    elif len(set(files)) == 1:
        places = {files[0]: output}
    else:
        raise SettingsError(f"{output} is no folder, and there are several files", hint="make the folder first")
    twice = [place for place, count in Counter(places.values()).items() if count > 1]
    if twice:
        raise SettingsError(f"two files would be written to {twice[0]}", hint="convert them into two folders")
    for place in places.values():
        if place.exists() and any(file.exists() and place.samefile(file) for file in files):
            raise SettingsError(f"{place} is a file to read and is not replaced", hint="choose another --output")
    return places


def _reader(
    definitions: Path | None,
    folders: PackFolders,
    *,
    wanted: DocumentKind | None,
    load_packs: bool,
    upgrade: bool,
) -> tuple[Callable[[Path], "Conversion"], "Definitions"]:
    """The function that reads and converts a file, and the definitions it uses."""
    read = read_upgraded if upgrade else load_workflow
    if definitions is not None:
        registry = read_definitions(definitions)
        return lambda file: read(file, registry, wanted), registry
    engine = open_engine(folders.settings())
    if not upgrade:
        return lambda file: read_workflow(engine, file, load_packs=load_packs, wanted=wanted), engine.registry

    def read_with_packs(file: Path) -> "Conversion":
        if load_packs:  # for their definitions; what is wrong with a pack is told
            read_workflow(engine, file, load_packs=True, wanted=wanted)
        return read_upgraded(file, engine.registry, wanted)

    return read_with_packs, engine.registry


def read_upgraded(file: Path, definitions: "Definitions", wanted: DocumentKind | None) -> "Conversion":
    """The workflow in a file after every upgrade that fits; what was changed is written to stderr.

    Raises:
        WorkflowFormatError: the file is no workflow that can be read, or does not hold the wanted document.
    """
    upgraded = upgrade_document(read_document(file))
    changes = [each for each in upgraded.changes if wanted is None or each.document == wanted]
    complain(f"{file}: {plural(len(changes), 'upgrade')}")
    for change in changes:
        complain(f"  {change}")
    return to_workflow(upgraded.document, definitions, wanted)


def _document(
    file: Path, conversion: "Conversion", drawing: "Definitions | None", *, redrawn: bool
) -> Mapping[str, JsonValue]:
    """The API document, or with definitions for `drawing` the editor's; what the user should know goes to stderr.

    Raises:
        ValidationFailed: the workflow cannot be converted.
    """
    problems = list(conversion.problems)
    document: Mapping[str, JsonValue]
    if drawing is None:
        document = workflow_to_api(conversion.workflow)
    elif redrawn:
        made = workflow_to_ui(conversion.workflow, drawing)
        document, problems = made.document, [*problems, *made.problems]
    else:
        document = conversion.workflow.ui or {}
    if problems:
        complain(f"{file}:")
    if any(problem.severity == "error" for problem in problems):
        raise ValidationFailed(problems)
    for line in problem_lines(problems):
        complain(f"  {line}")
    return document
