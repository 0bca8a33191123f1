"""The layout of a document in a file of its own: `flow.layout.json` beside `flow.json`.

It holds where nodes, groups and reroutes are, how large, and in which colours, a line for each. So a node that is
dragged changes one line, in a file that nobody needs to read.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from graphengine.errors import WorkflowFormatError
from graphengine.workflow.canonical import id_order
from graphengine.workflow.json_input import FOR_FILES, parse_json, too_large
from graphengine.workflow.json_text import LINES, Shape, shaped

# Any throughout: documents are open-ended JSON.
Json = dict[str, Any]

_FORMAT = "graphengine-layout"
_KEYS: Mapping[str, tuple[str, ...]] = {
    "nodes": ("pos", "size", "color", "bgcolor", "shape", "flags"),
    "groups": ("bounding", "color", "font_size", "flags"),
    "reroutes": ("pos",),
}
_EDGES = ("inputNode", "outputNode")
_GRAPH: Shape = {"nodes": LINES, "groups": LINES, "reroutes": LINES, "*": None}
_SHAPE: Shape = {"nodes": LINES, "groups": LINES, "reroutes": LINES, "subgraphs": {"*": _GRAPH}, "*": None}
_FIRST, _STEP = 40.0, 60.0  # where nodes go of which the file says nothing


def layout_path(file: Path) -> Path:
    """The layout file of a document: `flow.layout.json` for `flow.json`."""
    return file.with_name(f"{file.stem}.layout.json")


def is_layout(raw: object) -> bool:
    """Whether a JSON value is the content of a layout file."""
    return isinstance(raw, dict) and raw.get("format") == _FORMAT


def read_layout(file: Path) -> Json:
    """The layout in a file.

    Raises:
        WorkflowFormatError: it cannot be read or is no layout.
    """
    try:
        data = file.read_bytes() if file.stat().st_size <= FOR_FILES.bytes else None
    except OSError as error:
        raise WorkflowFormatError(f"{file}: cannot be read: {error.strerror or error}") from error
    if data is None:
        raise too_large(most=FOR_FILES.bytes)
    raw = parse_json(data, as_written=True, limits=FOR_FILES).value
    if not isinstance(raw, dict) or not is_layout(raw):
        raise WorkflowFormatError(
            f"{file}: this is no layout of a workflow",
            hint="move it away; `graphengine fmt --layout split` writes a new one",
        )
    return raw


def layout_text(layout: Json) -> str:
    """The text of a layout file."""
    return shaped(layout, _SHAPE)


def split_layout(raw: Json) -> tuple[Json, Json]:
    """A document of the editor without its layout, and the layout."""
    rest, layout = _split(raw)
    subgraphs: Json = {}
    match raw.get("definitions"):
        case {"subgraphs": list(graphs)}:
            inner: list[Any] = []
            for graph in graphs:
                bare, own = _split(graph)
                inner.append(bare)
                if own:
                    subgraphs[str(graph.get("id"))] = own
            rest["definitions"] = {**raw["definitions"], "subgraphs": inner}
    return rest, {"format": _FORMAT, "version": 1, **layout, **({"subgraphs": subgraphs} if subgraphs else {})}


def is_bare(raw: Mapping[str, Any]) -> bool:
    """Whether a document of the editor has nodes and none of them a position."""
    nodes = raw.get("nodes")
    return isinstance(nodes, list) and bool(nodes) and not any("pos" in node for node in nodes)


def join_layout(raw: Mapping[str, Any], layout: Mapping[str, Any]) -> Json:
    """The document with its layout; what it says itself counts before the layout."""
    joined = _join(raw, layout)
    subgraphs = _object(layout.get("subgraphs"))
    match raw.get("definitions"):
        case {"subgraphs": list(graphs)}:
            inner = [_join(graph, _object(subgraphs.get(str(graph.get("id"))))) for graph in graphs]
            joined["definitions"] = {**raw["definitions"], "subgraphs": inner}
    return joined


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _named(items: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """Items by id, or by their number where they have none or one that another has."""
    seen: set[str] = set()
    for number, item in enumerate(items):
        own = item.get("id") if isinstance(item, dict) else None
        name = f"#{number}" if own is None or str(own) in seen else str(own)
        seen.add(name)
        yield name, item


def _split(graph: Json) -> tuple[Json, Json]:
    rest, layout = dict(graph), dict[str, Any]()
    for kind, keys in _KEYS.items():
        items = graph.get(kind)
        if not isinstance(items, list):
            continue
        taken: Json = {}
        bare: list[Any] = []
        for name, item in _named(items):
            own = {key: item[key] for key in keys if key in item} if isinstance(item, dict) else {}
            bare.append({key: value for key, value in item.items() if key not in own} if own else item)
            if own:
                taken[name] = own
        rest[kind] = bare
        if taken:
            layout[kind] = {name: taken[name] for name in sorted(taken, key=id_order)}
    for edge in _EDGES:
        end = graph.get(edge)
        if isinstance(end, dict) and "bounding" in end:
            rest[edge] = {key: value for key, value in end.items() if key != "bounding"}
            layout[edge] = {"bounding": end["bounding"]}
    return rest, layout


def _join(graph: Mapping[str, Any], layout: Mapping[str, Any]) -> Json:
    joined = dict(graph)
    for kind in _KEYS:
        if isinstance(graph.get(kind), list):
            told = _object(layout.get(kind))
            joined[kind] = [_with(item, _object(told.get(name))) for name, item in _named(graph[kind])]
    for edge in _EDGES:
        if isinstance(graph.get(edge), dict):
            joined[edge] = _with(graph[edge], _object(layout.get(edge)))
    _place_new(joined.get("nodes"))
    return joined


def _with(item: Any, told: Mapping[str, Any]) -> Any:
    return {**told, **item} if isinstance(item, dict) and told else item


def _place_new(nodes: Any) -> None:
    """Give a position to nodes without one, where others have theirs: in a row above the rest."""
    if not isinstance(nodes, list) or not any("pos" in node for node in nodes):
        return
    new = [index for index, node in enumerate(nodes) if "pos" not in node]
    for step, index in enumerate(new):
        nodes[index] = {**nodes[index], "pos": [_FIRST + step * _STEP, -_STEP * 4], "size": [210, 46]}


def merge_layouts(base: Json, ours: Json, theirs: Json) -> Json:
    """Both sides' layouts in one, item by item; where both moved one, ours counts."""
    made: Json = {}
    for key in dict.fromkeys((*ours, *theirs)):
        before, mine, other = (each.get(key) for each in (base, ours, theirs))
        if key == "subgraphs":
            names = dict.fromkeys((*_object(mine), *_object(other)))
            made[key] = {
                name: _merge_graphs(*(_object(_object(each).get(name)) for each in (before, mine, other)))
                for name in names
            }
        else:
            made |= _merge_graphs(*({key: each} if each is not None else {} for each in (before, mine, other)))
    return made


def _merge_graphs(base: Mapping[str, Any], ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Json:
    made: Json = {}
    for kind in dict.fromkeys((*ours, *theirs)):
        before, mine, other = (each.get(kind) for each in (base, ours, theirs))
        if isinstance(mine, dict) and isinstance(other, dict):
            made[kind] = _merge_items(_object(before), mine, other)
        else:
            made[kind] = other if mine == before or mine is None else mine
    return made


def _merge_items(base: Mapping[str, Any], ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Json:
    made: Json = {}
    for name in sorted({*ours, *theirs}, key=id_order):
        before, mine, other = base.get(name), ours.get(name), theirs.get(name)
        chosen = other if mine == before else mine
        if chosen is not None:
            made[name] = chosen
    return made
