"""How nodes build the graphs they expand into.

The ids of new nodes must differ from all others and be the same in every run, because results are kept by them.
They are `parent.call.graph.name`: the node that is being called, which of its calls, which builder of that call,
and the name or number of the new node.
"""

from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, ClassVar

from graphengine.node.api import ExecutionBlocker, NodeContext, current_context

__all__ = ["ExecutionBlocker", "GraphBuilder", "Node", "add_graph_prefix", "is_link"]


@dataclass(slots=True)
class _Prefixes:
    """The prefixes of one node call, and how many builders it has made."""

    context: NodeContext | None
    root: str
    call_index: int
    graph_index: int

    def text(self) -> str:
        return f"{self.root}.{self.call_index}.{self.graph_index}."


# Any throughout: inputs of nodes are open-ended JSON.
def is_link(obj: object) -> bool:
    """Whether an input is a link to an output, `[node id, slot]`, rather than a value."""
    return (
        isinstance(obj, list)
        and len(obj) == 2
        and isinstance(obj[0], str)
        and isinstance(obj[1], int | float)
        and not isinstance(obj[1], bool)
    )


class GraphBuilder:
    """Makes a graph for a node to expand into; `finalize` gives it.

    `prefix` begins the ids of its nodes; by default one is made that no other builder has.
    """

    _prefixes: ClassVar[ContextVar[_Prefixes | None]] = ContextVar("prefixes", default=None)

    def __init__(self, prefix: str | None = None) -> None:
        self.prefix = self.alloc_prefix() if prefix is None else prefix
        self.nodes: dict[str, Node] = {}
        self.id_gen = 1

    @classmethod
    def set_default_prefix(cls, prefix_root: str, call_index: int, graph_index: int = 0) -> None:
        """Choose the prefix of the builders that this call makes from here on; nodes need not."""
        cls._prefixes.set(_Prefixes(current_context.get(), prefix_root, call_index, graph_index))

    @classmethod
    def alloc_prefix(
        cls, root: str | None = None, call_index: int | None = None, graph_index: int | None = None
    ) -> str:
        """A prefix that no builder of this call has; parts that are given are taken as they are."""
        prefixes = cls._prefixes_of_this_call()
        given = _Prefixes(
            None,
            prefixes.root if root is None else root,
            prefixes.call_index if call_index is None else call_index,
            prefixes.graph_index if graph_index is None else graph_index,
        )
        if graph_index is None:
            prefixes.graph_index += 1
        return given.text()

    @classmethod
    def _prefixes_of_this_call(cls) -> _Prefixes:
        context, prefixes = current_context.get(), cls._prefixes.get()
        if prefixes is None or prefixes.context is not context:
            root = context.node_id if context is not None else ""
            prefixes = _Prefixes(context, root, (context.list_index or 0) if context is not None else 0, 0)
            cls._prefixes.set(prefixes)
        return prefixes

    def node(self, class_type: str, id: str | None = None, **kwargs: Any) -> "Node":
        """A new node with these inputs, or the one that has the id already; numbered without an id."""
        if id is None:
            id = str(self.id_gen)
            self.id_gen += 1
        id = self.prefix + id
        if id not in self.nodes:
            self.nodes[id] = Node(id, class_type, kwargs)
        return self.nodes[id]

    def lookup_node(self, id: str) -> "Node | None":
        """The node with that id, which is given without the prefix."""
        return self.nodes.get(self.prefix + id)

    def finalize(self) -> dict[str, dict[str, Any]]:
        """The graph, in the form of `expand`."""
        return {node_id: node.serialize() for node_id, node in self.nodes.items()}

    def replace_node_output(self, node_id: str, index: int, new_value: Any) -> None:
        """Give every reader of an output another value or link instead; None takes the input away."""
        replaced = [self.prefix + node_id, index]
        for node in self.nodes.values():
            for name, value in list(node.inputs.items()):
                if is_link(value) and list(value) == replaced:
                    node.set_input(name, new_value)

    def remove_node(self, id: str) -> None:
        """Take a node out; who reads it is not changed.

        Raises:
            KeyError: there is none.
        """
        del self.nodes[self.prefix + id]


class Node:
    """A node of a graph that is being built."""

    def __init__(self, id: str, class_type: str, inputs: Mapping[str, Any]) -> None:
        self.id = id
        self.class_type = class_type
        self.inputs = dict(inputs)
        self.override_display_id: str | None = None

    def out(self, index: int) -> list[Any]:
        """A link to an output."""
        return [self.id, index]

    def set_input(self, key: str, value: Any) -> None:
        """Set an input to a value or link; None takes it away."""
        if value is None:
            self.inputs.pop(key, None)
        else:
            self.inputs[key] = value

    def get_input(self, key: str) -> Any:
        """The value or link of an input, or None."""
        return self.inputs.get(key)

    def set_override_display_id(self, override_display_id: str) -> None:
        """Have another node shown in its place."""
        self.override_display_id = override_display_id

    def serialize(self) -> dict[str, Any]:
        """The node as it stands in a prompt."""
        node: dict[str, Any] = {"class_type": self.class_type, "inputs": self.inputs}
        if self.override_display_id is not None:
            node["override_display_id"] = self.override_display_id
        return node


def add_graph_prefix(
    graph: Mapping[str, Mapping[str, Any]], outputs: Iterable[Any], prefix: str
) -> tuple[dict[str, dict[str, Any]], tuple[Any, ...]]:
    """The graph and its outputs with a prefix before every id; links are changed with them."""

    def prefixed(value: Any) -> Any:
        return [prefix + value[0], value[1]] if is_link(value) else value

    nodes = {
        prefix + node_id: {
            **node,
            "inputs": {name: prefixed(value) for name, value in (node.get("inputs") or {}).items()},
        }
        for node_id, node in graph.items()
    }
    return nodes, tuple(prefixed(value) for value in outputs)
