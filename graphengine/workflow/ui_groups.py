"""Group nodes, the forerunners of subgraphs: a node type "workflow>Name" that the document describes.

`extra.groupNodes` holds for each name the nodes inside, counted from 0 in place of ids, the links between them as
`[origin, slot, target, slot, …]`, which outputs are shown although they are linked inside (`external`), and what
the user renamed or hid (`config`). Nothing says how the group's own inputs are called; that follows from rules:

* each input inside that is not linked inside is an input of the group: widgets of a node first, then its
  slots, then widgets that were made slots, node by node;
* it keeps its name, its label or the name given by the user; where that is taken, it is prefixed by the title of
  its node; a primitive inside is an input "value", prefixed by its title when it has one;
* the group keeps a value for each of its widgets, with those for buttons and "control after generate";
* its outputs are those inside, in order, that are not linked inside, or are shown all the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pydantic import JsonValue, ValidationError

from graphengine.errors import Problem
from graphengine.workflow.models import NodeId
from graphengine.workflow.ui_graph import (
    INPUTS_ID,
    OUTPUTS_ID,
    Role,
    UiGraph,
    first_widgets,
    input_at,
    new_link,
    node_id,
    role,
)
from graphengine.workflow.ui_models import UiInput, UiLink, UiNode, UiWidgetRef
from graphengine.workflow.widgets import BUTTON, DefinitionLike, InputLike, PlainWidget, is_widget

_VALUE = "value"
_LONGEST = 200  # letters of a title that names of inputs begin with
_NO_CONFIG: Mapping[str, JsonValue] = {}


def group_graph(
    name: str, raw: JsonValue, definitions: Mapping[str, DefinitionLike], problems: list[Problem]
) -> UiGraph | None:
    """The graph of a group node, None when the document does not describe it in a readable way."""
    if not isinstance(raw, dict) or not isinstance(raw.get("nodes"), list):
        return None
    nodes = _nodes(raw["nodes"])
    if nodes is None:
        return None
    group = _Group(name[:80], nodes, _links(raw.get("links"), len(nodes)), definitions)
    group.config = _objects(raw.get("config"))
    group.shown = {(row[0], row[1]) for row in _rows(raw.get("external"), 2)}
    for node in nodes:
        group.open_inputs(node)
        group.open_outputs(node)
    if group.unknown:
        group.widgets.clear()
    graph = group.graph()
    problems.extend(_unnamed(graph, node) for node in group.unknown)
    return graph


@dataclass(slots=True)
class _Group:
    """The graph in the making: `slots` are the inputs of each node as they will be."""

    name: str
    nodes: Sequence[UiNode]
    links: list[UiLink]
    definitions: Mapping[str, DefinitionLike]
    config: Mapping[str, JsonValue] = field(default_factory=dict)
    shown: set[tuple[JsonValue, JsonValue]] = field(default_factory=set)
    unknown: list[UiNode] = field(default_factory=list)
    widgets: dict[str, InputLike] = field(default_factory=dict)
    slots: dict[NodeId, list[UiInput]] = field(default_factory=dict)
    taken: dict[str, list[UiLink]] = field(default_factory=dict)
    given: dict[int, UiLink] = field(default_factory=dict)
    _seen: dict[str, int] = field(default_factory=dict)
    _at: dict[NodeId, dict[str, int]] = field(default_factory=dict)
    _into: dict[tuple[str, int], UiLink] = field(default_factory=dict)
    _out_of: dict[tuple[str, int], UiLink] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._into = {(str(link.target_id), link.target_slot): link for link in self.links}
        for link in reversed(self.links):
            self._out_of[(str(link.origin_id), link.origin_slot)] = link

    def open_inputs(self, node: UiNode) -> None:
        """Link the inputs of a node to what is inside, and the others to inputs of the group."""
        key = node_id(node)
        self.slots[key] = [_linked(slot, self._into.get((key, at))) for at, slot in enumerate(node.inputs or ())]
        self._at[key] = {slot.name: at for at, slot in reversed(list(enumerate(self.slots[key])))}
        for name, widget in self._open(node):
            if widget is not None and widget.type == BUTTON:
                self.widgets[f"\0{len(self.widgets)}"] = widget  # a place among the values, and no input
                continue
            outer = self._claim(node, name)
            if widget is not None:
                self.widgets[outer] = widget
            self._feed(key, name, outer, is_widget=widget is not None)

    def open_outputs(self, node: UiNode) -> None:
        """Give the outputs of a node to the group, unless they are linked inside and not shown."""
        key = node_id(node)
        if role(node) not in (Role.RUNS, Role.PASSES_ON):
            return
        chosen = _objects(_objects(self.config.get(key)).get("output"))
        for at in range(len(node.outputs or ())):
            is_shown = (key, at) not in self._out_of or (node.id, at) in self.shown
            if _objects(chosen.get(str(at))).get("visible", is_shown):
                number = len(self.given)
                self.given[number] = new_link(f"out{number}", key, at, OUTPUTS_ID, number)

    def graph(self) -> UiGraph:
        """What has been put together."""
        nodes = {
            node_id(node): node.model_copy(update={"inputs": self.slots[node_id(node)]}) for node in self.nodes
        }
        links = [*self.links, *(link for each in self.taken.values() for link in each)]
        return UiGraph(
            nodes=nodes,
            links={str(link.id): link for link in links},
            kind="group node",
            name=self.name,
            inputs=tuple(self.taken),
            taken=self.taken,
            given=self.given,
            widgets=self.widgets,
            shown=first_widgets(self.taken, nodes),
        )

    def _open(self, node: UiNode) -> Iterator[tuple[str, InputLike | None]]:
        """The inputs of a node that are not linked inside, with their widgets, in the order they are named."""
        key, definition = node_id(node), self.definitions.get(node.type)
        match role(node):
            case Role.VALUE:
                if (link := self._out_of.get((key, 0))) is not None:
                    yield _VALUE, self._primitive(link)
            case Role.PASSES_ON:
                if self.slots[key] and (key, 0) not in self._into:
                    yield self.slots[key][0].name, None
            case Role.RUNS if definition is not None:
                yield from self._open_by_definition(key, definition)
            case Role.RUNS:
                if node.widgets_values:
                    self.unknown.append(node)
                yield from ((slot.name, None) for slot in self.slots[key] if slot.link is None)
            case _:
                return

    def _open_by_definition(
        self, key: NodeId, definition: DefinitionLike
    ) -> Iterator[tuple[str, InputLike | None]]:
        linked = {slot.name for slot in self.slots[key] if slot.link is not None}
        made_slots = [slot.name for slot in self.slots[key] if slot.widget is not None]
        widgets = {name: spec for name, spec in definition.inputs.items() if is_widget(spec)}
        yield from ((name, spec) for name, spec in widgets.items() if name not in made_slots)
        if any(name.endswith("_upload") and on for spec in widgets.values() for name, on in spec.options.items()):
            yield "", PlainWidget(BUTTON)
        for name in definition.inputs:
            if name not in widgets and name not in linked:
                yield name, None
        yield from ((name, widgets[name]) for name in made_slots if name in widgets and name not in linked)

    def _primitive(self, link: UiLink) -> InputLike:
        """The widget of a primitive: that of the input it is linked to."""
        target = self.nodes[int(str(link.target_id))]
        slots, definition = (
            self.slots.get(node_id(target)) or target.inputs or [],
            self.definitions.get(target.type),
        )
        name = slots[link.target_slot].name if link.target_slot < len(slots) else ""
        spec = definition.inputs.get(name) if definition is not None else None
        type_ = spec.type if spec is not None else str(link.type)
        return PlainWidget(type_, has_control=type_ in ("INT", "COMBO"))

    def _claim(self, node: UiNode, name: str) -> str:
        """The name of the group's input for an input inside."""
        given = _objects(_objects(_objects(self.config.get(node_id(node))).get("input")).get(name)).get("name")
        slot = input_at(self.slots[node_id(node)], self._at[node_id(node)].get(name, -1))
        label = (slot.model_extra or {}).get("label") if slot is not None else None
        outer = key = str(given or label or name)
        if outer in self._seen or (role(node) is Role.VALUE and node.title):
            prefix = f"{(node.title or node.type)[:_LONGEST]} "
            outer = key = prefix + name
            if outer in self._seen:
                outer = f"{prefix}{self._seen[outer]} {name}"
        self._seen[key] = self._seen.get(key, 1) + 1
        return outer

    def _feed(self, key: NodeId, name: str, outer: str, *, is_widget: bool) -> None:
        """Link an input inside to the group's input of that name."""
        slots = self.slots[key]
        at = self._at[key].get(name, len(slots))
        others = self.taken.setdefault(outer, [])
        number = others[0].origin_slot if others else len(self.taken) - 1
        link = new_link(f"in{key}.{at}", INPUTS_ID, number, key, at)
        fed = slots[at] if at < len(slots) else UiInput.model_construct(name=name)
        ref = UiWidgetRef.model_construct(name=name) if is_widget else fed.widget
        slots[at : at + 1] = [fed.model_copy(update={"link": link.id, "widget": ref})]
        self._at[key][name] = at
        others.append(link)


