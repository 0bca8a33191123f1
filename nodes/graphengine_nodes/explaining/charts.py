"""Charts of lines with axes, numbers, a legend and marked ranges."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from .axes import Axis, Scale, as_label, scale_for
from .canvas import INK, LARGE, MUTED, PALETTE, SMALL, Canvas, Colour, text_width

_GRID: Colour = "#e3e3e3"
_BAND: Colour = "#fff3d6"
_MOST_DOTS = 40


@dataclass(frozen=True, slots=True)
class Series:
    """A line: its name in the legend, and its points. What is not finite is left out."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True, slots=True)
class Band:
    """A marked range of x, with its name in the legend."""

    name: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn: lines over common axes."""

    title: str
    x: Axis
    y: Axis
    series: Sequence[Series]
    bands: Sequence[Band] = ()


def draw(chart: Chart, width: int = 560, height: int = 360) -> Image.Image:
    """The chart as a picture of this size."""
    return _Drawing(chart, width, height).finished()


class _Drawing:
    """A chart on its canvas: the frame lies at left, top, right and bottom."""

    def __init__(self, chart: Chart, width: int, height: int) -> None:
        self.chart, self.canvas = chart, Canvas(width, height)
        self.x = scale_for(chart.x, [value for series in chart.series for value in series.x])
        self.y = scale_for(chart.y, [value for series in chart.series for value in series.y])
        numbers = max(text_width(as_label(tick), SMALL) for tick in self.y.ticks() or [0.0])
        legend = self._legend_rows(width - 40)
        self.left, self.right = 34 + numbers, width - 18.0
        self.top, self.bottom = 40.0 + 20 * len(legend), height - 48.0
        self.canvas.text((14, 12), chart.title, size=LARGE)
        self._draw_legend(legend)

    def finished(self) -> Image.Image:
        """The whole chart."""
        for band in self.chart.bands:
            low, high = (min(max(self._across(value), self.left), self.right) for value in (band.low, band.high))
            self.canvas.rectangle((low, self.top, high, self.bottom), fill=_BAND)
        self._draw_axes()
        for number, series in enumerate(self.chart.series):
            self._draw_line(series, _colour(number))
        return self.canvas.finished()

    def _across(self, value: float) -> float:
        return self.left + (self.right - self.left) * self.x.place(value)

    def _up(self, value: float) -> float:
        return self.bottom - (self.bottom - self.top) * self.y.place(value)

    def _draw_axes(self) -> None:
        canvas, left, right, top, bottom = self.canvas, self.left, self.right, self.top, self.bottom
        for tick in self.x.ticks(8):
            at = self._across(tick)
            canvas.line([(at, top), (at, bottom)], _GRID)
            canvas.text((at, bottom + 7), as_label(tick), size=SMALL, colour=MUTED, anchor="ma")
        for tick in self.y.ticks():
            at = self._up(tick)
            canvas.line([(left, at), (right, at)], _GRID)
            canvas.text((left - 6, at), as_label(tick), size=SMALL, colour=MUTED, anchor="rm")
        canvas.line([(left, top), (left, bottom), (right, bottom)], INK)
        canvas.text(((left + right) / 2, bottom + 26), self.chart.x.label, anchor="ma")
        canvas.upright_text((14, (top + bottom) / 2), self.chart.y.label)

    def _draw_line(self, series: Series, colour: Colour) -> None:
        points = [
            (self._across(x), self._up(y))
            for x, y in zip(series.x, series.y, strict=True)
            if _can_be_shown(x, self.x) and _can_be_shown(y, self.y)
        ]
        self.canvas.line(points, colour, 2)
        if len(points) <= _MOST_DOTS:
            for point in points:
                self.canvas.dot(point, 3, colour)

    def _legend_rows(self, width: float) -> list[list[tuple[str, Colour, bool]]]:
        """Names, colours, and whether it is a band, in rows that fit."""
        entries: list[tuple[str, Colour, bool]] = [
            *((series.name, _colour(number), False) for number, series in enumerate(self.chart.series)),
            *((band.name, _BAND, True) for band in self.chart.bands),
        ]
        if len(entries) == 1:
            return []  # the title and the axis say what it is
        rows: list[list[tuple[str, Colour, bool]]] = [[]]
        room = width
        for entry in entries:
            needed = text_width(entry[0], SMALL) + 44
            if needed > room and rows[-1]:
                rows.append([])
                room = width
            rows[-1].append(entry)
            room -= needed
        return rows

    def _draw_legend(self, rows: Sequence[Sequence[tuple[str, Colour, bool]]]) -> None:
        for number, row in enumerate(rows):
            at, y = 16.0, 44.0 + 20 * number
            for name, colour, is_band in row:
                if is_band:
                    self.canvas.rectangle((at, y - 5, at + 20, y + 5), fill=colour, outline="#d8c48c")
                else:
                    self.canvas.line([(at, y), (at + 20, y)], colour, 3)
                self.canvas.text((at + 26, y), name, size=SMALL, anchor="lm")
                at += text_width(name, SMALL) + 44


def _colour(number: int) -> Colour:
    return PALETTE[number % len(PALETTE)]


def _can_be_shown(value: float, scale: Scale) -> bool:
    if not math.isfinite(value) or (scale.log and value <= 0):
        return False
    return -1e-9 <= scale.place(value) <= 1 + 1e-9
