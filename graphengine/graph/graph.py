"""The workflow as an immutable directed acyclic graph."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import networkx as nx
from pydantic import JsonValue

from graphengine.errors import Problem, ValidationFailed
from graphengine.graph.links import link_graph, needed_nodes
from graphengine.graph.validate import Definitions, output_nodes, validate
from graphengine.graph.values import coerce
from graphengine.node.definition import NodeDefinition
from graphengine.node.dynamic import live_inputs
from graphengine.node.folders import Folders
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode


@dataclass(frozen=True, slots=True)
class Graph:
    """What the targets of a valid workflow need: every node has a definition, every link its nodes, no cycle.

    The nodes' inputs hold only what their definitions declare (for the values at hand, when inputs are dynamic),
    literals in the declared type, and links; undeclared literals are kept for nodes that take any input.
    """

    workflow: Workflow
    targets: tuple[NodeId, ...]
    nodes: Mapping[NodeId, WorkflowNode]
    definitions: Mapping[NodeId, NodeDefinition]
    dag: "nx.DiGraph[NodeId]"
    warnings: tuple[Problem, ...] = ()


def build_graph(
    workflow: Workflow,
    definitions: Definitions,
    folders: Folders,
    targets: Collection[NodeId] | None = None,
) -> Graph:
    """Validate, convert literals and link; by default the targets are all output nodes.

    What is wrong elsewhere, at nodes that no target needs, becomes a warning of the graph.

    Raises:
        ValidationFailed: with every problem found.
    """
    problems = validate(workflow, definitions, folders, targets)
    if any(problem.severity == "error" for problem in problems):
        raise ValidationFailed(problems)
    goals = tuple(output_nodes(workflow, definitions) if targets is None else dict.fromkeys(targets))
    needed = needed_nodes(workflow, goals)
    nodes = {node_id: node for node_id, node in workflow.nodes.items() if node_id in needed}
    kinds = {node_id: definitions[node.class_type] for node_id, node in nodes.items()}
    ready = {node_id: _with_inputs(node, kinds[node_id]) for node_id, node in nodes.items()}
    dag = nx.freeze(link_graph(Workflow(ready)))
    return Graph(workflow, goals, ready, kinds, dag, tuple(problems))


def _with_inputs(node: WorkflowNode, definition: NodeDefinition) -> WorkflowNode:
    """The node with declared literals converted and others left out; itself when that changes nothing."""
    inputs: dict[str, Link | JsonValue] = {}
    specs = live_inputs(definition, node.inputs)
    changed = False
    for name, value in node.inputs.items():
        if type(value) is Link:
            inputs[name] = value
        elif (spec := specs.get(name)) is not None:
            inputs[name] = ready = coerce(spec, value)  # type: ignore[arg-type]  # no Link: JSON
            changed = changed or ready is not value
        elif definition.takes_any_input:
            inputs[name] = value
        else:
            changed = True
    return replace(node, inputs=inputs) if changed else node
