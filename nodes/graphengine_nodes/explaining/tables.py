"""Tables as text and as pictures, and matrices as coloured cells."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image
from torch import Tensor

from .canvas import FRAME, INK, LARGE, MUTED, SMALL, Canvas, shortened, text_width

_ROW, _GAP, _EDGE = 22, 18, 14
_CELL_WIDTH, _CELL_HEIGHT, _LONGEST_LABEL = 58, 34, 190
_WEAK, _STRONG, _NEGATIVE = (255, 255, 255), (0, 90, 160), (200, 60, 20)


def as_text(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of letters: columns padded to one width and set to the right, the first to the left."""
    table = [list(heads), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(heads))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    )


def as_picture(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Image.Image:
    """The same table as a picture, with a title."""
    widths = [max(text_width(row[column]) for row in [heads, *rows]) + _GAP for column in range(len(heads))]
    canvas = Canvas(
        max(sum(widths), text_width(title, LARGE)) + 2 * _EDGE, 2 * _EDGE + 26 + _ROW * (len(rows) + 1)
    )
    canvas.text((_EDGE, _EDGE), title, size=LARGE)
    top = _EDGE + 28
    for number, row in enumerate([heads, *rows]):
        right, y = float(_EDGE), top + _ROW * (number + 0.5)
        if number % 2 == 0 and number:
            canvas.rectangle((_EDGE, y - _ROW / 2, _EDGE + sum(widths), y + _ROW / 2), fill="#f4f4f4")
        for column, (cell, width) in enumerate(zip(row, widths, strict=True)):
            place, anchor = (right, "lm") if column == 0 else (right + width - 4, "rm")
            canvas.text((place, y), cell, colour=INK if number else MUTED, anchor=anchor)
            right += width
    canvas.line([(_EDGE, top + _ROW), (_EDGE + sum(widths), top + _ROW)], FRAME)
    return canvas.finished()


def matrix_picture(
    title: str,
    values: Tensor,
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    *,
    rows_are: str,
    columns_are: str,
    limits: tuple[float, float],
    decimals: int = 2,
) -> Image.Image:
    """A matrix (N, M) as cells with their numbers, blue above 0 and red below, as strong as the limits say.

    rows_are, columns_are: what the labels name.
    """
    label = min(max((text_width(name) for name in row_labels), default=0.0), _LONGEST_LABEL) + 12
    cell = max([_CELL_WIDTH, *(min(text_width(name, SMALL), 110) + 10 for name in column_labels)])
    left, top = _EDGE + label + (22 if rows_are else 0), _EDGE + (78 if columns_are else 54)
    width = max(left + cell * values.shape[1] + _EDGE, text_width(title, LARGE) + 2 * _EDGE)
    canvas = Canvas(width, top + _CELL_HEIGHT * len(values) + 54)
    canvas.text((_EDGE, _EDGE), title, size=LARGE)
    canvas.text((left + cell * values.shape[1] / 2, _EDGE + 40), columns_are, colour=MUTED, anchor="mm")
    canvas.upright_text((_EDGE + 6, top + _CELL_HEIGHT * len(values) / 2), rows_are, colour=MUTED)
    for column, name in enumerate(column_labels):
        short = shortened(name, cell - 6, SMALL)
        canvas.text((left + cell * (column + 0.5), top - 10), short, size=SMALL, anchor="mm")
    for row, line in enumerate(values.tolist()):
        y = top + _CELL_HEIGHT * (row + 0.5)
        canvas.text((left - 8, y), shortened(row_labels[row], _LONGEST_LABEL), anchor="rm")
        for column, value in enumerate(line):
            box = (left + cell * column, y - _CELL_HEIGHT / 2, left + cell * (column + 1), y + _CELL_HEIGHT / 2)
            share = _share(value, limits)
            canvas.rectangle(box, fill=_shade(share), outline="#ffffff")
            ink = "#ffffff" if abs(share) > 0.55 else INK
            middle = ((box[0] + box[2]) / 2, y)
            canvas.text(middle, f"{value:.{decimals}f}", size=SMALL, colour=ink, anchor="mm")
    _draw_legend(canvas, (left, top + _CELL_HEIGHT * len(values) + 18), limits, decimals)
    return canvas.finished()


def _share(value: float, limits: tuple[float, float]) -> float:
    """How strongly a value is coloured, -1..1."""
    low, high = limits
    if low < 0:
        return max(-1.0, min(1.0, value / max(-low, high)))
    return max(0.0, min(1.0, (value - low) / ((high - low) or 1.0)))


def _shade(share: float) -> tuple[int, int, int]:
    end = _STRONG if share >= 0 else _NEGATIVE
    red, green, blue = (
        round(weak + (strong - weak) * abs(share)) for weak, strong in zip(_WEAK, end, strict=True)
    )
    return red, green, blue


def _draw_legend(canvas: Canvas, at: tuple[float, float], limits: tuple[float, float], decimals: int) -> None:
    left, top = at
    low, high = limits
    steps = 60
    canvas.text((left - 8, top + 7), f"{low:.{decimals}f}", size=SMALL, colour=MUTED, anchor="rm")
    for step in range(steps):
        value = low + (high - low) * step / (steps - 1)
        box = (left + step * 2, top, left + step * 2 + 2, top + 14)
        canvas.rectangle(box, fill=_shade(_share(value, limits)))
    canvas.rectangle((left, top, left + 2 * steps, top + 14), outline=FRAME)
    text = f"{high:.{decimals}f}"
    canvas.text((left + 2 * steps + 8, top + 7), text, size=SMALL, colour=MUTED, anchor="lm")
