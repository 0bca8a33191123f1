"""Links that no document shows: what "Anything Everywhere" nodes (pack cg-use-everywhere) send to open inputs.

The pack lists these links in `extra.ue_links`, which then counts, or among the links of a document that travels in
a picture, without telling their targets. Otherwise they follow from its rules: what is linked into such a node is
sent to every input of the same graph that has the same type, no link and no widget (or one that the user opened).
Where several could send, the one of the highest priority does, and of two that are equal none.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from pydantic import JsonValue

from graphengine.errors import Problem
from graphengine.workflow.models import NodeId
from graphengine.workflow.ui_broadcasts import HINT, SENDERS, Broadcast, broadcasts_of
from graphengine.workflow.ui_graph import OUTPUTS_ID, Role, UiGraph, input_at, new_link, node_id, role, runs
from graphengine.workflow.ui_live_links import LiveLinks
from graphengine.workflow.ui_models import UiDocument, UiInput, UiNode
from graphengine.workflow.ui_patterns import Effort

_MOST = 200  # senders in one graph; each open input is compared with each


def with_broadcasts(
    graph: UiGraph, extra: JsonValue, problems: list[Problem], *, widgets_are_slots: bool = True
) -> UiGraph:
    """The graph with the links that senders in it make.

    `extra` is what the document keeps beside the graph. `widgets_are_slots` says that every widget has a slot, as
    editors since 1.16 write; before, a slot with a widget was opened by the user.
    """
    match extra:
        case {"ue_links": [_, *_] as rows}:
            return _with_links(graph, _listed(rows))
    senders = [node for node in graph.nodes.values() if node.type in SENDERS and runs(node)]
    if not senders:
        return graph
    live = LiveLinks(graph)
    broadcasts = [sent for node in senders for sent in broadcasts_of(node, graph, live, problems)]
    if len(broadcasts) > _MOST:
        text = f"{len(broadcasts)} inputs are sent everywhere, at most {_MOST} are converted"
        problems.append(Problem("unsupported_node", text, hint=HINT))
        return graph
    graph = _with_links(graph, _untold(graph, {sent.origin for sent in broadcasts}))
    return _with_links(graph, _made(graph, broadcasts, problems, widgets_are_slots=widgets_are_slots))


def widgets_are_slots(document: UiDocument) -> bool:
    """Whether the editor that wrote a document, 1.16 or later, gave every widget a slot."""
    match document.extra:
        case {"frontendVersion": str(version)}:
            parts = [int(part) for part in version.split(".")[:2] if part.isdecimal()]
            return parts >= [1, 16]
        case _:
            return False


# A link to make: the input (node and number) it ends at, and the output it comes from.
_NewLink = tuple[NodeId, int, NodeId, int]


def _listed(rows: Sequence[JsonValue]) -> Iterator[_NewLink]:
    """The links that the document lists."""
    for row in rows:
        match row:
            case {
                "downstream": int() | str() as target,
                "downstream_slot": int(end),
                "upstream": int() | str() as origin,
                "upstream_slot": int(slot),
            }:
                yield NodeId(str(target)), end, NodeId(str(origin)), slot
            case _:
                continue


def _untold(graph: UiGraph, origins: Collection[tuple[NodeId, int]]) -> Iterator[_NewLink]:
    """Links from what is sent to inputs that know of no link."""
    for link in graph.links.values():
        origin, target = (NodeId(str(link.origin_id)), link.origin_slot), NodeId(str(link.target_id))
        node = graph.nodes.get(target)
        slot = input_at(node.inputs, link.target_slot) if node is not None else None
        if slot is not None and slot.link is None and origin in origins:
            yield target, link.target_slot, *origin


def _made(
    graph: UiGraph, broadcasts: Sequence[Broadcast], problems: list[Problem], *, widgets_are_slots: bool
) -> Iterator[_NewLink]:
    """The links that follow from the rules."""
    by_type: dict[str, list[Broadcast]] = {}
    for sent in sorted(broadcasts, key=lambda each: -each.priority):
        by_type.setdefault(sent.type, []).append(sent)
    live, effort = LiveLinks(graph), Effort()
    for node in graph.nodes.values():
        if not runs(node) or role(node) is not Role.RUNS or node.type in SENDERS:
            continue
        for at, slot in enumerate(node.inputs or ()):
            if live.is_linked(slot) or not _is_open(node, slot, widgets_are_slots=widgets_are_slots):
                continue
            able = _able(by_type.get(str(slot.type), ()), node, slot, effort)
            if effort.left < 0:
                text = "is sent by so many nodes and patterns that from here on nothing is sent to inputs"
                problems.append(graph.problem("unsupported_node", node, f"input {slot.name!r} {text}", HINT))
                return
            if len(able) > 1:
                problems.append(_ambiguous(graph, node, slot, able))
            elif able:
                yield node_id(node), at, *able[0].origin


def _able(sent: Sequence[Broadcast], node: UiNode, slot: UiInput, effort: Effort) -> list[Broadcast]:
    """The first that may be sent to an input, and one more of equal priority if there is one."""
    found: list[Broadcast] = []
    for each in sent:
        if found and (len(found) > 1 or each.priority != found[0].priority):
            break
        if each.reaches(node, slot, effort):
            found.append(each)
    return found


def _is_open(node: UiNode, slot: UiInput, *, widgets_are_slots: bool) -> bool:
    """Whether senders may feed an input that has no link."""
    properties = node.properties if isinstance(node.properties, dict) else {}
    rules = properties.get("ue_properties")
    places = [rules, properties] if isinstance(rules, dict) else [properties]
    if properties.get("rejects_ue_links") or _marked(places, "input_ue_unconnectable", slot.name):
        return False
    return slot.widget is None or not widgets_are_slots or _marked(places, "widget_ue_connectable", slot.name)


def _marked(places: Sequence[Mapping[str, JsonValue]], key: str, name: str) -> bool:
    """Whether a list of names, in the first of the places that has it, marks this one."""
    names = next((place[key] for place in places if key in place), None)
    return isinstance(names, dict) and bool(names.get(name))


def _with_links(graph: UiGraph, made: Iterator[_NewLink]) -> UiGraph:
    """The graph with further links to inputs that are open."""
    links, given, live = dict(graph.links), dict(graph.given), LiveLinks(graph)
    fed: dict[NodeId, dict[int, UiInput]] = {}
    for target, end, origin, slot in made:
        link = new_link(f"everywhere {len(links)}", origin, slot, target, end)
        node = graph.nodes.get(target)
        at = input_at(node.inputs, end) if node is not None else None
        if target == OUTPUTS_ID:
            given.setdefault(end, link)
        elif at is not None:
            if end in fed.get(target, ()) or live.is_linked(at):
                continue
            fed.setdefault(target, {})[end] = at.model_copy(update={"link": link.id})
        links[str(link.id)] = link
    nodes = dict(graph.nodes)
    for target, slots in fed.items():
        inputs = [slots.get(number, slot) for number, slot in enumerate(nodes[target].inputs or ())]
        nodes[target] = nodes[target].model_copy(update={"inputs": inputs})
    return replace(graph, nodes=nodes, links=links, given=given)


def _ambiguous(graph: UiGraph, node: UiNode, slot: UiInput, able: Sequence[Broadcast]) -> Problem:
    first, second = able[0].sender.id, able[1].sender.id
    text = f"input {slot.name!r}: nodes {first} and {second} both send it everywhere; it is left open"
    hint = "link the input, or restrict one of the two"
    return replace(graph.problem("ambiguous_link", node, text, hint), input_name=slot.name, severity="warning")
