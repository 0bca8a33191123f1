"""Workflows as difference sees them: graphs of nodes whose inputs have names, from either kind of document."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from pydantic import JsonValue

from graphengine.workflow.models import Link, NodeId, Workflow
from graphengine.workflow.ui_graph import (
    BYPASSED,
    INPUTS_ID,
    MUTED,
    OUTPUTS_ID,
    UiGraph,
    build_ui_graph,
    input_at,
    node_id,
    read_link,
    runs,
)
from graphengine.workflow.ui_models import UiDocument, UiInput, UiLink, UiNode, UiSubgraph
from graphengine.workflow.ui_widgets import widget_values
from graphengine.workflow.widgets import DefinitionLike

_STATES = {MUTED: "muted", BYPASSED: "bypassed"}
_PLACES = ("pos", "size", "color", "bgcolor", "shape", "flags")
_MOST_HOPS = 10_000

#: The inputs of a subgraph and its outputs stand as nodes among those inside.
BOUNDARY: Mapping[str, str] = {INPUTS_ID: "inputs of the subgraph", OUTPUTS_ID: "outputs of the subgraph"}


@dataclass(frozen=True, slots=True)
class Source:
    """Where a link begins: a node of the same graph, and the number of its output, or its name at the boundary."""

    node: str
    output: int | str


#: What an input is given: a link, or a literal.
Given: TypeAlias = Source | JsonValue


@dataclass(frozen=True, slots=True)
class SheetNode:
    """A node; `state` is "runs", "muted" or "bypassed". `place` is how it is drawn, which does not count."""

    id: str
    type: str
    inputs: Mapping[str, Given]
    title: str | None = None
    state: str = "runs"
    # Any: as the document has it
    place: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Sheet:
    """One graph: the document itself (key ""), a subgraph or a group node; `decoration` is what is only drawn."""

    key: str
    name: str
    kind: str
    nodes: Mapping[str, SheetNode]
    # Any: as the document has it
    decoration: Any = field(default=None, compare=False)


def sheets_of_ui(document: UiDocument, definitions: Mapping[str, DefinitionLike]) -> dict[str, Sheet]:
    """The graphs of a document of the editor by key; reroutes count as links."""
    raw = document.to_json()
    graph, _ = build_ui_graph(document.nodes, document.links or ())
    found = {"": Sheet("", "", "", _nodes(graph, definitions), _decoration(raw))}
    subgraphs = (document.definitions.subgraphs or ()) if document.definitions is not None else ()
    for subgraph in subgraphs:
        found[str(subgraph.id)] = _subgraph(subgraph, definitions)
    match document.extra:
        case {"groupNodes": dict(groups)}:
            for name, group in groups.items():
                if isinstance(group, dict):
                    found[f"workflow>{name}"] = _group(name, group, definitions)
    return found


def sheets_of_workflow(workflow: Workflow) -> dict[str, Sheet]:
    """The one graph of what runs."""
    nodes = {
        str(key): SheetNode(
            str(key),
            node.class_type,
            {name: _given(value) for name, value in node.inputs.items()},
            node.title,
        )
        for key, node in workflow.nodes.items()
    }
    return {"": Sheet("", "", "", nodes)}


def only_declared(sheets: Mapping[str, Sheet], definitions: Mapping[str, DefinitionLike]) -> dict[str, Sheet]:
    """The graphs with only those inputs that definitions know: documents of runs hold more."""

    def trimmed(node: SheetNode) -> SheetNode:
        definition = definitions.get(node.type)
        if definition is None or not definition.inputs:
            return node
        known = {name: value for name, value in node.inputs.items() if name.partition(".")[0] in definition.inputs}
        return replace(node, inputs=known)

    return {
        key: replace(sheet, nodes={id_: trimmed(node) for id_, node in sheet.nodes.items()})
        for key, sheet in sheets.items()
    }


def with_unnamed_values(
    workflow: Workflow, sheets: Mapping[str, Sheet], definitions: Mapping[str, DefinitionLike]
) -> Workflow:
    """The workflow with the values of nodes whose types are not known, which conversion leaves out, by number."""
    unnamed: dict[tuple[str, str], dict[str, JsonValue]] = {}
    for sheet in sheets.values():
        for node in sheet.nodes.values():
            if node.type not in definitions:
                values = {
                    f"{sheet.key}/{name}": given
                    for name, given in node.inputs.items()
                    if name.startswith("widget ")
                }
                unnamed.setdefault((node.id, node.type), {}).update(values)  # type: ignore[arg-type]  # no links
    nodes = dict(workflow.nodes)
    for key, each in workflow.nodes.items():
        added = unnamed.get((str(key).rpartition(":")[2], each.class_type))
        if added:
            nodes[key] = replace(each, inputs={**each.inputs, **added})
    return replace(workflow, nodes=nodes)


def _given(value: Link | JsonValue) -> Given:
    return Source(str(value.source), value.output) if isinstance(value, Link) else value


def _decoration(raw: Mapping[str, Any]) -> Any:
    extra = raw.get("extra")
    return [raw.get("groups") or [], raw.get("reroutes") or (extra or {}).get("reroutes") or []]


def _nodes(
    graph: UiGraph, definitions: Mapping[str, DefinitionLike], names: tuple[str, ...] = ()
) -> dict[str, SheetNode]:
    reroutes = {key for key, node in graph.nodes.items() if node.type == "Reroute" and runs(node)}
    found: dict[str, SheetNode] = {}
    for key, node in graph.nodes.items():
        if key in reroutes:
            continue
        found[key] = SheetNode(
            key,
            node.type,
            _inputs(node, graph, definitions, reroutes, names),
            node.title,
            _STATES.get(node.mode or 0, "runs"),
            {each: value for each, value in (node.model_extra or {}).items() if each in _PLACES},
        )
    return found


def _inputs(
    node: UiNode,
    graph: UiGraph,
    definitions: Mapping[str, DefinitionLike],
    reroutes: set[NodeId],
    names: tuple[str, ...],
) -> dict[str, Given]:
    """Widget values, and over them the links; an input that is linked has no value of its own."""
    inputs: dict[str, Given] = {**values_of(node, definitions.get(node.type))}
    for slot in node.inputs or ():
        link = graph.links.get(str(slot.link)) if slot.link is not None else None
        source = _source(link, graph, reroutes, names) if link is not None else None
        if source is not None:
            inputs[slot.name] = source
    return inputs


def values_of(node: UiNode, definition: DefinitionLike | None) -> dict[str, JsonValue]:
    """The widget values of a node by name, or as "widget 1", "widget 2" where nothing names them."""
    values = node.widgets_values
    promoted = _promoted(node)
    if isinstance(values, list) and promoted:
        return {
            name if promoted.index(name) == at else f"{name} ({at + 1})": value
            for at, (name, value) in enumerate(zip(promoted, values, strict=False))
        }
    named = widget_values(node, definition, [])
    if definition is not None or named or not isinstance(values, list):
        return named
    return {f"widget {number}": value for number, value in enumerate(values, 1)}


def names_of_values(node: UiNode, definition: DefinitionLike | None) -> dict[int, str]:
    """The names of the values in a node's list, by their places."""
    names: dict[int, str] = {}
    values = node.widgets_values if isinstance(node.widgets_values, list) else []
    at = 0
    for name, value in values_of(node, definition).items() if values else ():
        while at < len(values) and values[at] is not value:
            at += 1
        names[at] = name
        at += 1
    return names


