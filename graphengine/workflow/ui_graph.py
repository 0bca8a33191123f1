"""The editor's graph as conversion walks it: nodes and links by id, and what each kind of node means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from pydantic import JsonValue

from graphengine.errors import Problem
from graphengine.workflow.models import NodeId
from graphengine.workflow.ui_models import UiDocument, UiInput, UiLink, UiNode

MUTED, BYPASSED = 2, 4

_NOTES = frozenset({"Note", "MarkdownNote"})
_REROUTES = frozenset({"Reroute", "Reroute (rgthree)"})
_EVERYWHERE = frozenset(
    {
        "Anything Everywhere",
        "Anything Everywhere?",
        "Anything Everywhere3",
        "Prompts Everywhere",
        "Seed Everywhere",
    }
)
# Switches and labels of the rgthree pack that live in the editor only.
_RGTHREE_EDITOR_NODES = frozenset(
    f"{name} (rgthree)"
    for name in (
        "Bookmark",
        "Fast Actions Button",
        "Fast Bypasser",
        "Fast Groups Bypasser",
        "Fast Groups Muter",
        "Fast Muter",
        "Label",
        "Mute / Bypass Relay",
        "Mute / Bypass Repeater",
        "Node Collector",
        "Random Unmuter",
    )
)


class Role(Enum):
    """What a node of the editor stands for in a run."""

    RUNS = "a node that runs"
    NOTE = "a note or switch of the editor; nothing runs"
    PASSES_ON = "gives its first input on"
    VALUE = "a value for the inputs it is linked to"
    GETS = "gives what the setter of the same name is given"


@dataclass(frozen=True, slots=True)
class UiGraph:
    """Nodes and links of one document, by id; `setters` are the SetNodes by the name they set."""

    nodes: Mapping[NodeId, UiNode]
    links: Mapping[str, UiLink]
    setters: Mapping[str, UiNode] = field(default_factory=dict)


def build_ui_graph(document: UiDocument) -> tuple[UiGraph, list[Problem]]:
    """Nodes and links by id, and a problem for each id that stands twice or link that cannot be read."""
    problems: list[Problem] = []
    nodes: dict[NodeId, UiNode] = {}
    for node in document.nodes:
        if node_id(node) in nodes:
            problems.append(
                _problem(
                    node,
                    "duplicate_node",
                    "another node has the same id",
                    "give one of them a new id in the editor",
                )
            )
        nodes[node_id(node)] = node
    links: dict[str, UiLink] = {}
    for raw in document.links or ():
        link = _link(raw) if isinstance(raw, list) else raw
        if link is not None:
            links[str(link.id)] = link
        elif raw is not None:
            problems.append(Problem("dangling_link", f"the link {raw!r:.80} cannot be read", severity="warning"))
    return UiGraph(nodes, links, _setters(nodes, problems)), problems


def node_id(node: UiNode) -> NodeId:
    """The id of the node, as API documents write it."""
    return NodeId(str(node.id))


def role(node: UiNode) -> Role:
    """What the node stands for."""
    match node.type:
        case "PrimitiveNode":
            return Role.VALUE
        case "GetNode":
            return Role.GETS
        case "SetNode":
            return Role.PASSES_ON
        case name if name in _REROUTES:
            return Role.PASSES_ON
        case name if name in _NOTES or name in _RGTHREE_EDITOR_NODES:
            return Role.NOTE
        case _:
            return Role.RUNS


def unsupported(node: UiNode, subgraphs: frozenset[str]) -> Problem | None:
    """The problem with a node that stands for something conversion does not know yet."""
    hint = "run the API document instead: in the editor, File > Export (API)"
    if node.type in subgraphs:
        return _problem(node, "unsupported_node", "is a subgraph, which cannot be converted yet", hint)
    if node.type.startswith(("workflow>", "workflow/")):
        return _problem(node, "unsupported_node", "is a group node, which cannot be converted yet", hint)
    if node.type in _EVERYWHERE:
        text = "makes links that the document does not show; it cannot be converted yet"
        return _problem(node, "unsupported_node", text, hint)
    return None


def first_value(node: UiNode) -> JsonValue:
    """The first widget value of a node, None without one."""
    values = node.widgets_values
    return values[0] if isinstance(values, list) and values else None


def input_at(inputs: Sequence[UiInput] | None, index: int) -> UiInput | None:
    """The input slot of that number, if there is one."""
    return inputs[index] if inputs is not None and 0 <= index < len(inputs) else None


def types_fit(given: JsonValue, wanted: JsonValue) -> bool:
    """Whether slots of these types may be linked, in the editor's terms: upper and lower case are one."""
    offered, taken = _members(given), _members(wanted)
    return "*" in offered or "*" in taken or not offered.isdisjoint(taken)


def _members(type_: JsonValue) -> frozenset[str]:
    if isinstance(type_, list):
        return frozenset({"combo"})  # old editors wrote the choices in place of the type
    if not isinstance(type_, str) or not type_:
        return frozenset({"*"})
    return frozenset(part.strip().lower() for part in type_.split(","))


def _link(row: list[JsonValue]) -> UiLink | None:
    match row:
        case [int() | str() as id_, int() | str() as origin, int(slot), int() | str() as target, int(end), *rest]:
            return UiLink.model_construct(
                id=id_,
                origin_id=origin,
                origin_slot=slot,
                target_id=target,
                target_slot=end,
                type=rest[0] if rest else "*",
            )
        case _:
            return None


def _setters(nodes: Mapping[NodeId, UiNode], problems: list[Problem]) -> dict[str, UiNode]:
    setters: dict[str, UiNode] = {}
    for node in nodes.values():
        name = first_value(node)
        if node.type != "SetNode" or not isinstance(name, str) or node.mode == MUTED:
            continue
        if name in setters:
            text = f"{name!r} is set by node {setters[name].id} as well"
            problems.append(_problem(node, "duplicate_setter", text, "rename one of the two"))
        setters[name] = node
    return setters


def _problem(node: UiNode, code: str, message: str, hint: str) -> Problem:
    return Problem(code, message, node_id=node_id(node), class_type=node.type, hint=hint)
