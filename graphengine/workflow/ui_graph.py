"""The editor's graph as conversion walks it: nodes and links by id, and what each kind of node means."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from pydantic import JsonValue

from graphengine.errors import Problem
from graphengine.workflow.models import NodeId
from graphengine.workflow.ui_models import UiId, UiInput, UiLink, UiNode
from graphengine.workflow.widgets import InputLike

#: A link as a document may hold it.
RawLink = UiLink | list[JsonValue] | None

_SAVE = "save the workflow again in the editor"

MUTED, BYPASSED = 2, 4
_TITLE = 80  # letters of a title that are shown

_NOTES = frozenset({"Note", "MarkdownNote"})
_REROUTES = frozenset({"Reroute", "Reroute (rgthree)"})
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


#: Links inside a subgraph that come from its inputs have this origin, those to its outputs this target.
INPUTS_ID, OUTPUTS_ID = "-10", "-20"


@dataclass(frozen=True, slots=True)
class UiGraph:
    """Nodes and links of one graph by id, and where it opens to the graph around it.

    `setters` are the SetNodes by the name they set. `kind` and `name` say what the graph is: the inside of a
    "subgraph" or a "group node", both empty for the document itself. `inputs` are the names of its inputs,
    `taken` what each of them feeds, `outputs` the numbers of its outputs by name, `given` the link that ends at
    each of them. `widgets` are the inputs whose values its instances may keep, in the order of those values, and
    `shown` the first widget that each of them feeds, as the id of its node and its name.
    """

    nodes: Mapping[NodeId, UiNode]
    links: Mapping[str, UiLink]
    setters: Mapping[str, UiNode] = field(default_factory=dict)
    kind: str = ""
    name: str = ""
    inputs: tuple[str, ...] = ()
    taken: Mapping[str, Sequence[UiLink]] = field(default_factory=dict)
    outputs: Mapping[str, Sequence[int]] = field(default_factory=dict)
    given: Mapping[int, UiLink] = field(default_factory=dict)
    widgets: Mapping[str, InputLike] = field(default_factory=dict)
    shown: Mapping[str, tuple[NodeId, str]] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """Where its nodes are found, "inside subgraph 'Refine'"; empty for the document itself."""
        return f"inside {self.kind} {self.name!r}" if self.kind else ""

    def problem(self, code: str, node: UiNode, message: str, hint: str) -> Problem:
        """A problem of one of its nodes, whatever instance that is in."""
        return _problem(node, code, message, hint, self.place)


def build_ui_graph(
    nodes: Iterable[UiNode], rows: Iterable[RawLink], place: str = ""
) -> tuple[UiGraph, list[Problem]]:
    """Nodes and links by id, and a problem for each id that stands twice or link that cannot be read.

    `place` says where a node is found, "inside subgraph 'Refine'" for instance; empty for the document itself.
    """
    problems: list[Problem] = []
    by_id: dict[NodeId, UiNode] = {}
    for node in nodes:
        if node_id(node) in by_id:
            text, hint = "another node has the same id", "give one of them a new id in the editor"
            problems.append(_problem(node, "duplicate_node", text, hint, place))
        by_id[node_id(node)] = node
    links: dict[str, UiLink] = {}
    for raw in rows:
        link = read_link(raw) if isinstance(raw, list) else raw
        if link is not None:
            if str(link.id) in links:
                problems.append(_stray(f"another link has the id {link.id} as well; the last one counts", place))
            links[str(link.id)] = link
        elif raw is not None:
            problems.append(Problem("dangling_link", f"the link {raw!r:.80} cannot be read", severity="warning"))
    problems.extend(_strays(by_id, links.values(), place))
    return UiGraph(by_id, links, _setters(by_id, problems, place)), problems


def _strays(nodes: Mapping[NodeId, UiNode], links: Iterable[UiLink], place: str) -> Iterator[Problem]:
    """A problem for each link that ends at nothing; one that begins at nothing is told when it is followed."""
    for link in links:
        target = str(link.target_id)
        node = nodes.get(NodeId(target))
        if node is None and target != OUTPUTS_ID:
            yield _stray(f"link {link.id} ends at node {target}, which is absent; it is left out", place)
        elif node is not None and input_at(node.inputs, link.target_slot) is None:
            text = f"link {link.id} ends at its input {link.target_slot}, which is absent; it is left out"
            yield replace(_problem(node, "dangling_link", text, _SAVE, place), severity="warning")


def _stray(text: str, place: str) -> Problem:
    return Problem("dangling_link", f"{place}: {text}" if place else text, hint=_SAVE, severity="warning")


def node_id(node: UiNode) -> NodeId:
    """The id of the node within its graph, as API documents write it."""
    return NodeId(str(node.id))


def found_at(node: UiNode, place: str) -> str | None:
    """How the user finds a node of a graph that is not the document itself; None in the document itself."""
    return f"node {node.id} {(node.title or node.type)[:_TITLE]!r} {place}" if place else None


def runs(node: UiNode) -> bool:
    """Whether a node is neither muted nor bypassed."""
    return node.mode not in (MUTED, BYPASSED)


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


def first_value(node: UiNode) -> JsonValue:
    """The first widget value of a node, None without one."""
    values = node.widgets_values
    return values[0] if isinstance(values, list) and values else None


def input_at(inputs: Sequence[UiInput] | None, index: int) -> UiInput | None:
    """The input slot of that number, if there is one."""
    return inputs[index] if inputs is not None and 0 <= index < len(inputs) else None


def first_widgets(
    taken: Mapping[str, Sequence[UiLink]], nodes: Mapping[NodeId, UiNode]
) -> dict[str, tuple[NodeId, str]]:
    """The first widget that each input of a graph feeds, as the id of its node and its name."""
    found: dict[str, tuple[NodeId, str]] = {}
    for name, links in taken.items():
        for link in links:
            node = nodes.get(NodeId(str(link.target_id)))
            slot = input_at(node.inputs, link.target_slot) if node is not None else None
            if node is not None and slot is not None and slot.widget is not None:
                found[name] = (node_id(node), slot.widget.name)
                break
    return found


def read_link(row: Sequence[JsonValue]) -> UiLink | None:
    """The link in a row `[id, origin, slot, target, slot, type]`, None when it is no such row."""
    match row:
        case [int() | str() as id_, int() | str() as origin, int(slot), int() | str() as target, int(end), *rest]:
            if any(isinstance(each, bool) for each in row[:5]):
                return None
            return new_link(id_, origin, slot, target, end, rest[0] if rest else "*")
        case _:
            return None


def new_link(id_: UiId, origin: UiId, slot: int, target: UiId, end: int, type_: JsonValue = "*") -> UiLink:
    """A link of values that are known to be of the right types."""
    return UiLink.model_construct(
        id=id_, origin_id=origin, origin_slot=slot, target_id=target, target_slot=end, type=type_
    )


def _setters(nodes: Mapping[NodeId, UiNode], problems: list[Problem], place: str) -> dict[str, UiNode]:
    setters: dict[str, UiNode] = {}
    for node in nodes.values():
        name = first_value(node)
        if node.type != "SetNode" or not isinstance(name, str) or node.mode == MUTED:
            continue
        if name in setters:
            text = f"{name!r} is set by node {setters[name].id} as well"
            problems.append(_problem(node, "duplicate_setter", text, "rename one of the two", place))
        setters[name] = node
    return setters


def _problem(node: UiNode, code: str, message: str, hint: str, place: str) -> Problem:
    return Problem(
        code, message, node_id=node_id(node), class_type=node.type, hint=hint, origin=found_at(node, place)
    )
