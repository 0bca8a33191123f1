"""The nodes a run knows: those of its plan, and those that come while it goes on."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphengine.errors import GraphEngineError
from graphengine.execution.dynamic_prompt import DynamicPrompt
from graphengine.execution.events import Expanded
from graphengine.execution.expansion import DependencyCycleError, NodeNotFoundError, as_node
from graphengine.execution.keys import NodeKeys
from graphengine.execution.steps import Order, Step
from graphengine.graph.plan import Plan
from graphengine.node.definition import NodeDefinition
from graphengine.node.dynamic import live_inputs
from graphengine.workflow.models import Link, NodeId, WorkflowNode


@dataclass(slots=True)
class KnownNodes:
    """Nodes with their definitions and keys. `define` gives the definition of a class, None when there is none."""

    plan: Plan
    keys: NodeKeys
    prompt: DynamicPrompt
    define: Callable[[str], NodeDefinition | None]
    nodes: dict[NodeId, WorkflowNode] = field(default_factory=dict)
    definitions: dict[NodeId, NodeDefinition] = field(default_factory=dict)
    places: dict[NodeId, Expanded] = field(default_factory=dict)
    _orders: dict[NodeId, Order] = field(default_factory=dict)

    def __contains__(self, node_id: object) -> bool:
        """Whether the run or its document has such a node."""
        return node_id in self.nodes or node_id in self.plan.graph.workflow.nodes

    def take_plan(self) -> None:
        """Compute the keys of the plan's nodes."""
        graph = self.plan.graph
        self.nodes.update(graph.nodes)
        self.definitions.update(graph.definitions)
        for index, node_id in enumerate(self.plan.steps):
            self.keys.add(node_id, self.nodes[node_id], self.definitions[node_id])
            self._orders[node_id] = (index, 0, 0)

    def order_of(self, node_id: NodeId) -> Order:
        """The place of a node among all that are known."""
        return self._orders[node_id]

    def sources(self, node_id: NodeId) -> set[NodeId]:
        """The nodes that a node reads."""
        return {value.source for value in self.nodes[node_id].inputs.values() if type(value) is Link}

    def step(self, node_id: NodeId) -> Step:
        """A step for a node."""
        node, definition = self.nodes[node_id], self.definitions[node_id]
        lazy = _lazy_links(node, definition) if definition.has_lazy else {}
        sources = {value.source for name, value in node.inputs.items() if type(value) is Link and name not in lazy}
        if lazy:  # what it reads anyway need not be asked for
            lazy = {name: link for name, link in lazy.items() if link.source not in sources}
        recipes = {source for source in sources if self.definitions[source].is_recipe}
        return Step(
            node_id,
            node,
            definition,
            self.keys.of[node_id],
            self._orders[node_id],
            sources - recipes if recipes else sources,
            recipes,
            lazy,
            self.places.get(node_id),
        )

    def add_expansion(
        self, step: Step, added: Mapping[NodeId, Mapping[str, Any]], results: set[NodeId]
    ) -> list[NodeId]:
        """Take the nodes that a step puts in its place; gives the nodes whose keys are new.

        Raises:
            GraphEngineError: a class is unknown.
            NodeNotFoundError: a link leads to no node.
            DependencyCycleError: nodes read each other.
        """
        parent = step.expanded or Expanded(step.node_id, step.node_id, step.node_id)
        before = len(self._orders)
        for index, (node_id, raw) in enumerate(added.items()):
            node = as_node(raw)
            self.nodes[node_id] = node
            self.definitions[node_id] = self._definition(node.class_type)
            display = NodeId(str(raw.get("override_display_id") or parent.display))
            if display in self.places:  # a copy of a node that stands for another itself
                display = self.places[display].display
            self.places[node_id] = place = Expanded(step.node_id, display, parent.real)
            self.prompt.add(node_id, raw, place)
            near = node_id in results or self.definitions[node_id].is_output
            self._orders[node_id] = (step.order[0], 1 if near else 2, before + index)
        return self._compute_keys(added)

    def _definition(self, class_type: str) -> NodeDefinition:
        definition = self.define(class_type)
        if definition is None:
            raise GraphEngineError(
                f"it expands to a node of the type {class_type!r}, which is unknown",
                hint="install the node pack that defines it into custom_nodes",
            )
        return definition

    def _compute_keys(self, roots: Iterable[NodeId]) -> list[NodeId]:
        """Compute the keys of these nodes and of what they read, each after its sources."""
        new: list[NodeId] = []
        on_path: dict[NodeId, None] = {}
        stack = [(root, self._unkeyed_sources(root)) for root in reversed(list(roots))]
        while stack:
            node_id, sources = stack[-1]
            on_path[node_id] = None
            source = next(sources, None) if node_id not in self.keys.of else None
            if source is None:
                stack.pop()
                del on_path[node_id]
                if node_id not in self.keys.of:
                    self.keys.add(node_id, self.nodes[node_id], self.definitions[node_id])
                    new.append(node_id)
            elif source in on_path:
                path = [*list(on_path)[list(on_path).index(source) :], source]
                raise DependencyCycleError(f"nodes read each other in a circle: {' → '.join(reversed(path))}")
            else:
                stack.append((source, self._unkeyed_sources(source)))
        return new

    def _unkeyed_sources(self, node_id: NodeId) -> Iterator[NodeId]:
        """The nodes that a node reads and that have no key yet; it is taken from the document if need be."""
        if node_id not in self.nodes:
            self._take_from_document(node_id)
        for value in self.nodes[node_id].inputs.values():
            if type(value) is Link and value.source not in self.keys.of:
                yield value.source

    def _take_from_document(self, node_id: NodeId) -> None:
        """Take a node of the document that no target needs, but an added node does."""
        node = self.plan.graph.workflow.nodes.get(node_id)
        if node is None:
            raise NodeNotFoundError(
                f"it expands to nodes that read node {node_id!r}, which is not there",
                hint="report this to the author of the node pack",
            )
        self.nodes[node_id] = node
        self.definitions[node_id] = self._definition(node.class_type)
        self._orders[node_id] = (len(self.plan.steps), 0, len(self._orders))


def _lazy_links(node: WorkflowNode, definition: NodeDefinition) -> dict[str, Link]:
    """The linked lazy inputs of a node that says at run time which it needs; others are read like any input."""
    if definition.load is None or not definition.has_lazy_check:
        return {}
    declared = live_inputs(definition, node.inputs)
    return {
        name: value
        for name, value in node.inputs.items()
        if type(value) is Link and (spec := declared.get(name)) is not None and spec.is_lazy
    }
