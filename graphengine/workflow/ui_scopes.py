"""Where nodes stand once everything that nodes stand for is opened up.

A `Scope` is one graph in one place: the document itself, or the inside of one instance of a subgraph. One graph
with many instances has many scopes, which share it; nothing is copied. A `Place` is a node in a scope.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from graphengine.errors import Problem
from graphengine.workflow.models import NodeId
from graphengine.workflow.ui_graph import UiGraph, found_at, runs
from graphengine.workflow.ui_models import UiNode


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """A graph in its place; `prefix` begins the ids of its nodes ("12:"), `place` tells where they are found."""

    graph: UiGraph
    prefix: str = ""
    place: str = ""
    instance: "Place | None" = None

    def node(self, key: str) -> "Place | None":
        """The node of that id within the graph."""
        node = self.graph.nodes.get(NodeId(key))
        return None if node is None else Place(node, self)


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A node in its place."""

    node: UiNode
    scope: Scope
    #: The id in the whole: "12:3" is node 3 inside of node 12.
    id: NodeId = field(init=False)

    def __post_init__(self) -> None:
        # asked for a dozen times for each node
        object.__setattr__(self, "id", NodeId(self.scope.prefix + str(self.node.id)))

    @property
    def origin(self) -> str | None:
        """How the user finds the node; None in the document itself."""
        return found_at(self.node, self.scope.place)

    @property
    def runs(self) -> bool:
        """Whether it is neither muted nor bypassed."""
        return runs(self.node)

    def inside(self, graph: UiGraph) -> Scope:
        """The scope of what this instance stands for."""
        outer = f" of {self.scope.place.removeprefix('inside ')[:200]}" if self.scope.place else ""
        return Scope(graph, f"{self.id}:", graph.place + outer, self)

    def problem(
        self, code: str, message: str, hint: str, *, input_name: str | None = None, is_error: bool = True
    ) -> Problem:
        """A problem of this node."""
        return Problem(
            code,
            message,
            node_id=self.id,
            class_type=self.node.type,
            input_name=input_name,
            hint=hint,
            severity="error" if is_error else "warning",
            origin=self.origin,
        )

    def named(self, problem: Problem) -> Problem:
        """The problem, said of this node."""
        return replace(problem, node_id=self.id, class_type=self.node.type, origin=self.origin)


def places(root: Scope, open_up: Callable[[Place], Scope | None]) -> Iterator[tuple[Place, Scope | None]]:
    """Every node in order, with the scope of its inside if `open_up` gives one; what is inside follows it."""
    waiting = [_nodes(root)]
    while waiting:
        place = next(waiting[-1], None)
        if place is None:
            waiting.pop()
            continue
        scope = open_up(place)
        yield place, scope
        if scope is not None:
            waiting.append(_nodes(scope))


def _nodes(scope: Scope) -> Iterator[Place]:
    return (Place(node, scope) for node in scope.graph.nodes.values())
