"""Places for the boxes of a graph, in columns from left to right, in time near linear in its size.

* Each connected part is laid out alone, and the parts are then set in rows.
* Columns: the longest path from a source gives a box its column; a box that feeds more than it reads moves as far
  right as what it feeds allows, so that a loader stands beside its first reader. Links that close a circle are
  left out of this.
* Order within columns: boxes are sorted by the mean place of their neighbours, over and over, which removes most
  crossings (the barycentre method of Sugiyama et al., 1981). A link over several columns goes through an invisible
  bend in each, which keeps it from running under boxes; all links of one box share the bends.
* Heights: each box wants to stand where its neighbours stand; columns keep their order and their gaps while they
  come as near to that as possible (isotonic regression by pooling adjacent violators).

Ports are at the top of boxes, so tops are aligned and not centres. Units are pixels; y grows downwards.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Generic, TypeVar

from graphengine.workflow.layers import assign_columns, connected_parts, order_without_cycles, with_bends

Key = TypeVar("Key", bound=Hashable)
Point = tuple[float, float]
Size = tuple[float, float]

_SWEEPS = 6
_LARGE = 5_000  # boxes of a graph, or boxes and bends of a part, above which one sweep must do
_BEND_SIZE = (0.0, 16.0)


@dataclass(frozen=True, slots=True)
class Layout(Generic[Key]):
    """Upper left corners by box, the way of links over several columns, and the size of the whole.

    A way has two points for each column that the link passes, where it enters and where it leaves it.
    """

    positions: Mapping[Key, Point]
    bends: Mapping[tuple[Key, Key], tuple[Point, ...]]
    size: Size


def layered_layout(
    sizes: Mapping[Key, Size], links: Iterable[tuple[Key, Key]], *, gap: Size = (80.0, 40.0)
) -> Layout[Key]:
    """Places for boxes of these sizes (width, height), with at least `gap` between them.

    Links are (source, target); those that name no box, or lead back to their own, do not matter. The result
    depends on the order of the boxes and on nothing else.
    """
    keys = list(sizes)
    numbers = {key: number for number, key in enumerate(keys)}
    readers: list[list[int]] = [[] for _ in keys]
    for source, target in dict.fromkeys(links):
        if source in numbers and target in numbers and source != target:
            readers[numbers[source]].append(numbers[target])
    order = order_without_cycles(readers)
    box_sizes = list(sizes.values())
    corners: dict[int, Point] = {}
    bends: dict[tuple[int, int], tuple[Point, ...]] = {}
    placed = [_place(part, readers, box_sizes, gap) for part in connected_parts(order, readers)]
    shelf = _Shelf(_row_width([part.size for part in placed]), gap[1] * 2)
    for part in placed:
        left, top = shelf.add(part.size)
        corners.update((number, (x + left, y + top)) for number, (x, y) in part.corners.items())
        bends.update((link, tuple((x + left, y + top) for x, y in points)) for link, points in part.bends.items())
    return Layout(
        {key: corners[number] for key, number in numbers.items()},
        {(keys[source], keys[target]): points for (source, target), points in bends.items()},
        shelf.size,
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """One connected part, its upper left corner at (0, 0)."""

    corners: Mapping[int, Point]
    bends: Mapping[tuple[int, int], tuple[Point, ...]]
    size: Size


def _place(part: Sequence[int], readers: Sequence[Sequence[int]], sizes: Sequence[Size], gap: Size) -> _Part:
    """The layout of one part; its boxes come sorted so that sources stand before what reads them."""
    if len(part) == 1:
        return _Part({part[0]: (0.0, 0.0)}, {}, sizes[part[0]])
    column_of = assign_columns(part, readers)
    chain = with_bends(part, readers, column_of)
    columns: list[list[int]] = [[] for _ in range(max(column_of.values()) + 1)]
    for item in chain.items:
        columns[chain.column_of[item]].append(item)
    size_of = {item: sizes[item] if item < len(sizes) else _BEND_SIZE for item in chain.items}
    sweeps = 2 * (_SWEEPS if max(len(chain.items), len(sizes)) <= _LARGE else 1)
    _reduce_crossings(columns, chain.before, chain.after, sweeps)
    room = {item: size_of[item][1] + gap[1] for item in chain.items}
    tops = _tops(columns, chain.before, chain.after, room, sweeps)
    lefts, left = [], 0.0
    widths = [max(size_of[item][0] for item in column) for column in columns]
    for width in widths:
        lefts.append(left)
        left += width + gap[0]
    highest = min(tops.values())
    spot = {item: (lefts[chain.column_of[item]], tops[item] - highest) for item in chain.items}
    height = max(spot[item][1] + size_of[item][1] for item in chain.items)
    return _Part(
        {item: spot[item] for item in part},
        {
            link: tuple(
                (spot[bend][0] + across, spot[bend][1] + _BEND_SIZE[1] / 2)
                for bend in bends
                for across in (0.0, widths[chain.column_of[bend]])
            )
            for link, bends in chain.bends.items()
        },
        (left - gap[0], height),
    )


Neighbours = Mapping[int, Sequence[int]]


def _reduce_crossings(columns: list[list[int]], before: Neighbours, after: Neighbours, sweeps: int) -> None:
    """Sort each column by where the neighbours of its boxes stand, forwards and backwards in turn."""
    share: dict[int, float] = {}
    for column in columns:
        _remember(column, share)
    for sweep in range(sweeps):
        forwards = sweep % 2 == 0
        neighbours = before if forwards else after
        for column in columns if forwards else reversed(columns):
            if len(column) > 1:
                column.sort(key=lambda item: _mean([share[near] for near in neighbours[item]], share[item]))
                _remember(column, share)


def _remember(column: Sequence[int], share: dict[int, float]) -> None:
    for index, item in enumerate(column):
        share[item] = (index + 0.5) / len(column)


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _tops(
    columns: Sequence[Sequence[int]],
    before: Neighbours,
    after: Neighbours,
    room: Mapping[int, float],
    sweeps: int,
) -> dict[int, float]:
    """The upper edge of each box; `room` is its height with the gap below."""
    tops: dict[int, float] = {}
    for column in columns:
        top = 0.0
        for item in column:
            tops[item], top = top, top + room[item]
    for sweep in range(sweeps + 1):
        last = sweep == sweeps
        for column in columns if sweep % 2 == 0 else reversed(columns):
            wanted = []
            for item in column:
                near = [*before[item], *after[item]] if last or sweep % 2 == 0 else after[item]
                wanted.append(_mean([tops[neighbour] for neighbour in near], tops[item]))
            tops.update(zip(column, _spread(wanted, [room[item] for item in column]), strict=True))
    return tops


def _spread(wanted: Sequence[float], room: Sequence[float]) -> list[float]:
    """Tops in the given order, nearest to the wanted ones (least squares), that leave each box its room."""
    pools: list[tuple[float, int]] = []  # (mean, count) of boxes that touch, their offsets taken away
    offset, offsets = 0.0, []
    for want, height in zip(wanted, room, strict=True):
        mean, count = want - offset, 1
        while pools and pools[-1][0] > mean:
            other, many = pools.pop()
            mean, count = (mean * count + other * many) / (count + many), count + many
        pools.append((mean, count))
        offsets.append(offset)
        offset += height
    starts = [mean for mean, count in pools for _ in range(count)]
    return [start + offset for start, offset in zip(starts, offsets, strict=True)]


def _row_width(sizes: Sequence[Size]) -> float:
    """How wide a row of parts may be: as the widest part, or so that the whole is twice as wide as high."""
    area = sum(width * height for width, height in sizes)
    return max(sqrt(2 * area), max((width for width, _ in sizes), default=0.0))


class _Shelf:
    """Parts in rows, in their order."""

    def __init__(self, width: float, gap: float) -> None:
        self._limit, self._gap = width, gap
        self._left = self._top = self._height = self._right = 0.0

    def add(self, size: Size) -> Point:
        """The upper left corner of a part of this size."""
        if self._left and self._left + size[0] > self._limit:
            self._left, self._top, self._height = 0.0, self._top + self._height + self._gap, 0.0
        corner = (self._left, self._top)
        self._left += size[0] + self._gap
        self._right = max(self._right, corner[0] + size[0])
        self._height = max(self._height, size[1])
        return corner

    @property
    def size(self) -> Size:
        """The size of what was added so far."""
        return self._right, self._top + self._height
