"""Short notation for small workflows."""

from collections.abc import Mapping
from typing import Any

from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode


def workflow(nodes: Mapping[str, tuple[str, Mapping[str, Any]]]) -> Workflow:
    """`{"2": ("Add", {"a": ["1", 0], "b": 5})}`: a list of an id and an output is a link."""
    return Workflow(
        {NodeId(node_id): WorkflowNode(kind, _inputs(inputs)) for node_id, (kind, inputs) in nodes.items()}
    )


def _inputs(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: Link(NodeId(value[0]), value[1]) if isinstance(value, list) else value
        for name, value in inputs.items()
    }
