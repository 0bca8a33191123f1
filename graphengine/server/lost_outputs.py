"""Which outputs of a workflow can run although some of its nodes are wrong."""

from collections.abc import Collection, Mapping, Sequence

from graphengine.errors import Problem
from graphengine.graph.links import needed_nodes
from graphengine.workflow.models import NodeId, Workflow


def runnable_targets(workflow: Workflow, targets: Collection[NodeId], problems: Sequence[Problem]) -> list[NodeId]:
    """The targets that need no node with an error."""
    lost = {target for each in lost_targets(workflow, targets, problems).values() for target in each}
    return [target for target in targets if target not in lost]


def lost_targets(
    workflow: Workflow, targets: Collection[NodeId], problems: Sequence[Problem]
) -> Mapping[NodeId, list[NodeId]]:
    """For each node with an error, the targets that need it."""
    wrong = {NodeId(p.node_id) for p in problems if p.severity == "error" and p.node_id is not None}
    needs = {target: needed_nodes(workflow, [target]) & wrong for target in targets}
    found = {node: [target for target in targets if node in needs[target]] for node in wrong}
    return {node: lost for node, lost in found.items() if lost}
