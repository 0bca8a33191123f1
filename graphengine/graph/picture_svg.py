"""Pictures as SVG: boxes in columns, wires in the colours of their types, problems in red, and a legend.

There are no fonts to measure with, so the width of a text is guessed from its letters, and what may be too long
is cut; the whole text is in the tooltip (`<title>`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from textwrap import wrap
from unicodedata import east_asian_width

from graphengine.errors import Problem
from graphengine.graph.colours import ERROR, MARKS, WARNING, colour_of
from graphengine.graph.picture import Box, Picture, Wire
from graphengine.graph.xml_text import escaped
from graphengine.workflow.layout import Layout, Point, layered_layout
from graphengine.workflow.models import NodeId

_LETTER = 6.6  # width of a letter at 11 px
_ROW, _HEADER, _PADDING = 17.0, 38.0, 10.0
_LEAST_WIDTH, _MOST_LETTERS, _TEXT_LINES = 150.0, 42, 4
_MARGIN, _TOP, _LINE = 24.0, 56.0, 19.0
_GAP = (64.0, 26.0)
_MOST_LISTED = 30  # problems in the legend

_STYLE = (
    "text{font:11px Helvetica,Arial,sans-serif;fill:#1d2129}"
    ".t{font-weight:bold;font-size:12px}.c,.l{fill:#68707c}.h{font-size:15px;font-weight:bold}"
    ".b{fill:#fff;stroke:#c3c8d0}.w{fill:none;stroke-width:2}"
    f".error{{stroke:{ERROR};stroke-width:2.5}}.warning{{stroke:{WARNING};stroke-width:2}}"
    f".e{{fill:{ERROR}}}.a{{fill:{WARNING}}}"
)
_MARK_STYLE = {mark: f'style="fill:{fill};stroke:{frame};stroke-width:2"' for mark, (fill, frame) in MARKS.items()}


def to_svg(picture: Picture, title: str = "") -> str:
    """A picture that stands alone: no scripts, no fonts, nothing loaded."""
    rows = {key: list(_rows(box)) for key, box in picture.boxes.items()}
    sizes = {key: (_width(box, rows[key]), _height(box, rows[key])) for key, box in picture.boxes.items()}
    layout = layered_layout(sizes, [(wire.source, wire.target) for wire in picture.wires], gap=_GAP)
    legend = _legend(picture, max(layout.size[0], 600.0))
    widest = max((entry.x + _line_width([entry.text]) for entry in legend), default=0.0)
    width = max(layout.size[0] + 2 * _MARGIN, widest + _MARGIN, _line_width([title]) * 1.4)
    bottom = _TOP + layout.size[1] + _MARGIN + 12
    height = bottom + max((entry.line + 1 for entry in legend), default=0) * _LINE + 8
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}">',
        f"<title>{escaped(title)}</title><style>{_STYLE}</style>",
        '<rect width="100%" height="100%" fill="#f5f6f8"/>',
        f'<text class="h" x="{_MARGIN:.0f}" y="32">{escaped(title)}</text>',
        f'<g transform="translate({_MARGIN:.0f} {_TOP:.0f})">',
        *(_wire(wire, layout, sizes) for wire in picture.wires),
        *(_box(box, layout.positions[key], sizes[key], rows[key]) for key, box in picture.boxes.items()),
        "</g>",
        *(_legend_entry(entry, bottom) for entry in legend),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of a box: a label, a value, and the class of its style."""

    label: str
    text: str = ""
    style: str = ""


def _rows(box: Box) -> Iterator[_Row]:
    for name, value in box.values:
        lines = [line for part in value.splitlines() for line in wrap(part, _MOST_LETTERS)] or [""]
        if len(lines) == 1 and _letters(name) + _letters(value) < _MOST_LETTERS:
            yield _Row(name, lines[0])
            continue
        yield _Row(name)
        for line in lines[:_TEXT_LINES]:
            yield _Row("", _cut(line))
        if len(lines) > _TEXT_LINES:
            yield _Row("", "…")
    for problem in box.problems:
        style = "e" if problem.severity == "error" else "a"
        lines = wrap(f"! {problem.message}", _MOST_LETTERS)
        yield from (_Row(_cut(line), style=style) for line in lines[:_TEXT_LINES])


def _letters(text: str) -> int:
    """How many narrow letters a text is as wide as."""
    return sum(2 if east_asian_width(each) in "WF" else 1 for each in text)


def _cut(text: str, most: int = _MOST_LETTERS) -> str:
    if _letters(text) <= most:
        return text
    room = most - 1
    for index, each in enumerate(text):
        room -= _letters(each)
        if room < 0:
            return text[:index] + "…"
    return text


def _line_width(lines: list[str]) -> float:
    return max(map(_letters, lines), default=0) * _LETTER * 1.2


def _width(box: Box, rows: list[_Row]) -> float:
    left = max((_letters(slot.name) for slot in box.inputs), default=0)
    right = max((_letters(slot.name) for slot in box.outputs), default=0)
    letters = max(
        min(left, 24) + min(right, 24) + 5,
        _letters(_cut(box.title)) * 1.15,
        _letters(_cut(_place(box))),
        *(_letters(row.label) + _letters(row.text) + 3 for row in rows),
        0,
    )
    return max(_LEAST_WIDTH, letters * _LETTER + 2 * _PADDING)


def _height(box: Box, rows: list[_Row]) -> float:
    return _HEADER + (max(len(box.inputs), len(box.outputs)) + len(rows)) * _ROW + 8


