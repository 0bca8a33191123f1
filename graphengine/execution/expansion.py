"""Nodes that a node puts in its place while it runs.

The node answers with API nodes, `{"id": {"class_type": …, "inputs": …}}`, whose ids are new, and with outputs that
may be links to them. Their inputs may hold any Python object, and links to any node of the run.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphengine.cache.store import Outputs
from graphengine.errors import GraphEngineError
from graphengine.execution.answers import Answer, Items, list_items, merge_ui
from graphengine.workflow.models import Link, NodeId, WorkflowNode


class DuplicateNodeError(GraphEngineError):
    """An expansion gives a node an id that is taken."""


class NodeNotFoundError(GraphEngineError):
    """An expansion names a node that is not there."""


class DependencyCycleError(GraphEngineError):
    """Nodes wait for each other."""


@dataclass(frozen=True, slots=True)
class Expansion:
    """The answers of a node that expanded and the nodes that its outputs wait for.

    `is_stable` tells whether its outputs may be kept.
    """

    answers: tuple[Answer, ...]
    sources: frozenset[NodeId]
    is_stable: bool
    blocked: tuple[str, ...] = ()


def new_nodes(answers: Sequence[Answer], taken: Container[str]) -> dict[NodeId, Mapping[str, Any]]:
    """The API nodes that the answers add, by id.

    Raises:
        DuplicateNodeError: an id is taken, by a node of the run or twice in the answers.
        GraphEngineError: something is no API node.
    """
    nodes: dict[NodeId, Mapping[str, Any]] = {}
    for answer in answers:
        for name, node in (answer.nodes or {}).items():
            node_id = NodeId(str(name))
            if node_id in nodes or node_id in taken:
                raise DuplicateNodeError(
                    f"the expansion adds a node {node_id!r}, but there is one of that id",
                    hint="a node that expands makes its ids with GraphBuilder, or begins them with its own id",
                )
            if not (isinstance(node, Mapping) and isinstance(node.get("class_type"), str)):
                raise GraphEngineError(f"the expansion's node {node_id!r} has no class_type")
            if not isinstance(node.get("inputs", {}), Mapping):
                raise GraphEngineError(f"the inputs of the expansion's node {node_id!r} are no mapping")
            nodes[node_id] = node
    return nodes


def as_node(node: Mapping[str, Any]) -> WorkflowNode:
    """The node with its links read; other inputs are kept as they are, whatever they hold."""
    return WorkflowNode(
        str(node["class_type"]), {str(name): _input(value) for name, value in (node.get("inputs") or {}).items()}
    )


def _input(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() == {"__value__"}:
        return value["__value__"]
    return as_link(value) or value


def as_link(value: object) -> Link | None:
    """The link that a value is, `[id, output]`, or None."""
    match value:
        case [str(source), int() | float() as output] if isinstance(value, list) and output is not True:
            return Link(NodeId(str(source)), int(output))
        case _:
            return None


def result_links(answers: Sequence[Answer]) -> Iterator[Link]:
    """The links that stand for outputs of the node that expanded."""
    for answer in answers:
        for value in answer.values if answer.nodes is not None else ():
            if (link := as_link(value)) is not None:
                yield link


def resolved(expansion: Expansion, output_is_list: Sequence[bool], items: Mapping[Link, Items]) -> Outputs:
    """The outputs of a node that expanded, when the nodes in its place are done; `items` are what links hold."""
    slots = tuple(
        tuple(item for answer in expansion.answers for item in _slot(answer, index, many, items))
        for index, many in enumerate(output_is_list)
    )
    return Outputs(slots, merge_ui(expansion.answers))


def _slot(answer: Answer, index: int, many: bool, items: Mapping[Link, Items]) -> Sequence[object]:
    value = answer.values[index]
    link = as_link(value) if answer.nodes is not None else None
    if link is not None:
        return items[link]
    return list_items(value) if many else (value,)
