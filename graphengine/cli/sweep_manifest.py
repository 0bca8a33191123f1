"""The folder of a sweep: its manifest, the pictures named after their values, the contact sheet."""

import json
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NotRequired

from pydantic import ConfigDict, JsonValue, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict  # with pydantic, Python 3.12 or newer could take that of typing

from graphengine.cli.files import write_whole
from graphengine.cli.output_models import RunError
from graphengine.cli.sweep_axes import Row, Sweep
from graphengine.errors import GraphEngineError, SettingsError
from graphengine.whole_files import being_written

MANIFEST = "manifest.json"
SHEET = "sheet.png"

_CLOSED = ConfigDict(extra="forbid")
_MAX_MANIFEST_BYTES = 200_000_000
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,12}")
_MOST_FOLDERS = 1_000_000


@with_config(_CLOSED)
class ManifestInput(TypedDict):
    """An input that the sweep changes; `address` names its values in the cells."""

    address: str
    node_id: str
    class_type: str
    title: str | None
    input: str


@with_config(_CLOSED)
class Cell(TypedDict):
    """One run. `files` lie beside the manifest; `executed` and `cached` count nodes."""

    values: dict[str, JsonValue]
    status: Literal["success", "error", "cancelled", "not_run"]
    files: list[str]
    texts: list[str]
    seconds: float
    executed: int
    cached: int
    error: NotRequired[RunError]


@with_config(_CLOSED)
class SweepManifest(TypedDict):
    """`manifest.json` of a sweep, and with `folder` what `graphengine run --sweep … --json` writes.

    `axes` are the addresses of the inputs that change together, with the number of their rows; cells come in the
    order of the product, the last axis changing fastest.
    """

    format: Literal["graphengine sweep 1"]
    status: Literal["running", "success", "error", "cancelled"]
    workflow: str
    seconds: float
    inputs: list[ManifestInput]
    axes: list["ManifestAxis"]
    sheet: str | None
    cells: list[Cell]
    folder: NotRequired[str]


@with_config(_CLOSED)
class ManifestAxis(TypedDict):
    """Inputs that change together."""

    inputs: list[str]
    rows: int


_MANIFEST: TypeAdapter[SweepManifest] = TypeAdapter(SweepManifest)


def new_manifest(workflow: Path, sweep: Sweep) -> SweepManifest:
    """The manifest of a sweep of which nothing has run."""
    addresses = [swept.address for swept in sweep.inputs]
    return SweepManifest(
        format="graphengine sweep 1",
        status="running",
        workflow=str(workflow.absolute()),
        seconds=0.0,
        inputs=[
            ManifestInput(
                address=swept.address,
                node_id=swept.node_id,
                class_type=swept.class_type,
                title=swept.title,
                input=swept.name,
            )
            for swept in sweep.inputs
        ],
        axes=[
            ManifestAxis(inputs=[swept.address for swept in axis.inputs], rows=len(axis.rows))
            for axis in sweep.axes
        ],
        sheet=None,
        cells=[_empty_cell(dict(zip(addresses, _shown(sweep, row), strict=True))) for row in sweep.rows()],
    )


def _shown(sweep: Sweep, row: Row) -> list[JsonValue]:
    """The values of a run without secrets."""
    return [swept.shown(value) for swept, value in zip(sweep.inputs, row, strict=True)]


def _empty_cell(values: dict[str, JsonValue]) -> Cell:
    return Cell(values=values, status="not_run", files=[], texts=[], seconds=0.0, executed=0, cached=0)


def open_folder(wanted: Path | None, output: Path, manifest: SweepManifest) -> Path:
    """The folder for a sweep, made if need be: the wanted one, or the next `sweep_NNN` in the output folder.

    A wanted folder may hold the same sweep from an earlier start, which is then written anew.

    Raises:
        SettingsError: the wanted folder holds something else.
        GraphEngineError: it cannot be made or written.
    """
    try:
        if wanted is None:
            return _next_folder(output)
        wanted.mkdir(parents=True, exist_ok=True)
        if any(wanted.iterdir()):
            _check_same(wanted, manifest)
    except OSError as error:
        place = wanted or output
        raise GraphEngineError(
            f"cannot make the folder {place}: {error.strerror}", hint="choose another one with --output-dir"
        ) from error
    return wanted


def _next_folder(output: Path) -> Path:
    output.mkdir(parents=True, exist_ok=True)
    for number in range(1, _MOST_FOLDERS):
        folder = output / f"sweep_{number:03d}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise GraphEngineError(f"{output} is full of sweeps", hint="choose another folder with --output-dir")


def _check_same(folder: Path, manifest: SweepManifest) -> None:
    """Refuse a folder that holds anything but this sweep."""
    known = _read_manifest(folder / MANIFEST)
    if known is None:
        problem = "is not empty and holds no sweep"
    elif [cell["values"] for cell in known["cells"]] != [cell["values"] for cell in manifest["cells"]]:
        problem = "holds a sweep over other values"
    else:
        return
    raise SettingsError(f"the folder {str(folder)!r} {problem}", hint="name another folder with --output-dir")


def _read_manifest(file: Path) -> SweepManifest | None:
    try:
        with file.open("rb") as stream:
            content = stream.read(_MAX_MANIFEST_BYTES + 1)
        return _MANIFEST.validate_json(content) if len(content) <= _MAX_MANIFEST_BYTES else None
    except (FileNotFoundError, IsADirectoryError, ValidationError):
        return None


def write_manifest(folder: Path, manifest: SweepManifest) -> None:
    """Write the manifest, as a whole.

    Raises:
        GraphEngineError: the folder cannot be written.
    """
    write_whole(folder / MANIFEST, json.dumps(manifest, indent=2) + "\n")


def keep_files(folder: Path, stem: str, files: Iterable[Path]) -> list[str]:
    """Copy the files of a run into the folder, named after its values; gives their names.

    They are copies, not links: a node may write over the file that it saved, in the next run for instance.

    Raises:
        GraphEngineError: a file cannot be read, or the folder not be written.
    """
    existing = [file for file in files if file.is_file()]
    kept: list[str] = []
    for file, name in zip(existing, _names(stem, existing), strict=True):
        try:
            with being_written(folder / name) as temporary:
                shutil.copyfile(file, temporary)
        except OSError as error:
            hint = "make room or choose another folder with --output-dir"
            raise GraphEngineError(f"cannot copy {file} to {folder}: {error.strerror}", hint=hint) from error
        kept.append(name)
    return kept


def _names(stem: str, files: list[Path]) -> Iterator[str]:
    for number, file in enumerate(files, 1):
        suffix = file.suffix.lower() if _SUFFIX.fullmatch(file.suffix) else ""
        yield f"{stem}{suffix}" if len(files) == 1 else f"{stem}_{number}{suffix}"
