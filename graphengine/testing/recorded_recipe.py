"""What a recording needs of the rest of its workflow: recipes, and the secrets that stay out of it."""

import json
from collections.abc import Collection, Mapping

from graphengine.node.definition import NodeDefinition
from graphengine.node.inputs import InputSpec
from graphengine.node.secrets import has_token, is_secret_input, is_secret_name
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode

_SHORTEST_SECRET = 4  # characters: a shorter one stands in too many texts by chance


def upstream(workflow: Workflow, goals: Collection[NodeId]) -> Workflow:
    """The nodes and all that they read, in the order of the document."""
    needed: set[NodeId] = set()
    waiting = list(goals)
    while waiting:
        node_id = waiting.pop()
        if node_id in needed or node_id not in workflow.nodes:
            continue
        needed.add(node_id)
        inputs = workflow.nodes[node_id].inputs.values()
        waiting.extend(value.source for value in inputs if isinstance(value, Link))
    return Workflow({node_id: node for node_id, node in workflow.nodes.items() if node_id in needed})


def secret_texts(workflow: Workflow, definitions: Mapping[str, NodeDefinition]) -> frozenset[str]:
    """The texts that inputs hold which are secrets by their name or declaration."""
    return frozenset(
        value
        for node in workflow.nodes.values()
        for name, value in node.inputs.items()
        if isinstance(value, str)
        and len(value) >= _SHORTEST_SECRET
        and is_secret(name, _spec(node, name, definitions))
    )


def is_secret(name: str, spec: InputSpec | None) -> bool:
    """Whether an input holds a secret: by its name, or as it is declared."""
    return is_secret_name(name) or (spec is not None and is_secret_input(spec))


def holds_secret(content: str | bytes, secrets: Collection[str]) -> bool:
    """Whether a secret stands in a text or in bytes, as it is or as JSON writes it, or a text has a token."""
    if isinstance(content, str) and has_token(content):
        return True
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    written = (form for secret in secrets for form in (secret, json.dumps(secret)[1:-1]))
    return any(form.encode("utf-8", "surrogatepass") in data for form in written)


def secret_node(
    recipe: Workflow, definitions: Mapping[str, NodeDefinition], secrets: Collection[str]
) -> NodeId | None:
    """A node of a recipe that is given a secret, None where there is none."""
    for node_id, node in recipe.nodes.items():
        for name, value in node.inputs.items():
            if isinstance(value, Link) or value == "":
                continue
            if is_secret(name, _spec(node, name, definitions)) or holds_secret(json.dumps(value), secrets):
                return node_id
    return None


def _spec(node: WorkflowNode, name: str, definitions: Mapping[str, NodeDefinition]) -> InputSpec | None:
    definition = definitions.get(node.class_type)
    return definition.inputs.get(name) if definition is not None else None
