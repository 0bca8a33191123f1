"""The contact sheet of a sweep: a picture of each run, labelled with its values.

Two swept inputs make a table, the first its rows, the second its columns; each combination of further ones makes a
table of its own below. A single input, or a table too long to look at, makes lines of pictures with their values
below. Pictures are made smaller until the sheet has a size that viewers open; of thousands the first are shown.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from PIL import Image, ImageDraw

from graphengine.cli.console import plural
from graphengine.cli.sweep_axes import Axis, Sweep
from graphengine.cli.sweep_labels import short_names, value_text
from graphengine.cli.sweep_lettering import Lettering
from graphengine.cli.sweep_manifest import SHEET, Cell, SweepManifest
from graphengine.cli.sweep_tiles import INK, MUTED, draw_tile, open_picture
from graphengine.errors import GraphEngineError
from graphengine.whole_files import being_written

_MARGIN = 24
_GAP = 8
_WIDTHS = (320, 256, 192, 160, 128)  # of the room for one picture
_MAX_SIDE = 10_000
_MAX_PIXELS = 40_000_000
_MOST_TILES = 4_000
_ROW_LABEL = 220
_LABEL_LINES = 3
_LABEL_CHARS = 90  # on three lines, about


@dataclass(frozen=True, slots=True)
class _Tile:
    """Where the picture of a cell goes."""

    x: int
    y: int
    cell: int


@dataclass(frozen=True, slots=True)
class _Label:
    """A text of up to three lines; centred in its width when it stands above or below pictures."""

    x: int
    y: int
    width: int
    text: str
    centred: bool = True


@dataclass(slots=True)
class _Layout:
    """Where everything goes on a sheet of that size; `box` is the room for one picture."""

    box: tuple[int, int]
    size: tuple[int, int] = (0, 0)
    tiles: list[_Tile] = field(default_factory=list)
    labels: list[_Label] = field(default_factory=list)

    @property
    def fits(self) -> bool:
        return max(self.size) <= _MAX_SIDE and self.size[0] * self.size[1] <= _MAX_PIXELS


def write_sheet(folder: Path, sweep: Sweep, manifest: SweepManifest) -> str | None:
    """Write the contact sheet into the folder; gives its name, None when no run has a picture.

    Raises:
        GraphEngineError: the folder cannot be written.
    """
    size = _first_size(folder, manifest["cells"])
    if size is None:
        return None
    lettering = Lettering()
    layout = _layout(sweep, size, lettering)
    sheet = Image.new("RGB", layout.size, "white")
    draw = ImageDraw.Draw(sheet)
    title, remark = _title(sweep, manifest, len(layout.tiles))
    width = layout.size[0] - 2 * _MARGIN
    lettering.title(draw, (_MARGIN, _MARGIN), width, title, color=INK)
    lettering.text(draw, (_MARGIN, _MARGIN + lettering.title_height), width, remark, color=MUTED, lines=1)
    for label in layout.labels:
        place, lines = (label.x, label.y), _LABEL_LINES
        lettering.text(draw, place, label.width, label.text, color=INK, lines=lines, centred=label.centred)
    for tile in layout.tiles:
        draw_tile(sheet, (tile.x, tile.y), layout.box, folder, manifest["cells"][tile.cell], lettering)
    _save(sheet, folder)
    return SHEET


def _first_size(folder: Path, cells: Sequence[Cell]) -> tuple[int, int] | None:
    """The size of the first picture that there is."""
    for cell in cells:
        for name in cell["files"]:
            picture = open_picture(folder / name)
            if picture is not None:
                with picture:
                    return picture.size
    return None


def _layout(sweep: Sweep, picture: tuple[int, int], lettering: Lettering) -> _Layout:
    """The largest layout that fits."""
    aspect = min(2.0, max(0.5, picture[0] / picture[1]))
    widest = max(picture[0], _WIDTHS[-1])
    boxes = [(width, round(width / aspect)) for width in _WIDTHS if width <= widest]
    is_table = len(sweep.axes) > 1 and min(len(axis.rows) for axis in sweep.axes[:2]) > 1
    if is_table and sweep.count <= _MOST_TILES:
        for box in boxes:
            layout = _table(sweep, box, lettering)
            if layout.fits:
                return layout
    for box in boxes:
        layout = _lines(sweep, box, lettering)
        if layout.fits:
            break
    return layout


def _top(lettering: Lettering) -> int:
    return _MARGIN + lettering.title_height + lettering.line_height + 2 * _GAP


def _table(sweep: Sweep, box: tuple[int, int], lettering: Lettering) -> _Layout:
    """A table for each combination of the third axis and those after it."""
    layout = _Layout(box)
    columns, others = sweep.axes[1], sweep.axes[2:]
    names = [_labels(sweep, axis, len(axis.inputs)) for axis in sweep.axes]
    left = _MARGIN + lettering.width_of(names[0], _ROW_LABEL) + 2 * _GAP
    head = lettering.height_of(names[1], box[0], _LABEL_LINES) + _GAP
    full = (len(columns.rows) * (box[0] + _GAP), box[1] + _GAP)
    inner = math.prod(len(axis.rows) for axis in others)
    y = _top(lettering)
    for block, combination in enumerate(product(*names[2:])):
        if others:
            layout.labels.append(
                _Label(_MARGIN, y, left + full[0] - _MARGIN, ", ".join(combination), centred=False)
            )
            y += lettering.line_height + _GAP
        for column, name in enumerate(names[1]):
            layout.labels.append(_Label(left + column * (box[0] + _GAP), y, box[0], name))
        y += head
        for row, name in enumerate(names[0]):
            middle = y + (box[1] - lettering.height_of([name], _ROW_LABEL, _LABEL_LINES)) // 2
            layout.labels.append(_Label(_MARGIN, middle, left - _MARGIN - _GAP, name, centred=False))
            for column in range(len(columns.rows)):
                cell = (row * len(columns.rows) + column) * inner + block
                layout.tiles.append(_Tile(left + column * (box[0] + _GAP), y, cell))
            y += full[1]
        y += _GAP
    layout.size = (max(left + full[0] - _GAP + _MARGIN, _least_width(lettering)), y - 2 * _GAP + _MARGIN)
    return layout


def _lines(sweep: Sweep, box: tuple[int, int], lettering: Lettering) -> _Layout:
    """Pictures in lines, their values below each."""
    layout = _Layout(box)
    count = min(sweep.count, _MOST_TILES)
    names = [_labels(sweep, axis, len(sweep.inputs)) for axis in sweep.axes]
    captions = [", ".join(combination) for combination, _ in zip(product(*names), range(count), strict=False)]
    below = lettering.height_of(captions, box[0], _LABEL_LINES)
    step = (box[0] + 2 * _GAP, box[1] + below + 3 * _GAP)
    columns = min(count, max(1, round(math.sqrt(count * 1.4 * step[1] / step[0]))), _MAX_SIDE // step[0])
    if count <= 5:
        columns = count
    top = _top(lettering)
    while count > columns and not _fits_lines(count, columns, step, top):
        count -= columns
    for index in range(count):
        x, y = _MARGIN + index % columns * step[0], top + index // columns * step[1]
        layout.tiles.append(_Tile(x, y, index))
        layout.labels.append(_Label(x, y + box[1] + _GAP // 2, box[0], captions[index]))
    lines = math.ceil(count / columns)
    width = 2 * _MARGIN + columns * step[0] - 2 * _GAP
    layout.size = (max(width, _least_width(lettering)), top + lines * step[1] - _GAP + _MARGIN)
    return layout


def _fits_lines(count: int, columns: int, step: tuple[int, int], top: int) -> bool:
    lines = math.ceil(count / columns)
    height = top + lines * step[1] + _MARGIN
    return height <= _MAX_SIDE and height * (2 * _MARGIN + columns * step[0]) <= _MAX_PIXELS


def _least_width(lettering: Lettering) -> int:
    """Room for the title."""
    return 2 * _MARGIN + 20 * lettering.line_height


def _labels(sweep: Sweep, axis: Axis, together: int) -> list[str]:
    """`seed=3`, for each row of an axis; values are cut so that as many as stand together have room."""
    names = short_names(sweep.inputs)
    most = max(16, _LABEL_CHARS // together)
    return [
        ", ".join(
            f"{names[swept.address]}={_cut(value_text(swept, value), most)}"
            for swept, value in zip(axis.inputs, row, strict=True)
        )
        for row in axis.rows
    ]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most].rstrip()}..."


def _title(sweep: Sweep, manifest: SweepManifest, shown: int) -> tuple[str, str]:
    """What the sheet is of, and a remark on what is there."""
    names = short_names(sweep.inputs)
    axes = " x ".join(", ".join(names[swept.address] for swept in axis.inputs) for axis in sweep.axes)
    return f"{Path(manifest['workflow']).name}: {axes}", "; ".join(_remarks(sweep, manifest, shown))


def _remarks(sweep: Sweep, manifest: SweepManifest, shown: int) -> Iterator[str]:
    yield plural(sweep.count, "run")
    states = [cell["status"] for cell in manifest["cells"]]
    if failed := states.count("error"):
        yield f"{failed} failed"
    if missing := states.count("not_run") + states.count("cancelled"):
        yield f"{missing} not run"
    if shown < sweep.count:
        yield f"the first {shown} are shown"


def _save(sheet: Image.Image, folder: Path) -> None:
    try:
        with being_written(folder / SHEET) as temporary:
            sheet.save(temporary, format="PNG")
    except OSError as error:
        hint = "make room or choose another folder with --output-dir"
        raise GraphEngineError(f"cannot write {folder / SHEET}: {error.strerror}", hint=hint) from error
