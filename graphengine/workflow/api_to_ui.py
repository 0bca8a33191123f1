"""From what runs to a document that the editor opens (version 0.4), with places for the nodes.

* Slots and widgets come from the node definitions. A node of unknown type gets a slot for each link and a named
  widget slot for each value, which is enough to read the document back.
* A widget that the workflow has no value for (it is linked, or the workflow leaves it out) holds its default, as
  in the editor. "control after generate" is `fixed`, so that the editor queues what the workflow says.
* The editor numbers its nodes, so ids like "12:3" get new numbers, and the old ones stand in the properties of the
  nodes; the document has no place for values that are no widget's. Both are reported.
"""

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import JsonValue

from graphengine.errors import Problem
from graphengine.workflow.collector import collector_paused
from graphengine.workflow.layers import order_without_cycles
from graphengine.workflow.layout import layered_layout
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode
from graphengine.workflow.ui_sizes import TITLE_HEIGHT, node_size
from graphengine.workflow.widgets import DefinitionLike, default_value, is_widget, widgets_of_choice

_SEEDS = frozenset({"seed", "noise_seed"})
# Editors send the texts of some buttons and players along as if they were inputs.
_BUTTONS = frozenset({"upload", "choose file to upload", "audioUI", "video-preview", "is_changed"})
_LONGEST_ID = 15  # digits that every editor can hold without rounding
_MOST_OUTPUTS = 100  # a link may name any output; the slots before it are drawn as well
_MISSING = Link(NodeId(""), -1)  # stands for no input; no workflow holds it
_GAP = (80.0, 40.0)
_OLD_ID = "id before conversion"


class OutputLike(Protocol):
    """What drawing asks of an output's definition."""

    @property
    def name(self) -> str:
        """The label of the slot."""

    @property
    def type(self) -> str:
        """The socket type."""


class DrawnDefinition(DefinitionLike, Protocol):
    """What drawing asks of a node definition."""

    @property
    def outputs(self) -> Sequence[OutputLike]:
        """Outputs in the order of declaration."""


@dataclass(frozen=True, slots=True)
class UiConversion:
    """A document of the editor, the number each node got, and what was changed or left out on the way."""

    document: Mapping[str, JsonValue]
    ids: Mapping[NodeId, int]
    problems: tuple[Problem, ...] = ()


def workflow_to_ui(workflow: Workflow, definitions: Mapping[str, DrawnDefinition]) -> UiConversion:
    """The workflow as a new document of the editor; a document it was converted from is not looked at."""
    problems: list[Problem] = []
    ids = _numbers(workflow.nodes, problems)
    drawing = _Drawing(workflow, definitions, ids, problems)
    with collector_paused():
        for key, node in workflow.nodes.items():
            drawing.add(key, node)
        drawing.connect()
        drawing.place()
    document: dict[str, JsonValue] = {
        "last_node_id": max(ids.values(), default=0),
        "last_link_id": len(drawing.links),
        "nodes": list(drawing.nodes.values()),
        "links": list(drawing.links),
        "groups": [],
        "config": {},
        "extra": {},
        "version": 0.4,
    }
    return UiConversion(document, ids, tuple(problems))


def _numbers(keys: Collection[NodeId], problems: list[Problem]) -> dict[NodeId, int]:
    """A number for each node: its own, or the next above all others."""
    own = {key: int(key) for key in keys if _is_number(key)}
    following = max(own.values(), default=0) + 1
    others = [key for key in keys if key not in own]
    given = {key: following + index for index, key in enumerate(others)}
    if given:
        shown = [f"{key} is {number}" for key, number in given.items()]
        problems.append(
            Problem(
                "renumbered_node",
                f"the editor numbers its nodes, so {len(given)} got new ids: {_shortened(shown)}",
                hint=f"name the nodes by these ids from now on; the old one is the property {_OLD_ID!r} of each",
                severity="warning",
            )
        )
    return {key: own[key] if key in own else given[key] for key in keys}


