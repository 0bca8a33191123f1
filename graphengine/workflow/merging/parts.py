"""Graphs taken apart for merging, and put together again.

A node is a mapping of parts by name: `type`, `raw:title`, `property:ver`, `widgets` (a list) or `widget:0`,
`named:seed` (values by name), `slot:model#0`, `link:model#0`, `output:LATENT#0`; of an API document `type`,
`input:seed`, `meta:title`. A link is `[source, output]`, None is an open slot. Slots with one name are numbered.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphengine.workflow.canonical import id_order
from graphengine.workflow.ui_graph import INPUTS_ID, OUTPUTS_ID

# Any throughout: documents are open-ended JSON.
Json = dict[str, Any]
NodeParts = dict[str, Any]

_NODE_KEYS = frozenset({"id", "type", "inputs", "outputs", "properties", "widgets_values"})
_PRESENT = "raw:\0present"  # which of these keys the document has, though empty
#: Parts that are only drawn or computed: two edits of one are no conflict.
DRAWN = frozenset(
    f"raw:{key}"
    for key in ("\0present", "pos", "size", "color", "bgcolor", "shape", "flags", "order", "showAdvanced")
)


@dataclass(slots=True)
class GraphParts:
    """Nodes by id; `link_facts` is what a document says of a link beside its ends, by target, slot and ends."""

    nodes: dict[str, NodeParts] = field(default_factory=dict)
    ids: dict[str, Any] = field(default_factory=dict)
    link_facts: dict[tuple[str, str, str, Any], Json] = field(default_factory=dict)


def ui_parts(graph: Mapping[str, Any]) -> GraphParts:
    """The parts of a document of the editor, or of a subgraph."""
    parts = GraphParts()
    links = {str(link["id"]): link for link in map(link_object, graph.get("links") or []) if link}
    names = [str(slot.get("name")) for slot in graph.get("inputs") or [] if isinstance(slot, dict)]
    for node in graph.get("nodes") or []:
        key = str(node["id"])
        parts.ids[key] = node["id"]
        parts.nodes[key] = _ui_node(key, node, links, names, parts)
    if "inputs" in graph or "outputs" in graph:
        _take_boundary(graph, links, names, parts)
    return parts


def link_object(link: Any) -> Json | None:
    """A link as an object, whichever way it is written; None for what is none."""
    match link:
        case [id_, origin, slot, target, end, *rest]:
            made = {"id": id_, "origin_id": origin, "origin_slot": slot, "target_id": target, "target_slot": end}
            return {**made, "type": rest[0] if rest else "*"}
        case {"id": _, "origin_id": _, "origin_slot": _, "target_id": _, "target_slot": _}:
            return dict(link)
        case _:
            return None


def _ui_node(key: str, node: Json, links: Mapping[str, Json], names: list[str], parts: GraphParts) -> NodeParts:
    made: NodeParts = {"type": node["type"], _PRESENT: sorted(node.keys() & _NODE_KEYS)}
    made.update({f"raw:{name}": value for name, value in node.items() if name not in _NODE_KEYS})
    made.update({f"property:{name}": value for name, value in (node.get("properties") or {}).items()})
    if isinstance(values := node.get("widgets_values"), dict):
        made.update({f"named:{name}": value for name, value in values.items()})
    elif values is not None:
        made["widgets"] = values
    for name, slot in numbered(node.get("inputs") or []):
        made[f"slot:{name}"] = {each: value for each, value in slot.items() if each != "link"}
        link = links.get(str(slot["link"])) if slot.get("link") is not None else None
        made[f"link:{name}"] = _taken(key, name, link, names, parts)
    for name, slot in numbered(node.get("outputs") or []):
        made[f"output:{name}"] = {
            each: value for each, value in slot.items() if each not in ("links", "slot_index")
        }
    return made


def _taken(key: str, name: str, link: Json | None, names: list[str], parts: GraphParts) -> list[Any] | None:
    """Where a link begins; what else is said of it is remembered."""
    if link is None:
        return None
    source: str = str(link["origin_id"])
    output: Any = link["origin_slot"]
    if source == INPUTS_ID and isinstance(output, int) and 0 <= output < len(names):
        output = names[output]
    parts.link_facts[key, name, source, output] = {
        each: value
        for each, value in link.items()
        if each not in ("origin_id", "origin_slot", "target_id", "target_slot")
    }
    return [source, output]


def numbered(slots: Iterable[Any]) -> Iterator[tuple[str, Json]]:
    """Slots by name and how many of that name came before: `model#0`."""
    seen: Counter[str] = Counter()
    for slot in slots:
        if isinstance(slot, dict):
            name = str(slot.get("name", ""))
            yield f"{name}#{seen[name]}", slot
            seen[name] += 1


def _take_boundary(
    graph: Mapping[str, Any], links: Mapping[str, Json], names: list[str], parts: GraphParts
) -> None:
    """Take the inputs and outputs of a subgraph as slots of two nodes."""
    ends = {link["target_slot"]: link for link in links.values() if str(link["target_id"]) == OUTPUTS_ID}
    inputs: NodeParts = {"type": "inputs"}
    outputs: NodeParts = {"type": "outputs"}
    for name, slot in numbered(graph.get("inputs") or []):
        inputs[f"output:{name}"] = {each: value for each, value in slot.items() if each not in ("linkIds", "pos")}
    for at, (name, slot) in enumerate(numbered(graph.get("outputs") or [])):
        outputs[f"slot:{name}"] = {each: value for each, value in slot.items() if each not in ("linkIds", "pos")}
        outputs[f"link:{name}"] = _taken(OUTPUTS_ID, name, ends.get(at), names, parts)
    parts.nodes[INPUTS_ID], parts.nodes[OUTPUTS_ID] = inputs, outputs
    parts.ids.update({INPUTS_ID: int(INPUTS_ID), OUTPUTS_ID: int(OUTPUTS_ID)})


def api_parts(nodes: Mapping[str, Any]) -> GraphParts:
    """The parts of an API document."""
    parts = GraphParts()
    for key, node in nodes.items():
        made: NodeParts = {"type": node["class_type"]}
        made.update({f"input:{name}": value for name, value in (node.get("inputs") or {}).items()})
        made.update({f"meta:{name}": value for name, value in (node.get("_meta") or {}).items()})
        others = (name for name in node if name not in ("class_type", "inputs", "_meta", "is_changed"))
        made.update({f"raw:{name}": node[name] for name in others})
        parts.nodes[key] = made
        parts.ids[key] = key
    return parts


def api_nodes(parts: GraphParts) -> Json:
    """The API document of parts."""
    made: Json = {}
    for key in sorted(parts.nodes, key=id_order):
        node = parts.nodes[key]
        meta = _under(node, "meta:")
        made[key] = {
            "class_type": node["type"],
            "inputs": _under(node, "input:"),
            **({"_meta": meta} if meta else {}),
            **_under(node, "raw:"),
        }
    return made


def _under(node: NodeParts, prefix: str) -> Json:
    return {name.removeprefix(prefix): value for name, value in node.items() if name.startswith(prefix)}


def source_of(part: str, value: Any) -> str | None:
    """The node that a part links to, None when it is no link."""
    if not part.startswith(("link:", "input:")):
        return None
    match value:
        case [str(source), int() | str()]:
            return source
        case _:
            return None


def renamed(parts: GraphParts, ids: Mapping[str, Any]) -> GraphParts:
    """The parts with other ids of nodes, in links as well."""
    if not ids:
        return parts
    made = GraphParts()
    of = {key: str(new) for key, new in ids.items()}
    for key, node in parts.nodes.items():
        made.nodes[of.get(key, key)] = {part: _moved(part, value, of) for part, value in node.items()}
        made.ids[of.get(key, key)] = ids.get(key, parts.ids[key])
    for (target, slot, source, output), facts in parts.link_facts.items():
        made.link_facts[of.get(target, target), slot, of.get(source, source), output] = facts
    return made


def _moved(part: str, value: Any, ids: Mapping[str, str]) -> Any:
    source = source_of(part, value)
    return [ids[source], value[1]] if source is not None and source in ids else value


def ui_graph(graph: Mapping[str, Any], parts: GraphParts, facts: Iterable[Mapping[Any, Json]]) -> Json:
    """The graph with the nodes and links of parts; `facts` of links count in their order."""
    table = _LinkTable(list(facts), as_objects=_has_objects(graph))
    inputs = {name: at for at, name in enumerate(_slot_names(parts, INPUTS_ID, "output:"))}
    nodes = [
        _written_node(key, parts, table, inputs)
        for key in sorted(parts.nodes, key=id_order)
        if key not in (INPUTS_ID, OUTPUTS_ID)
    ]
    made: Json = {**graph, "nodes": nodes}
    if OUTPUTS_ID in parts.nodes:
        made["outputs"] = _written_slots(OUTPUTS_ID, parts, table, inputs, boundary=True)
        orders = {name: slot.get("linkIds") or [] for name, slot in numbered(graph.get("inputs") or [])}
        made["inputs"] = [
            {**value, "linkIds": _in_order(table.leaving[INPUTS_ID, at], orders.get(name, []))}
            for at, (name, value) in enumerate(_under(parts.nodes[INPUTS_ID], "output:").items())
        ]
    for node in nodes:
        for at, slot in enumerate(node.get("outputs") or []):
            slot["links"] = table.leaving[str(node["id"]), at]
    made["links"] = sorted(table.rows, key=lambda row: id_order(row["id"] if isinstance(row, dict) else row[0]))
    return made


def _in_order(ids: list[Any], order: list[Any]) -> list[Any]:
    """The ids of links as they stood before: the first of a subgraph's input says which widget it shows."""
    places = {str(id_): place for place, id_ in enumerate(order)}
    return sorted(ids, key=lambda id_: places.get(str(id_), len(places)))


