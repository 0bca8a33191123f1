"""What nodes say about their own inputs before anything runs: `VALIDATE_INPUTS`."""

from collections.abc import Iterator

from graphengine.errors import Problem
from graphengine.execution.keys import call_with_known
from graphengine.graph.plan import Plan
from graphengine.workflow.models import Link, NodeId


def check_by_nodes(plan: Plan) -> list[Problem]:
    """Ask every node of the plan that has `VALIDATE_INPUTS`; it answers True or says what is wrong."""
    return [problem for node_id in plan.steps for problem in _check(plan, node_id)]


def _check(plan: Plan, node_id: NodeId) -> Iterator[Problem]:
    node, definition = plan.graph.nodes[node_id], plan.graph.definitions[node_id]
    if not definition.checked_by_node or definition.load is None:
        return
    values = {name: None if isinstance(value, Link) else value for name, value in node.inputs.items()}
    if "input_types" in definition.checked_by_node:
        values["input_types"] = {
            name: plan.graph.definitions[value.source].outputs[value.output].type
            for name, value in node.inputs.items()
            if isinstance(value, Link)
        }
    try:
        answer = call_with_known(definition.load().VALIDATE_INPUTS, values)
    except Exception as error:  # noqa: BLE001 (a node may raise anything)
        answer = f"VALIDATE_INPUTS failed: {type(error).__name__}: {error}"
    if answer is not True:
        message = answer if isinstance(answer, str) else "the node refused its inputs"
        yield Problem("refused_by_node", message, node_id, node.class_type, origin=node.origin)
