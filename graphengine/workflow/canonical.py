"""The canonical form of saved workflows: two files of one workflow are one text.

What the editor counts, computes or remembers of its window goes: the viewport, what is selected, orders of
execution, numbers of slots, revisions. Counters of ids become the highest id in use, since editors number new
nodes from there. Keys have a fixed order, nodes and links are sorted by id, and a line holds one thing: a widget,
a slot, a link. Ids, texts and numbers stay as they were written, and so does the order of inputs by name, which
nodes that take any input can tell.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pydantic import JsonValue

from graphengine.errors import WorkflowFormatError
from graphengine.workflow.documents import document_from_json
from graphengine.workflow.json_input import FOR_FILES, ParsedJson, parse_json
from graphengine.workflow.json_text import LINES, Shape, shaped
from graphengine.workflow.widget_slots import without_stale_slots

# Any: documents are open-ended JSON.
Json = dict[str, Any]

_NODE_SHAPE: Shape = {"inputs": LINES, "outputs": LINES, "widgets_values": LINES, "properties": LINES, "*": None}
_GRAPH: Mapping[str, Shape] = {
    **dict.fromkeys(("links", "groups", "inputs", "outputs", "widgets", "reroutes", "floatingLinks"), LINES),
    "nodes": {"*": _NODE_SHAPE},
    "extra": {
        **dict.fromkeys(("reroutes", "linkExtensions", "ue_links", "links_added_by_ue", "conflicts"), LINES),
        "groupNodes": {"*": {"nodes": LINES, "links": LINES, "external": LINES, "*": None}},
        "*": None,
    },
    "*": None,
}
_UI_SHAPE: Shape = {**_GRAPH, "definitions": {"subgraphs": {"*": _GRAPH}, "*": None}}
_API_SHAPE: Shape = {"*": {"inputs": LINES, "*": None}}
_ENVELOPE_SHAPE: Shape = {
    "prompt": _API_SHAPE,
    "output": _API_SHAPE,
    "workflow": _UI_SHAPE,
    "extra_data": {"extra_pnginfo": {"workflow": _UI_SHAPE, "*": None}, "*": None},
    "*": None,
}

_GRAPH_KEYS = (
    "id", "name", "revision", "version", "last_node_id", "last_link_id", "state", "config", "inputNode",
    "outputNode", "inputs", "outputs", "widgets", "nodes", "links", "floatingLinks", "reroutes", "groups",
    "definitions", "extra",
)  # fmt: skip
_NODE_KEYS = (
    "id", "type", "title", "mode", "pos", "size", "color", "bgcolor", "shape", "flags", "order", "inputs",
    "outputs", "properties", "widgets_values",
)  # fmt: skip
_SLOT_KEYS = ("id", "name", "type", "label", "localized_name", "shape", "widget", "link", "links", "linkIds")
_API_KEYS = ("class_type", "inputs", "_meta")
_REMEMBERED = frozenset({"selected", "is_selected", "is_hovered"})


def canonical_text(data: bytes) -> str:
    """The canonical form of a JSON file, in UTF-8 without a byte order mark, with a newline at each line's end.

    Raises:
        WorkflowFormatError: the text is no workflow.
    """
    return text_of(canonical(read_raw(data)))


def read_raw(data: bytes) -> Json:
    """The JSON object of a file that is a workflow, its numbers as written; at most `FOR_FILES` is read.

    Raises:
        WorkflowFormatError: the text is no workflow.
    """
    document_from_json(data, FOR_FILES)
    parsed: ParsedJson = parse_json(data, as_written=True, limits=FOR_FILES)
    if not isinstance(parsed.value, dict):
        raise WorkflowFormatError("this is no workflow")
    return parsed.value


def is_ui(raw: Mapping[str, Any]) -> bool:
    """Whether a workflow's JSON object is a document of the editor itself, in no envelope."""
    return isinstance(raw.get("nodes"), list)


