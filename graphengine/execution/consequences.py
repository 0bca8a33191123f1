"""What a change of a workflow means for its next run: which nodes run again, and which outputs come out anew.

The recipe keys of both workflows are computed as a run would, without what is the same for both: the content of
files, the environment, what `IS_CHANGED` answers. No code of a pack is called. A node of the new workflow whose
key no node of the old one has will run, even if everything that the old one made is in the cache.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from graphengine.cache.hashing import Uncacheable, hash_value, node_key
from graphengine.node.definition import NodeDefinition
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode


@dataclass(frozen=True, slots=True)
class Consequences:
    """Nodes that run again, those of them that are outputs, and how many nodes and outputs there are."""

    reruns: tuple[NodeId, ...]
    outputs: tuple[NodeId, ...]
    nodes: int
    all_outputs: int


def consequences(old: Workflow, new: Workflow, definitions: Mapping[str, NodeDefinition]) -> Consequences:
    """What will run when the old workflow has run and the new one follows."""
    before, after = set(recipe_keys(old, definitions).values()), recipe_keys(new, definitions)
    reruns = tuple(node_id for node_id in new.nodes if after[node_id] not in before)
    read = {given.source for node in new.nodes.values() for given in node.inputs.values() if type(given) is Link}
    outputs = {
        node_id
        for node_id, node in new.nodes.items()
        if (found.is_output if (found := definitions.get(node.class_type)) is not None else node_id not in read)
    }
    return Consequences(reruns, tuple(each for each in reruns if each in outputs), len(new.nodes), len(outputs))


def recipe_keys(workflow: Workflow, definitions: Mapping[str, NodeDefinition]) -> dict[NodeId, str]:
    """The keys of all nodes, as far as the workflow decides them; a link that closes a circle does not count."""
    keys: dict[NodeId, str] = {}
    entered: set[NodeId] = set()
    for start in workflow.nodes:
        waiting = [start]
        while waiting:
            node_id = waiting[-1]
            if node_id in keys:
                waiting.pop()
                continue
            node = workflow.nodes[node_id]
            missing = [] if node_id in entered else _unkeyed_sources(node, workflow, keys, entered)
            entered.add(node_id)
            if missing:
                waiting.extend(missing)
                continue
            keys[node_id] = _key(node, definitions.get(node.class_type), keys)
            waiting.pop()
    return keys


def _unkeyed_sources(
    node: WorkflowNode, workflow: Workflow, keys: Mapping[NodeId, str], entered: set[NodeId]
) -> list[NodeId]:
    sources = (given.source for given in node.inputs.values() if isinstance(given, Link))
    return [each for each in sources if each in workflow.nodes and each not in keys and each not in entered]


def _key(node: WorkflowNode, definition: NodeDefinition | None, keys: Mapping[NodeId, str]) -> str:
    inputs: dict[str, object] = {}
    for name, given in node.inputs.items():
        if isinstance(given, Link):
            inputs[name] = ("link", keys.get(given.source, ""), given.output)
        else:
            inputs[name] = int(given) if isinstance(given, float) and given.is_integer() else given
    try:
        return node_key(node.class_type, definition.version if definition is not None else "", inputs)
    except Uncacheable:
        return hash_value(repr(sorted(inputs.items(), key=lambda item: item[0])))
