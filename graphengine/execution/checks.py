"""What nodes say about their own inputs before anything runs: `VALIDATE_INPUTS`.

A node is asked once, with its literals; inputs that are linked are None. The function gets the arguments that it
names, with `**kwargs` all of them. Hidden values are not known yet: PROMPT is empty, the others None.
"""

import inspect
from collections.abc import Iterator
from typing import Any

from graphengine.errors import Problem
from graphengine.graph.graph import Graph
from graphengine.graph.plan import Plan
from graphengine.node.definition import NodeDefinition
from graphengine.node.dynamic import live_inputs, nested_inputs
from graphengine.workflow.models import Link, NodeId, WorkflowNode


def check_by_nodes(plan: Plan) -> list[Problem]:
    """Ask every node of the plan that has `VALIDATE_INPUTS`; it answers True or says what is wrong.

    A refusal gives one problem per input that the function takes, for it does not say which one it means.
    """
    return [problem for node_id in plan.steps for problem in _check(plan.graph, node_id)]


def _check(graph: Graph, node_id: NodeId) -> Iterator[Problem]:
    node, definition = graph.nodes[node_id], graph.definitions[node_id]
    if not definition.checked_by_node or definition.load is None:
        return
    inputs = _taken(_inputs(node, definition), definition)
    arguments = {**_taken(_hidden(definition), definition), **inputs}
    if "input_types" in definition.checked_by_node:
        arguments["input_types"] = _input_types(graph, node)
    try:
        answer = _ask(definition.load(), arguments)
    except Exception as error:  # noqa: BLE001 (a node may raise anything)
        message = f"VALIDATE_INPUTS failed: {type(error).__name__}: {error}"
        yield Problem("check_failed", message, node_id, node.class_type, origin=node.origin)
        return
    if answer is not True:
        message = answer if isinstance(answer, str) else "the node refused its inputs"
        for name in inputs or (None,):
            yield Problem("refused_by_node", message, node_id, node.class_type, name, origin=node.origin)


# Any throughout: arguments and answers of an author's function.
def _ask(node_class: type[Any], arguments: dict[str, Any]) -> Any:
    answer = node_class.VALIDATE_INPUTS(**arguments)
    if inspect.iscoroutine(answer):
        import asyncio  # a twentieth of a second to import, which few workflows need

        return asyncio.run(answer)
    return answer


def _inputs(node: WorkflowNode, definition: NodeDefinition) -> dict[str, Any]:
    """The node's inputs as far as they are known before the run."""
    specs = live_inputs(definition, node.inputs)
    values: dict[str, object] = {}
    for name, value in node.inputs.items():
        if isinstance(value, Link):
            spec = specs.get(name)
            values[name] = [value.source, value.output] if spec is not None and spec.raw_link else None
        else:
            values[name] = value
    return nested_inputs(definition, values)


def _hidden(definition: NodeDefinition) -> dict[str, Any]:
    return {name: {} if kind == "PROMPT" else None for name, kind in definition.hidden.items()}


def _input_types(graph: Graph, node: WorkflowNode) -> dict[str, str]:
    """The types that come over the node's links, as their authors wrote them."""
    types: dict[str, str] = {}
    for name, value in node.inputs.items():
        output = graph.definitions[value.source].output(value.output) if isinstance(value, Link) else None
        if output is not None:
            types[name] = output.type if output.own_type is None else output.own_type
    return types


def _taken(values: dict[str, Any], definition: NodeDefinition) -> dict[str, Any]:
    """The values that the node's function has parameters for."""
    if "*" in definition.checked_by_node:
        return values
    return {name: value for name, value in values.items() if name in definition.checked_by_node}