def _promoted(node: UiNode) -> list[str]:
    """The names of widgets inside that an instance of a subgraph shows; the ids with them may be renumbered."""
    match node.properties:
        case {"proxyWidgets": list(rows)}:
            return [str(row[1]) for row in rows if isinstance(row, list) and len(row) > 1]
        case _:
            return []


def _source(link: UiLink, graph: UiGraph, reroutes: set[NodeId], names: tuple[str, ...]) -> Source | None:
    """Where a link begins, past reroutes; None when that is nowhere."""
    for _ in range(_MOST_HOPS):
        origin = str(link.origin_id)
        if origin == INPUTS_ID and names:
            return Source(origin, names[link.origin_slot] if 0 <= link.origin_slot < len(names) else "?")
        if origin not in reroutes:
            return Source(origin, link.origin_slot)
        before = input_at(graph.nodes[NodeId(origin)].inputs, 0)
        following = graph.links.get(str(before.link)) if before is not None and before.link is not None else None
        if following is None:
            return None
        link = following
    return None


def _subgraph(subgraph: UiSubgraph, definitions: Mapping[str, DefinitionLike]) -> Sheet:
    graph, _ = build_ui_graph(subgraph.nodes or (), subgraph.links or ())
    names = tuple(slot.name for slot in subgraph.inputs or ())
    nodes = _nodes(graph, definitions, names)
    reroutes = {key for key, node in graph.nodes.items() if node.type == "Reroute" and runs(node)}
    given = {link.target_slot: link for link in graph.links.values() if str(link.target_id) == OUTPUTS_ID}
    ends: dict[str, Given] = {
        slot.name: _source(given[at], graph, reroutes, names) if at in given else None
        for at, slot in enumerate(subgraph.outputs or ())
    }
    begins: dict[str, Given] = {slot.name: str(slot.type) for slot in subgraph.inputs or ()}
    nodes[INPUTS_ID] = SheetNode(INPUTS_ID, BOUNDARY[INPUTS_ID], begins)
    nodes[OUTPUTS_ID] = SheetNode(OUTPUTS_ID, BOUNDARY[OUTPUTS_ID], ends)
    decoration = [subgraph.groups or [], (subgraph.model_extra or {}).get("reroutes") or []]
    return Sheet(str(subgraph.id), subgraph.name or str(subgraph.id), "subgraph", nodes, decoration)