def _is_number(key: str) -> bool:
    return key.isascii() and key.isdigit() and len(key) <= _LONGEST_ID and key == str(int(key)) and key != "0"


def _shortened(items: Sequence[str], most: int = 12) -> str:
    return ", ".join(items if len(items) <= most else [*items[:most], "…"])


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A node's input slots, its widget values, and the inputs whose values are among them."""

    slots: list[dict[str, JsonValue]]
    values: list[JsonValue]
    names: Collection[str]


@dataclass(slots=True)
class _Drawing:
    """The document as it grows: nodes by number, links as rows."""

    workflow: Workflow
    definitions: Mapping[str, DrawnDefinition]
    ids: Mapping[NodeId, int]
    problems: list[Problem]
    nodes: dict[NodeId, dict[str, JsonValue]] = field(default_factory=dict)
    links: list[JsonValue] = field(default_factory=list)
    _slots: dict[NodeId, list[dict[str, JsonValue]]] = field(default_factory=dict)
    _outputs: dict[NodeId, list[dict[str, JsonValue]]] = field(default_factory=dict)
    _readers: dict[tuple[NodeId, int], list[JsonValue]] = field(default_factory=dict)

    def add(self, key: NodeId, node: WorkflowNode) -> None:
        """Draw a node with its slots and widgets, links and place still missing."""
        definition = self.definitions.get(node.class_type)
        drawn = _unknown_node(node) if definition is None else _known_node(node, definition)
        self._report_left_out(key, node, drawn.names)
        self._slots[key] = drawn.slots
        self._outputs[key] = [_output(each.name, each.type) for each in definition.outputs] if definition else []
        self.nodes[key] = {
            "id": self.ids[key],
            "type": node.class_type,
            "pos": [0.0, 0.0],
            "size": [0.0, 0.0],
            "flags": {},
            "order": 0,
            "mode": 0,
            "inputs": list(drawn.slots),
            "outputs": [],
            **({"title": node.title} if node.title is not None else {}),
            "properties": {
                "Node name for S&R": node.class_type,
                **({_OLD_ID: key} if key != str(self.ids[key]) else {}),
            },
            "widgets_values": drawn.values,
        }

    def _report_left_out(self, key: NodeId, node: WorkflowNode, drawn: Collection[str]) -> None:
        for name, value in node.inputs.items():
            if isinstance(value, Link) or name in _BUTTONS or name in drawn:
                continue
            self.problems.append(
                Problem(
                    "undrawn_value",
                    f"the value of input {name!r} has no widget in the editor and is left out",
                    node_id=key,
                    class_type=node.class_type,
                    input_name=name,
                    hint="link the input to a node that gives the value, or keep the API document",
                    severity="warning",
                    origin=node.origin,
                )
            )

    def connect(self) -> None:
        """Draw the links."""
        for key, node in self.workflow.nodes.items():
            for index, slot in enumerate(self._slots[key]):
                link = node.inputs.get(str(slot["name"]))
                if not isinstance(link, Link):
                    continue
                output = self._output_of(link, slot["type"])
                if output is None:
                    self.problems.append(_dangling(key, node, str(slot["name"]), link))
                    continue
                number = len(self.links) + 1
                if slot["type"] == "*":
                    slot["type"] = output["type"]
                slot["link"] = number
                self._readers.setdefault((link.source, link.output), []).append(number)
                source, target = self.ids[link.source], self.ids[key]
                self.links.append([number, source, link.output, target, index, output["type"]])
        for (key, at), numbers in self._readers.items():
            self._outputs[key][at]["links"] = numbers
        for key, outputs in self._outputs.items():
            self.nodes[key]["outputs"] = list(outputs)

    def _output_of(self, link: Link, wanted: JsonValue) -> dict[str, JsonValue] | None:
        """The output slot that a link comes from; nodes get slots beyond their definition as links need them."""
        outputs = self._outputs.get(link.source)
        if outputs is None or not 0 <= link.output < _MOST_OUTPUTS:
            return None
        while link.output >= len(outputs):
            outputs.append(_output("", "*"))
        output = outputs[link.output]
        if not output["name"]:
            output.update(name=wanted, type=wanted)
        return output

    def place(self) -> None:
        """Give every node its size, its place and its rank."""
        keys = {number: key for key, number in self.ids.items()}
        sizes = {
            key: node_size(node, self._slots[key], self._outputs[key], self.definitions.get(str(node["type"])))
            for key, node in self.nodes.items()
        }
        rows = [row for row in self.links if isinstance(row, list)]
        pairs = [(keys[int(str(row[1]))], keys[int(str(row[3]))]) for row in rows]
        layout = layered_layout({key: (w, h + TITLE_HEIGHT) for key, (w, h) in sizes.items()}, pairs, gap=_GAP)
        indices = {key: index for index, key in enumerate(self.nodes)}
        readers: list[list[int]] = [[] for _ in self.nodes]
        for source, target in pairs:
            readers[indices[source]].append(indices[target])
        ranks = {number: rank for rank, number in enumerate(order_without_cycles(readers))}
        for key, node in self.nodes.items():
            left, top = layout.positions[key]
            node["pos"] = [round(left), round(top + TITLE_HEIGHT)]
            node["size"] = [round(sizes[key][0]), round(sizes[key][1])]
            node["order"] = ranks[indices[key]]