def _slot_names(parts: GraphParts, key: str, prefix: str) -> list[str]:
    found = _under(parts.nodes.get(key, {}), prefix)
    return [name.rpartition("#")[0] for name in found]


def _has_objects(graph: Mapping[str, Any]) -> bool:
    links = [link for link in graph.get("links") or [] if link is not None]
    return isinstance(links[0], dict) if links else "inputNode" in graph or graph.get("version") == 1


class _Leaving(dict[tuple[str, Any], list[Any]]):
    """The links that leave each output."""

    def __missing__(self, key: tuple[str, Any]) -> list[Any]:
        return self.setdefault(key, [])


@dataclass(slots=True)
class _LinkTable:
    """Links as they are written, each under its old id where that is free."""

    facts: list[Mapping[Any, Json]]
    as_objects: bool
    rows: list[Any] = field(default_factory=list)
    leaving: _Leaving = field(default_factory=_Leaving)
    _used: set[str] = field(default_factory=set)
    _following: int = 0

    def __post_init__(self) -> None:
        ids = [facts["id"] for each in self.facts for facts in each.values()]
        self._following = 1 + max((id_order(each)[1] for each in ids), default=0)

    def add(
        self, target: str, target_id: Any, name: str, at: int, end: list[Any], source_id: Any, output: Any
    ) -> Any:
        """Write a link and give its id."""
        known = [
            each[target, name, end[0], end[1]] for each in self.facts if (target, name, end[0], end[1]) in each
        ]
        facts: Json = dict(known[0]) if known else {"type": "*"}
        if "id" not in facts or str(facts["id"]) in self._used:
            facts["id"] = self._following
            self._following += 1
        self._used.add(str(facts["id"]))
        if self.as_objects:
            ends = {"origin_id": source_id, "origin_slot": output, "target_id": target_id, "target_slot": at}
            self.rows.append({"id": facts["id"], **ends, **facts})
        else:
            self.rows.append([facts["id"], source_id, output, target_id, at, facts.get("type", "*")])
        self.leaving[str(source_id), output].append(facts["id"])
        return facts["id"]


