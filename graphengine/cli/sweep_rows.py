"""Axes of a sweep that come from files: the rows of a CSV file, the pictures of a folder."""

import csv
import io
import re
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from pydantic import JsonValue

from graphengine.cli.overrides import Definitions, read_value
from graphengine.cli.sweep_axes import Axis, Row, SweptInput, find_swept
from graphengine.errors import FileRefused, SettingsError
from graphengine.node.definition import Files, InputSpec
from graphengine.node.folders import Folders
from graphengine.workflow.models import Link, Workflow

_MAX_CSV_BYTES = 50_000_000
_PICTURES = (".apng", ".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


def read_csv(file: Path, workflow: Workflow, definitions: Definitions, most: int) -> Axis:
    """The axis of a CSV file: a column per `NODE.INPUT` (or `INPUT`), named in the first line; a run per row.

    A value is read as `--set` reads it; an empty one is an empty text. Empty lines are left out.

    Raises:
        SettingsError: the file cannot be read or is no such table, or a column names what is not there.
    """
    lines = csv.reader(io.StringIO(_text(file), newline=""), strict=True)
    try:
        rows = [(lines.line_num, row) for row in lines if any(cell.strip() for cell in row)]
    except csv.Error as error:
        hint = "save it as a table in CSV format"
        raise SettingsError(f"{file}, line {lines.line_num}: {error}", hint=hint) from error
    if len(rows) < 2:
        raise SettingsError(
            f"{file} has no rows", hint="its first line names the columns, then a row per run follows"
        )
    if len(rows) - 1 > most:
        raise SettingsError(f"{file} has {len(rows) - 1} rows, the limit is {most}", hint="raise --max-runs")
    swept = tuple(_column(file, name, workflow, definitions) for name in rows[0][1])
    return Axis(swept, tuple(_row(file, number, cells, swept) for number, cells in rows[1:]))


def _text(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            content = stream.read(_MAX_CSV_BYTES + 1)
        if len(content) > _MAX_CSV_BYTES:
            raise SettingsError(
                f"{file} has more than {_MAX_CSV_BYTES:,} bytes", hint="split it into several sweeps"
            )
        return content.decode("utf-8-sig")
    except FileNotFoundError:
        raise SettingsError(f"there is no file {str(file)!r}", hint="check the name of the CSV file")
    except OSError as error:
        hint = "check the permissions of the CSV file"
        raise SettingsError(f"cannot read {str(file)!r}: {error.strerror}", hint=hint) from error
    except UnicodeDecodeError as error:
        hint = "save it as CSV in UTF-8"
        raise SettingsError(f"{file} is not text in UTF-8: {error.reason}", hint=hint) from error


def _column(file: Path, name: str, workflow: Workflow, definitions: Definitions) -> SweptInput:
    try:
        return find_swept(name, workflow, definitions)
    except SettingsError as error:
        raise SettingsError(f"{file}, column {name!r}: {error.message}", hint=error.hint)


def _row(file: Path, number: int, cells: list[str], swept: tuple[SweptInput, ...]) -> Row:
    if len(cells) != len(swept):
        hint = 'a text with a comma stands in quotes: "a fox, at night"'
        raise SettingsError(f"{file}, line {number} has {len(cells)} values for {len(swept)} columns", hint=hint)
    return tuple(read_value(cell, column.spec) for cell, column in zip(cells, swept, strict=True))


def read_pictures(
    text: str, workflow: Workflow, definitions: Definitions, folders: Folders
) -> tuple[Axis, Folders]:
    """The axis of the pictures in a folder, `DIR` or `NODE.INPUT=DIR`, and the folders in which nodes find them.

    The pictures come in the order of their names, `2.png` before `10.png`; folders in the folder are left out.

    Raises:
        SettingsError: there is no such folder or no picture in it, no input takes pictures or several do, or a
            picture has the name of one that another input of the workflow names.
    """
    folder, swept = _folder(text, workflow, definitions)
    suffixes = _suffixes(swept.spec)
    try:
        files = [file for file in folder.iterdir() if file.suffix.lower() in suffixes and file.is_file()]
    except OSError as error:
        hint = "check the permissions of the folder"
        raise SettingsError(f"cannot list {str(folder)!r}: {error.strerror}", hint=hint) from error
    names = sorted((file.name for file in files if not file.name.startswith(".")), key=_natural)
    if not names:
        raise SettingsError(
            f"no pictures in {str(folder)!r}", hint=f"pictures end in {', '.join(sorted(suffixes))}"
        )
    found = replace(folders, input=(folder, *(root for root in folders.input if root != folder)))
    _check_others(workflow, definitions, swept, folders, found)
    for name in names:
        _check_name(found, folder, name)
    return Axis((swept,), tuple((name,) for name in names)), found


def _folder(text: str, workflow: Workflow, definitions: Definitions) -> tuple[Path, SweptInput]:
    if Path(text).is_dir():
        return Path(text).resolve(), _only_picture_input(workflow, definitions)
    place, equals, named = text.partition("=")
    if not equals:
        raise SettingsError(
            f"there is no folder {text!r}", hint="name a folder of pictures: DIR or NODE.INPUT=DIR"
        )
    swept = find_swept(place, workflow, definitions)
    if not Path(named).is_dir():
        raise SettingsError(f"there is no folder {named!r}", hint="name a folder of pictures")
    return Path(named).resolve(), swept


def _only_picture_input(workflow: Workflow, definitions: Definitions) -> SweptInput:
    places = [
        f"{node_id}.{spec.name}"
        for node_id, node in workflow.nodes.items()
        if (definition := definitions.get(node.class_type)) is not None
        for spec in definition.inputs.values()
        if _takes_pictures(spec) and not isinstance(node.inputs.get(spec.name), Link)
    ]
    if len(places) == 1:
        return find_swept(places[0], workflow, definitions)
    if not places:
        raise SettingsError("no input of the workflow names a picture", hint="write --inputs NODE.INPUT=DIR")
    told = ", ".join(f"--inputs {place}=DIR" for place in places[:10])
    raise SettingsError(f"{len(places)} inputs of the workflow name pictures", hint=f"say which: {told}")


def _takes_pictures(spec: InputSpec) -> bool:
    if isinstance(spec.choices, Files):
        return spec.choices.kind == "input" and not set(_suffixes(spec)).isdisjoint(_PICTURES)
    return bool(spec.options.get("image_upload"))


def _suffixes(spec: InputSpec | None) -> Collection[str]:
    named = spec.choices.suffixes if spec is not None and isinstance(spec.choices, Files) else None
    return named or _PICTURES


def _natural(name: str) -> list[tuple[int, int | str]]:
    """A key that sorts numbers in names by their value."""
    parts = re.split(r"([0-9]{1,18})", name.lower())
    return [(0, int(part)) if part.isdecimal() and part.isascii() else (1, part) for part in parts]


def _check_others(
    workflow: Workflow, definitions: Definitions, swept: SweptInput, before: Folders, after: Folders
) -> None:
    """Refuse a folder that would take the place of a file which another input names."""
    for node_id, node in workflow.nodes.items():
        definition = definitions.get(node.class_type)
        for name, value in node.inputs.items():
            spec = definition.inputs.get(name) if definition else None
            if spec is None or not _takes_pictures(spec) or (node_id, name) == (swept.node_id, swept.name):
                continue
            if _place(before, value) != _place(after, value):
                raise SettingsError(
                    f"the folder has a picture {value!r}, and node {node_id} names another one like that",
                    hint="rename the picture in the folder",
                )


def _place(folders: Folders, value: Link | JsonValue) -> Path | None:
    try:
        return folders.find("input", value) if isinstance(value, str) else None
    except FileRefused:
        return None


def _check_name(folders: Folders, folder: Path, name: str) -> None:
    """Refuse a picture that its name does not lead to: a link, or a name that ends in `[output]`."""
    try:
        place = folders.find("input", name)
    except FileRefused as error:
        raise SettingsError(error.message, hint=error.hint)
    if place != folder / name:
        raise SettingsError(f"the picture {name!r} cannot be named in a workflow", hint="rename it")
