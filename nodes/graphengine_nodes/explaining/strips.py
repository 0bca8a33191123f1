"""Small pictures in rows with a title, labels and captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image
from torch import Tensor

from .canvas import LARGE, MUTED, SMALL, Canvas, shortened, text_width, to_picture

_EDGE, _GAP, _CAPTION = 14, 8, 17
_LONGEST_LABEL = 150
_PIXELS_COUNT = 48  # pictures narrower than this are shown as the squares that they consist of


@dataclass(frozen=True, slots=True)
class Cell:
    """A picture (H, W, C) in 0..1, and the lines below it."""

    pixels: Tensor
    captions: Sequence[str] = ()


def sheet(
    title: str, rows: Sequence[Sequence[Cell]], *, row_labels: Sequence[str] = (), shown: int = 96
) -> Image.Image:
    """Rows of cells; each picture is enlarged by a whole number to be at least `shown` pixels wide.

    Larger pictures are made smaller to twice that width. row_labels stand at the left.
    """
    pictures = [[_shown(to_picture(cell.pixels), shown) for cell in row] for row in rows]
    wide = max((picture.width for row in pictures for picture in row), default=shown)
    captions = [max((len(cell.captions) for cell in row), default=0) for row in rows]
    high = [
        max((picture.height for picture in row), default=0) + _CAPTION * lines + _GAP
        for row, lines in zip(pictures, captions, strict=True)
    ]
    label = min(max((text_width(text) for text in row_labels), default=0.0), _LONGEST_LABEL)
    left = _EDGE + (label + 12 if label else 0)
    across = max((len(row) for row in rows), default=0) * (wide + _GAP) - _GAP
    width = max(left + across, _EDGE + text_width(title, LARGE)) + _EDGE
    canvas = Canvas(width, _EDGE * 2 + 30 + sum(high))
    canvas.text((_EDGE, _EDGE), title, size=LARGE)
    top = float(_EDGE + 32)
    for number, (row, drawn) in enumerate(zip(rows, pictures, strict=True)):
        if number < len(row_labels):
            middle = top + (high[number] - _GAP - _CAPTION * captions[number]) / 2
            canvas.text((_EDGE, middle), shortened(row_labels[number], _LONGEST_LABEL), anchor="lm")
        for column, (cell, picture) in enumerate(zip(row, drawn, strict=True)):
            _draw_cell(canvas, (left + column * (wide + _GAP), top), cell, picture, wide)
        top += high[number]
    return canvas.finished()


def _draw_cell(canvas: Canvas, at: tuple[float, float], cell: Cell, picture: Image.Image, width: int) -> None:
    x, y = at
    canvas.picture(picture, (x + (width - picture.width) / 2, y))
    for line, text in enumerate(cell.captions):
        place = (x + width / 2, y + picture.height + 3 + _CAPTION * line)
        canvas.text(place, shortened(text, width + _GAP, SMALL), size=SMALL, colour=MUTED, anchor="ma")


def _shown(picture: Image.Image, shown: int) -> Image.Image:
    if picture.width > 2 * shown:
        height = max(1, round(picture.height * 2 * shown / picture.width))
        return picture.resize((2 * shown, height), Image.Resampling.LANCZOS)
    factor = max(1, -(-shown // picture.width))
    method = Image.Resampling.NEAREST if picture.width < _PIXELS_COUNT else Image.Resampling.BICUBIC
    return picture.resize((picture.width * factor, picture.height * factor), method)


def in_rows(cells: Sequence[Cell], columns: int) -> list[list[Cell]]:
    """Cells in rows of so many."""
    return [list(cells[start : start + columns]) for start in range(0, len(cells), columns)]