def _written_slots(
    key: str, parts: GraphParts, table: _LinkTable, inputs: Mapping[str, int], *, boundary: bool = False
) -> list[Json]:
    node, made = parts.nodes[key], list[Json]()
    for at, (name, slot) in enumerate(_under(node, "slot:").items()):
        end = node.get(f"link:{name}")
        id_ = None
        if end is not None and end[0] in parts.nodes:
            output = inputs.get(str(end[1]), 0) if end[0] == INPUTS_ID else end[1]
            id_ = table.add(key, parts.ids[key], name, at, end, parts.ids[end[0]], output)
        made.append({**slot, "linkIds": [] if id_ is None else [id_]} if boundary else {**slot, "link": id_})
    return made


def _written_node(key: str, parts: GraphParts, table: _LinkTable, inputs: Mapping[str, int]) -> Json:
    node = parts.nodes[key]
    made: Json = {"id": parts.ids[key], "type": node["type"], **_under(node, "raw:")}
    present = made.pop(_PRESENT.removeprefix("raw:"), ())
    writers: Mapping[str, Callable[[], Any]] = {
        "inputs": lambda: _written_slots(key, parts, table, inputs),
        "outputs": lambda: [dict(slot) for slot in _under(node, "output:").values()],
        "properties": lambda: _under(node, "property:"),
    }
    written = {name: write() for name, write in writers.items()}
    made.update({name: value for name, value in written.items() if value or name in present})
    if "widgets" in node:
        made["widgets_values"] = node["widgets"]
    elif named := _under(node, "named:"):
        made["widgets_values"] = named
    return made