def is_api(raw: Mapping[str, Any]) -> bool:
    """Whether a workflow's JSON object is an API document itself, in no envelope."""
    return any(isinstance(node, dict) and isinstance(node.get("class_type"), str) for node in raw.values())


def canonical(raw: Json) -> Json:
    """The canonical form of a workflow's JSON object; the given one is not changed."""
    if is_ui(raw):
        return canonical_ui(raw)
    if is_api(raw):
        return canonical_api(raw)
    made: Json = dict(raw)
    for key, value in raw.items():
        if isinstance(value, dict) and is_ui(value):
            made[key] = canonical_ui(value)
        elif isinstance(value, dict) and is_api(value):
            made[key] = canonical_api(value)
    match raw.get("extra_data"):
        case {"extra_pnginfo": {"workflow": dict(drawn)}} if is_ui(drawn):
            outer: Json = raw["extra_data"]
            inner = {**outer["extra_pnginfo"], "workflow": canonical_ui(drawn)}
            made["extra_data"] = {**outer, "extra_pnginfo": inner}
    return _ordered(made, ("prompt", "output", "workflow"))


def text_of(raw: Json) -> str:
    """The text of a document in canonical form."""
    return shaped(raw, _UI_SHAPE if is_ui(raw) else _API_SHAPE if is_api(raw) else _ENVELOPE_SHAPE)


def canonical_api(raw: Json) -> Json:
    """The canonical form of an API document: nodes by id, each with its class first."""
    return {
        key: _ordered(raw[key], _API_KEYS) if isinstance(raw[key], dict) else raw[key]
        for key in sorted(raw, key=id_order)
    }


def canonical_ui(raw: Json) -> Json:
    """The canonical form of a document of the editor."""
    made = _graph(raw)
    graphs = [made]
    match raw.get("definitions"):
        case {"subgraphs": list(subgraphs)}:
            inner = [_graph(each) if isinstance(each, dict) else each for each in subgraphs]
            made["definitions"] = {**raw["definitions"], "subgraphs": sorted(inner, key=_id_of)}
            graphs += [each for each in inner if isinstance(each, dict)]
    for graph in graphs[1:]:
        _count(graph, [graph])
    _count(made, graphs)
    return made


def id_order(id_: object) -> tuple[int, int, str]:
    """Sorts ids: numbers by value, whether they are written as texts or not, then texts."""
    text = str(id_)
    number = text.removeprefix("-")
    if number.isascii() and number.isdecimal() and len(number) < 20:
        return 0, int(text), text
    return 1, 0, text


def _id_of(item: object) -> tuple[int, int, str]:
    match item:
        case {"id": id_}:
            return id_order(id_)
        case [id_, *_]:
            return id_order(id_)
        case _:
            return 2, 0, ""


def _ordered(item: Json, first: Sequence[str]) -> Json:
    keys = [key for key in first if key in item]
    return {key: item[key] for key in (*keys, *sorted(item.keys() - set(first)))}


def _graph(raw: Json) -> Json:
    """One graph: the document itself, or a subgraph."""
    made = _ordered(raw, _GRAPH_KEYS)
    nodes, links = without_stale_slots(_dicts(raw.get("nodes")), _present(raw.get("links")))
    made["nodes"] = sorted(map(_node, nodes), key=_id_of)
    if isinstance(raw.get("links"), list):
        made["links"] = sorted(links, key=_id_of)
    _order_parts(made)
    if isinstance(made.get("extra"), dict):
        made["extra"] = _extra(made["extra"])
    if isinstance(made.get("revision"), int):
        made["revision"] = 0
    return made


def _order_parts(graph: Json) -> None:
    """Put what a graph has beside nodes and links in order."""
    for key in ("reroutes", "floatingLinks"):
        if isinstance(graph.get(key), list):
            graph[key] = sorted(graph[key], key=_id_of)
    for key, tidy in (("inputs", _boundary_slot), ("outputs", _boundary_slot), ("groups", _group)):
        if isinstance(graph.get(key), list):
            graph[key] = [tidy(each) for each in graph[key]]
    for key in ("inputNode", "outputNode"):
        if isinstance(graph.get(key), dict):
            graph[key] = _ordered(graph[key], ("id",))


