"""What a change of a workflow means for its next run: which nodes run again, and which outputs come out anew.

The recipe keys of both workflows are computed as a run would: of the nodes that outputs need, with the inputs that
their definitions declare, in the types that these declare. What is the same for both is left out: the content of
files, the environment, what `IS_CHANGED` answers. No code of a pack is called. A node of the new workflow whose
key no node of the old one has will run, even if everything that the old one made is in the cache. Nodes that run
every time are no consequence of a change, and are told only where one is.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from graphengine.cache.hashing import Uncacheable, hash_value, node_key
from graphengine.graph.values import coerce
from graphengine.node.definition import NodeDefinition
from graphengine.node.dynamic import live_inputs
from graphengine.node.inputs import InputSpec
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode


@dataclass(frozen=True, slots=True)
class Consequences:
    """Nodes that run again, those of them that are outputs, and how many nodes and outputs take part in a run."""

    reruns: tuple[NodeId, ...]
    outputs: tuple[NodeId, ...]
    nodes: int
    all_outputs: int


def consequences(old: Workflow, new: Workflow, definitions: Mapping[str, NodeDefinition]) -> Consequences:
    """What will run when the old workflow has run and the new one follows."""
    before = recipe_keys(old, definitions)
    ran = {before[node_id] for node_id in _needed(old, _outputs(old, definitions))}
    outputs = _outputs(new, definitions)
    needed = _needed(new, outputs)
    after = recipe_keys(new, definitions)
    reruns = tuple(node_id for node_id in new.nodes if node_id in needed and after[node_id] not in ran)
    return Consequences(reruns, tuple(each for each in reruns if each in outputs), len(needed), len(outputs))


def _outputs(workflow: Workflow, definitions: Mapping[str, NodeDefinition]) -> frozenset[NodeId]:
    """The output nodes; of nodes that are not known, those that no other reads."""
    read = {each.source for node in workflow.nodes.values() for each in node.inputs.values() if type(each) is Link}
    return frozenset(
        node_id
        for node_id, node in workflow.nodes.items()
        if (found.is_output if (found := definitions.get(node.class_type)) is not None else node_id not in read)
    )


def _needed(workflow: Workflow, targets: frozenset[NodeId]) -> set[NodeId]:
    """The targets and all upstream of them; without any target, every node counts."""
    needed: set[NodeId] = set()
    waiting = list(targets or workflow.nodes)
    while waiting:
        node_id = waiting.pop()
        if node_id in needed or node_id not in workflow.nodes:
            continue
        needed.add(node_id)
        waiting += [each.source for each in workflow.nodes[node_id].inputs.values() if isinstance(each, Link)]
    return needed


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
            keys[node_id] = _key(node_id, node, definitions.get(node.class_type), keys)
            waiting.pop()
    return keys


def _unkeyed_sources(
    node: WorkflowNode, workflow: Workflow, keys: Mapping[NodeId, str], entered: set[NodeId]
) -> list[NodeId]:
    sources = (given.source for given in node.inputs.values() if isinstance(given, Link))
    return [each for each in sources if each in workflow.nodes and each not in keys and each not in entered]


def _key(
    node_id: NodeId, node: WorkflowNode, definition: NodeDefinition | None, keys: Mapping[NodeId, str]
) -> str:
    specs = live_inputs(definition, node.inputs) if definition is not None else {}
    inputs: dict[str, object] = {}
    facts: dict[str, object] = {}
    for name, given in node.inputs.items():
        spec = specs.get(name)
        if isinstance(given, Link):
            inputs[name] = ("link", keys.get(given.source, ""), given.output)
            if spec is not None and spec.raw_link:
                facts[f"link:{name}"] = [given.source, given.output]
        elif spec is not None or definition is None or definition.takes_any_input:
            inputs[name] = _given(spec, given)
    if definition is not None and (definition.not_idempotent or "UNIQUE_ID" in definition.hidden.values()):
        facts["node_id"] = node_id
    try:
        return node_key(node.class_type, definition.version if definition is not None else "", inputs, facts)
    except Uncacheable:
        return hash_value(repr(sorted(inputs.items(), key=lambda item: item[0])))


def _given(spec: InputSpec | None, value: JsonValue) -> JsonValue:
    """A literal as the node would be given it; of nodes that are not known 1 and 1.0 are the same."""
    if spec is not None:
        try:
            return coerce(spec, value)
        except (ValueError, TypeError, OverflowError):  # the node would refuse it; the change is one all the same
            return value
    return int(value) if isinstance(value, float) and value.is_integer() else value
