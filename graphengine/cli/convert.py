"""`graphengine convert`: the API document, which engines run, from any file that holds a workflow."""

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import JsonValue

from graphengine.cli.console import complain, problem_lines, report, say_json
from graphengine.cli.options import (
    BaseDirOption,
    CustomNodesOption,
    DebugOption,
    LoadPacksOption,
    examples,
    open_engine,
)
from graphengine.cli.reading import FromOption, read_workflow
from graphengine.errors import GraphEngineError, SettingsError, ValidationFailed
from graphengine.node.object_info import read_object_info
from graphengine.node.registry import NodeRegistry
from graphengine.settings import load_settings
from graphengine.workflow.api_format import workflow_to_api
from graphengine.workflow.documents import DocumentKind
from graphengine.workflow.formats import load_workflow

if TYPE_CHECKING:
    from graphengine.workflow.formats import Conversion

EXAMPLES = examples(
    "graphengine convert flow.json > flow.api.json",
    "graphengine convert picture.png --output flow.api.json",
    "graphengine convert workflows/*.json --output api/",
    "graphengine convert flow.json --definitions object_info.json",
)


class Format(StrEnum):
    """Formats that can be written."""

    API = "api"


def command(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Saved workflows, or pictures, videos, … that carry one."),
    ],
    definitions: Annotated[
        Path | None,
        typer.Option(
            "--definitions",
            metavar="FILE",
            help="Take node definitions from a saved /object_info of ComfyUI. Default: installed nodes.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="PATH", help="File to write, or a folder. Default: stdout."),
    ] = None,
    wanted: FromOption = None,
    to: Annotated[Format, typer.Option("--to", help="Format to write.")] = Format.API,
    base_dir: BaseDirOption = None,
    custom_nodes: CustomNodesOption = None,
    load_packs: LoadPacksOption = False,
    debug: DebugOption = False,
) -> None:
    """Convert workflows to the API format. Nothing is written unless all files can be converted."""
    places = _places(files, output)
    read = _reader(definitions, base_dir, custom_nodes or [], wanted=wanted, load_packs=load_packs)
    documents: dict[Path, dict[str, JsonValue]] = {}
    for file in dict.fromkeys(files):
        try:
            documents[file] = _document(file, read(file))
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
    base_dir: Path | None,
    custom_nodes: Sequence[Path],
    *,
    wanted: DocumentKind | None,
    load_packs: bool,
) -> Callable[[Path], "Conversion"]:
    """The function that reads and converts a file, with definitions from a document or from installed nodes."""
    if definitions is not None:
        registry = read_definitions(definitions)
        return lambda file: load_workflow(file, registry, wanted)
    settings = load_settings(base_dir=base_dir, custom_nodes=custom_nodes, no_cache=True, environ=os.environ)
    engine = open_engine(settings)
    return lambda file: read_workflow(engine, file, load_packs=load_packs, wanted=wanted)


def read_definitions(file: Path) -> NodeRegistry:
    """The node definitions in a saved `/object_info`.

    Raises:
        SettingsError: the file cannot be read or is no such document.
    """
    try:
        # not the reader of workflows: packs declare limits as Infinity, which a server writes into its answer
        document = json.loads(file.read_bytes())
    except OSError as error:
        raise SettingsError(f"cannot read {file}: {error.strerror}", hint="name a saved /object_info") from error
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{file} is not valid JSON: {error}", hint="save /object_info once more") from error
    try:
        return read_object_info(document)
    except GraphEngineError as error:
        raise SettingsError(
            f"{file}: {error.message}", hint=error.hint or "save /object_info once more"
        ) from error


def _document(file: Path, conversion: "Conversion") -> dict[str, JsonValue]:
    """The API document; what the user should know of it is written to stderr.

    Raises:
        ValidationFailed: the workflow cannot be converted.
    """
    if conversion.problems:
        complain(f"{file}:")
    if any(problem.severity == "error" for problem in conversion.problems):
        raise ValidationFailed(conversion.problems)
    for line in problem_lines(conversion.problems):
        complain(f"  {line}")
    return workflow_to_api(conversion.workflow)


def write_whole(place: Path, text: str) -> None:
    """Write a file that is either there as a whole or not at all.

    Raises:
        GraphEngineError: the folder cannot be written or the disk is full; what was there before stays.
    """
    temporary = place.with_name(f".{os.urandom(8).hex()}.part")
    try:
        try:
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(place)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise GraphEngineError(
            f"cannot write {place}: {error.strerror}", hint="choose another place with --output"
        ) from error