def _group(name: str, group: Mapping[str, Any], definitions: Mapping[str, DefinitionLike]) -> Sheet:
    """The inside of a group node, whose nodes are numbered from 0."""
    nodes: list[UiNode] = []
    for number, raw in enumerate(_list(group.get("nodes"))):
        if isinstance(raw, dict) and isinstance(raw.get("type"), str):
            nodes.append(
                UiNode.model_construct(
                    id=number,
                    type=raw["type"],
                    mode=raw.get("mode") if isinstance(raw.get("mode"), int) else 0,
                    inputs=list(_slots(raw.get("inputs"))),
                    widgets_values=values
                    if isinstance(values := raw.get("widgets_values"), list | dict)
                    else None,
                    title=raw.get("title") if isinstance(raw.get("title"), str) else None,
                )
            )
    links: list[list[JsonValue]] = []
    by_id = {node_id(node): node for node in nodes}
    for number, row in enumerate(_list(group.get("links"))):
        link = read_link([number, *row[:4]]) if isinstance(row, list) and len(row) >= 4 else None
        target = by_id.get(NodeId(str(link.target_id))) if link is not None else None
        if link is not None and target is not None and input_at(target.inputs, link.target_slot) is not None:
            slots = list(target.inputs or ())
            slots[link.target_slot] = slots[link.target_slot].model_copy(update={"link": number})
            by_id[node_id(target)] = target.model_copy(update={"inputs": slots})
            links.append([number, *row[:4]])
    graph, _ = build_ui_graph(by_id.values(), links)
    return Sheet(f"workflow>{name}", name, "group node", _nodes(graph, definitions))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _slots(raw: Any) -> Iterator[UiInput]:
    slots: Iterable[Any] = _list(raw)
    for slot in slots:
        if isinstance(slot, dict) and isinstance(slot.get("name"), str):
            yield UiInput.model_construct(name=slot["name"], type=slot.get("type", "*"))