def _dicts(value: JsonValue) -> list[Json]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _present(value: JsonValue) -> list[Any]:
    return [each for each in value if each is not None] if isinstance(value, list) else []


def _node(raw: Json) -> Json:
    node = _ordered({key: value for key, value in raw.items() if key not in _REMEMBERED}, _NODE_KEYS)
    if isinstance(node.get("order"), int):
        node["order"] = 0  # editors work it out when they load, but some refuse a document without it
    for key in ("pos", "size"):
        if key in node:
            node[key] = _as_list(node[key])
    if isinstance(node.get("flags"), dict):
        node["flags"] = {key: node["flags"][key] for key in sorted(node["flags"].keys() - _REMEMBERED)}
    for key in ("inputs", "outputs"):
        if isinstance(node.get(key), list):
            node[key] = [_slot(slot) for slot in node[key]]
    if isinstance(node.get("properties"), dict):
        node["properties"] = _ordered(node["properties"], ())
    return node


def _as_list(pair: Any) -> Any:
    """A position or size, which old editors wrote as `{"0": 210, "1": 46}`."""
    if isinstance(pair, dict) and pair and all(str(index) in pair for index in range(len(pair))):
        return [pair[str(index)] for index in range(len(pair))]
    return pair


def _slot(slot: Any) -> Any:
    """A slot without its number; where the slot of a widget is drawn follows from the widgets."""
    if not isinstance(slot, dict):
        return slot
    computed = {"slot_index", "pos"} if slot.get("widget") is not None else {"slot_index"}
    made = _ordered({key: value for key, value in slot.items() if key not in computed}, _SLOT_KEYS)
    if "links" in made:
        made["links"] = sorted(made["links"] or [], key=id_order)
    return made


def _boundary_slot(slot: Any) -> Any:
    """An input or output of a subgraph; where it is drawn follows from its number."""
    if not isinstance(slot, dict):
        return slot
    return _ordered({key: value for key, value in slot.items() if key != "pos"}, _SLOT_KEYS)


def _group(group: Any) -> Any:
    if not isinstance(group, dict):
        return group
    return _ordered({key: value for key, value in group.items() if key not in _REMEMBERED}, ("id", "title"))


def _extra(extra: Json) -> Json:
    made = _ordered({key: value for key, value in extra.items() if key != "ds"}, ())
    for key in ("reroutes", "linkExtensions"):
        if isinstance(made.get(key), list):
            made[key] = sorted(made[key], key=_id_of)
    return made


def _count(graph: Json, graphs: Sequence[Json]) -> None:
    """Set the counters that a graph has to the highest ids in use; those of the document count for all graphs."""
    counters: Mapping[str, Callable[[Json], object]] = {
        "last_node_id": lambda each: each.get("nodes"),
        "last_link_id": lambda each: each.get("links"),
    }
    for key, rows in counters.items():
        if isinstance(graph.get(key), int):
            graph[key] = _highest(rows(each) for each in graphs)
    if isinstance(state := graph.get("state"), dict):
        of: Mapping[str, str] = {
            "lastNodeId": "nodes",
            "lastLinkId": "links",
            "lastGroupId": "groups",
            "lastGroupid": "groups",
            "lastRerouteId": "reroutes",
        }
        counted = {key: _highest(each.get(rows) for each in graphs) for key, rows in of.items() if key in state}
        graph["state"] = _ordered({**state, **counted}, ())


def _highest(lists: Iterable[object]) -> int:
    ids = (_id_of(row) for rows in lists if isinstance(rows, list) for row in rows)
    return max((number for rank, number, _ in ids if rank == 0), default=0)