def _linked(slot: UiInput, link: UiLink | None) -> UiInput:
    """The slot with this link in place of what it was saved with."""
    id_ = link.id if link is not None else None
    return slot if slot.link == id_ else slot.model_copy(update={"link": id_})


def _nodes(raw: JsonValue) -> list[UiNode] | None:
    """The nodes inside, with their numbers as ids."""
    try:
        rows = raw if isinstance(raw, list) else []
        return [UiNode.model_validate({**_objects(row), "id": index}) for index, row in enumerate(rows)]
    except ValidationError:
        return None


def _links(raw: JsonValue, count: int) -> list[UiLink]:
    """The links inside; those that lead out of the group have no number at one end."""
    links: list[UiLink] = []
    for row in _rows(raw, 4):
        match row:
            case [int(origin), int(slot), int(target), int(end), *rest] if 0 <= origin < count > target >= 0:
                type_ = rest[1] if len(rest) > 1 else "*"
                links.append(new_link(f"g{len(links)}", origin, slot, target, end, type_))
            case _:
                continue
    return links


def _rows(raw: JsonValue, least: int) -> Iterator[list[JsonValue]]:
    for row in raw if isinstance(raw, list) else ():
        if isinstance(row, list) and len(row) >= least and all(type(each) is int for each in row[:least]):
            yield row


def _objects(raw: JsonValue) -> Mapping[str, JsonValue]:
    return raw if isinstance(raw, dict) else _NO_CONFIG


def _unnamed(graph: UiGraph, node: UiNode) -> Problem:
    text = (
        f"the node type {node.type!r} is not known, so the values that its group node keeps have no names; nodes "
        "inside get the values they had when they were grouped"
    )
    hint = "install the node pack that defines it, or run the API document (in the editor, File > Export (API))"
    return replace(graph.problem("unnamed_widgets", node, text, hint), severity="warning")