def _known_node(node: WorkflowNode, definition: DrawnDefinition) -> _Drawn:
    """Slots (sockets first, then linked widgets, then linked inputs that are not declared) and widget values."""
    sockets = [_slot(name, spec.type) for name, spec in definition.inputs.items() if not is_widget(spec)]
    waiting = deque((name, spec) for name, spec in definition.inputs.items() if is_widget(spec))
    values: list[JsonValue] = []
    converted: list[dict[str, JsonValue]] = []
    names: set[str] = set()
    while waiting:
        name, spec = waiting.popleft()
        names.add(name)
        value = node.inputs.get(name, _MISSING)
        if isinstance(value, Link):
            if value is not _MISSING:
                converted.append(_slot(name, spec.type, widget=True))
            value = default_value(spec)
        values.append(value)
        if spec.has_control:
            values.append("fixed")
        waiting.extendleft(reversed([(f"{name}.{inner}", each) for inner, each in widgets_of_choice(spec, value)]))
    others = [
        _slot(name, "*")
        for name, value in node.inputs.items()
        if isinstance(value, Link) and name not in definition.inputs and name not in names
    ]
    return _Drawn([*sockets, *converted, *others], values, names)


def _unknown_node(node: WorkflowNode) -> _Drawn:
    """A slot for each input; values in the order of their slots."""
    slots: list[dict[str, JsonValue]] = []
    values: list[JsonValue] = []
    for name, value in node.inputs.items():
        slots.append(_slot(name, _type_of(value), widget=not isinstance(value, Link)))
        if isinstance(value, Link):
            continue
        values.append(value)
        if name in _SEEDS:
            values.append("fixed")
    return _Drawn(slots, values, node.inputs.keys())


def _type_of(value: Link | JsonValue) -> str:
    match value:
        case bool():
            return "BOOLEAN"
        case int():
            return "INT"
        case float():
            return "FLOAT"
        case str():
            return "STRING"
        case _:
            return "*"


def _slot(name: str, type_: str, *, widget: bool = False) -> dict[str, JsonValue]:
    return {"name": name, "type": type_, "link": None, **({"widget": {"name": name}} if widget else {})}


def _output(name: str, type_: str) -> dict[str, JsonValue]:
    return {"name": name, "type": type_, "links": None}


def _dangling(key: NodeId, node: WorkflowNode, name: str, link: Link) -> Problem:
    return Problem(
        "dangling_link",
        f"input {name!r} is linked to output {link.output} of node {link.source}, which does not exist",
        node_id=key,
        class_type=node.class_type,
        input_name=name,
        hint="connect the input again in the editor",
        severity="warning",
        origin=node.origin,
    )