def _place(box: Box) -> str:
    return f"{box.key} · {box.class_type}"


def _port(number: int) -> float:
    return _HEADER + number * _ROW + _ROW / 2 + 3


def _wire(wire: Wire, layout: Layout[NodeId], sizes: Mapping[NodeId, Point]) -> str:
    left, top = layout.positions[wire.source]
    end_left, end_top = layout.positions[wire.target]
    beside = (wire.output % 5 - 2) * 4  # wires of other outputs share the bends
    points = [
        (left + sizes[wire.source][0], top + _port(wire.output)),
        *((x, y + beside) for x, y in layout.bends.get((wire.source, wire.target), ())),
        (end_left, end_top + _port(wire.input)),
    ]
    path = [f"M{points[0][0]:.0f} {points[0][1]:.1f}"]
    for index, ((x, y), (to_x, to_y)) in enumerate(pairwise(points)):
        if index % 2:  # across a column
            path.append(f"H{to_x:.0f}")
        else:
            reach = max(abs(to_x - x) / 2, 24)
            path.append(f"C{x + reach:.0f} {y:.1f} {to_x - reach:.0f} {to_y:.1f} {to_x:.0f} {to_y:.1f}")
    return f'<path class="w" stroke="{colour_of(wire.type)}" d="{"".join(path)}"/>'


def _box(box: Box, corner: Point, size: Point, rows: list[_Row]) -> str:
    width, height = size
    severity = box.severity
    parts = [
        f'<g transform="translate({corner[0]:.0f} {corner[1]:.1f})">',
        f"<title>{escaped(_tooltip(box))}</title>",
        f'<rect class="b{f" {severity}" if severity else ""}" width="{width:.0f}" height="{height:.0f}" rx="7"'
        f"{' ' if box.mark else ''}{_MARK_STYLE.get(box.mark, '')}/>",
        _text(_PADDING, 17, _cut(box.title), "t"),
        _text(_PADDING, 31, _cut(_place(box)), "c"),
    ]
    for index, slot in enumerate(box.inputs):
        parts.append(_dot(0, _port(index), slot.type))
        parts.append(_text(_PADDING, _port(index) + 4, _cut(slot.name, 24)))
    for index, slot in enumerate(box.outputs):
        parts.append(_dot(width, _port(index), slot.type))
        parts.append(_text(width - _PADDING, _port(index) + 4, _cut(slot.name, 24), end=True))
    top = _HEADER + max(len(box.inputs), len(box.outputs)) * _ROW + 14
    for index, row in enumerate(rows):
        y = top + index * _ROW
        parts.append(_text(_PADDING, y, row.label, row.style or "l") if row.label else "")
        if row.text:
            parts.append(_text(width - _PADDING, y, row.text, end=True) if row.label else _text(18, y, row.text))
    return "".join([*parts, "</g>"])


def _tooltip(box: Box) -> str:
    values = [f"{name}: {value}" for name, value in box.values]
    return "\n".join([box.title, _place(box), *values, *(_described(problem) for problem in box.problems)])


def _described(problem: Problem) -> str:
    return f"{problem.severity}: {problem}" + (f" ({problem.hint})" if problem.hint else "")


def _text(x: float, y: float, text: str, style: str = "", *, end: bool = False) -> str:
    css = f' class="{style}"' if style else ""
    anchor = ' text-anchor="end"' if end else ""
    return f'<text x="{x:.0f}" y="{y:.0f}"{css}{anchor}>{escaped(text)}</text>'


def _dot(x: float, y: float, type_: str) -> str:
    return f'<circle cx="{x:.0f}" cy="{y:.1f}" r="4.5" fill="{colour_of(type_)}"/>'


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line of the legend, or a part of its first lines: a mark in a colour, and a text."""

    colour: str
    text: str
    x: float
    line: int
    style: str = ""


def _legend(picture: Picture, width: float) -> list[_Entry]:
    """Types beside each other as far as the width allows, then a line for each problem."""
    entries: list[_Entry] = []
    x, line = _MARGIN, 0
    for type_ in picture.types:
        text = "any type" if type_ == "*" else type_
        needed = _line_width([text]) + 40
        if x > _MARGIN and x + needed > width:
            x, line = _MARGIN, line + 1
        entries.append(_Entry(colour_of(type_), text, x, line))
        x += needed
    if picture.marks:
        x, line = _MARGIN, line + 1
    for mark in picture.marks:
        entries.append(_Entry(MARKS[mark][1], mark, x, line))
        x += _line_width([mark]) + 40
    problems = picture.problems
    for problem in problems[:_MOST_LISTED]:
        line += 1
        colour, style = (ERROR, "e") if problem.severity == "error" else (WARNING, "a")
        entries.append(_Entry(colour, _cut(f"{problem} [{problem.code}]", 140), _MARGIN, line, style))
    if len(problems) > _MOST_LISTED:
        more = f"and {len(problems) - _MOST_LISTED} more"
        entries.append(_Entry(ERROR, more, _MARGIN, line + 1))
    return entries


def _legend_entry(entry: _Entry, top: float) -> str:
    y = top + entry.line * _LINE
    mark = f'<rect x="{entry.x:.0f}" y="{y - 9:.0f}" width="12" height="10" rx="2" fill="{entry.colour}"/>'
    return mark + _text(entry.x + 18, y, entry.text, entry.style)
