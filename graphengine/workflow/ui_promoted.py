"""The widget values of nodes: their own, and those that instances of subgraphs keep for what is inside of them.

Editors have written promoted values in three ways:

* without `properties.proxyWidgets`: `widgets_values` of the instance in the order of those inputs of the subgraph
  that end in a widget, null where the widget inside has the say;
* with `proxyWidgets`, a list of `[node id, widget name]`, and no values: the widgets inside have the say;
* with `proxyWidgets` and values: one value for each entry, where the node id "-1" means the instance's own input
  of that name, and null that the widget inside has the say.

An input of the subgraph may feed several widgets; the first of them is the one the instance shows.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue

from graphengine.errors import Problem
from graphengine.workflow.models import NodeId
from graphengine.workflow.ui_graph import Role, first_value, role
from graphengine.workflow.ui_models import UiNode
from graphengine.workflow.ui_scopes import Place, Scope
from graphengine.workflow.ui_widgets import in_order, widget_values
from graphengine.workflow.widgets import DefinitionLike

_OWN = "-1"


@dataclass(slots=True)
class WidgetValues:
    """Values by node and input name; `opened` are the scopes of instances by id, each after those around it."""

    opened: Mapping[NodeId, Scope]
    definitions: Mapping[str, DefinitionLike]
    problems: list[Problem]
    # what instances say: of their own inputs, and of widgets inside
    _kept: dict[tuple[NodeId, str], JsonValue] = field(default_factory=dict)
    _own: dict[NodeId, dict[str, JsonValue]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for scope in self.opened.values():
            if scope.instance is not None:
                self._read(scope.instance, scope)

    def of(self, place: Place) -> dict[str, JsonValue]:
        """The widget values of a node that runs, with those that instances around it keep."""
        values = self._by_itself(place)
        kept = {name: value for name in values if (value := self._kept.get((place.id, name))) is not None}
        return {**values, **kept}

    def promoted(self, instance: Place, name: str) -> JsonValue:
        """The value that an instance gives to the input of that name; None when it has no widget."""
        while True:
            kept = self._kept.get((instance.id, name))
            scope = self.opened.get(instance.id)
            if kept is not None or scope is None:
                return kept
            node_id, slot_name = scope.graph.shown.get(name, (NodeId(""), ""))
            place = scope.node(node_id)
            if place is None:
                return None
            if role(place.node) is Role.VALUE:
                return first_value(place.node)
            if place.id not in self.opened:
                return self._one(place, slot_name)
            instance, name = place, slot_name

    def _one(self, place: Place, name: str) -> JsonValue:
        """One of the widget values of a node that runs."""
        values = self._by_itself(place)
        kept = self._kept.get((place.id, name)) if name in values else None
        return values.get(name) if kept is None else kept

    def _by_itself(self, place: Place) -> dict[str, JsonValue]:
        if place.id not in self._own:
            found: list[Problem] = []
            self._own[place.id] = widget_values(place.node, self.definitions.get(place.node.type), found)
            self.problems.extend(place.named(problem) for problem in found if place.runs)
        return self._own[place.id]

    def _read(self, instance: Place, scope: Scope) -> None:
        """Take down what an instance says; what it is told itself about widgets inside is handed on."""
        proxies = _proxies(instance.node)
        for node_id, name in proxies:
            if node_id != _OWN and (told := self._kept.get((instance.id, name))) is not None:
                self._kept[(NodeId(scope.prefix + node_id), name)] = told
        for (node_id, name), value in _values(instance.node, scope, proxies):
            place = instance.id if node_id == _OWN else NodeId(scope.prefix + node_id)
            if value is not None:
                self._kept.setdefault((place, name), value)


def _values(
    node: UiNode, scope: Scope, proxies: Sequence[tuple[str, str]]
) -> Iterator[tuple[tuple[str, str], JsonValue]]:
    """What an instance says, by node id inside ("-1" for the instance) and name."""
    values = node.widgets_values or []
    if isinstance(values, dict):
        yield from (((_OWN, name), value) for name, value in values.items())
    elif proxies:
        yield from zip(proxies, values, strict=False)
    else:
        found, _ = in_order(values, scope.graph.widgets)
        yield from (((_OWN, name), value) for name, value in found.items())


def _proxies(node: UiNode) -> list[tuple[str, str]]:
    match node.properties:
        case {"proxyWidgets": list(rows)}:
            return [(str(row[0]), str(row[1])) for row in rows if isinstance(row, list) and len(row) > 1]
        case _:
            return []
