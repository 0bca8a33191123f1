"""Cache keys of nodes: everything that goes into a node's outputs, hashed.

A key covers the class, the version of its code, its literals, what it reads of other nodes, the content of the
files its inputs name, what `IS_CHANGED` answers, and the environment as far as it counts.
"""

import inspect
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import uuid4

from pydantic import JsonValue

from graphengine.cache.hashing import Uncacheable, hash_value, node_key
from graphengine.execution.environment import Environment
from graphengine.execution.named_files import fingerprints, is_named_by_link
from graphengine.node.definition import NodeDefinition
from graphengine.node.dynamic import live_inputs
from graphengine.node.folders import Folders
from graphengine.workflow.models import Link, NodeId, WorkflowNode

_METADATA = frozenset({"PROMPT", "EXTRA_PNGINFO"})
_NOTHING: Mapping[str, object] = MappingProxyType({})

logger = logging.getLogger(__name__)

Fingerprint = Callable[[Path], str]
#: What a node's `IS_CHANGED` answers, hashed; None when it is to run every time.
Ask = Callable[[NodeId, WorkflowNode, NodeDefinition], str | None]


@dataclass(slots=True)
class NodeKeys:
    """The keys of a run's nodes.

    The *recipe key* of a node, in `of`, says how its outputs come about; it is known before anything runs. The
    *content key* has the digests of the outputs that it reads in place of their keys; it is known when those are.

    `always` are nodes that say they always change or that read a file which only a link names, `unkeyed` those
    with an input that has no content hash. Their recipe keys are new in every run, and so are those of all nodes
    after them; `volatile` holds all such keys.
    `facts` are what keys cover beside class, code and inputs, by node; `ask` calls `IS_CHANGED`. With
    `strips_metadata` nodes that ask for the workflow, to put it into what they save, are not given it.
    """

    folders: Folders
    fingerprint: Fingerprint
    environment: Environment = field(default_factory=Environment)
    of: dict[NodeId, str] = field(default_factory=dict)
    always: set[NodeId] = field(default_factory=set)
    unkeyed: set[NodeId] = field(default_factory=set)
    volatile: set[str] = field(default_factory=set)
    ask: Ask = field(default_factory=lambda: ask_node)
    facts: dict[NodeId, Mapping[str, object]] = field(default_factory=dict)
    strips_metadata: bool = False

    def add(self, node_id: NodeId, node: WorkflowNode, definition: NodeDefinition) -> str:
        """The recipe key of a node whose sources have theirs."""
        facts = self._facts_of(node_id, node, definition)
        inputs: dict[str, object] = {}
        is_volatile = node_id in self.always
        for name, value in node.inputs.items():
            if type(value) is Link:
                key = self.of[value.source]
                inputs[name] = ("link", key, value.output)
                is_volatile = is_volatile or key in self.volatile
            else:
                inputs[name] = value
        try:
            extra = {**facts, "run": uuid4().hex} if is_volatile else facts
            environment = self.environment.of(definition)
            key = node_key(node.class_type, definition.version, inputs, extra, environment)
        except Uncacheable as error:
            logger.warning("node %s: %s; the node runs again every time", node_id, error.message)
            self.unkeyed.add(node_id)
            is_volatile = True
            key = uuid4().hex
        if is_volatile:
            self.volatile.add(key)
        self.of[node_id] = key
        return key

    def content_key(
        self,
        node_id: NodeId,
        node: WorkflowNode,
        definition: NodeDefinition,
        digest_of: Callable[[Link], str | None],
        *,
        with_names: bool = True,
    ) -> str | None:
        """The content key, or None where there is none: a digest is not known, or the node always changes.

        Without names, a file counts by its content alone.
        """
        if node_id in self.always or node_id in self.unkeyed:
            return None
        facts = self.facts.get(node_id, _NOTHING)
        inputs: dict[str, object] = {}
        for name, value in node.inputs.items():
            if type(value) is Link:
                digest = digest_of(value)
                if digest is None:
                    return None
                inputs[name] = ("link", digest, 0)
            elif with_names or f"file:{name}" not in facts:
                inputs[name] = value
        environment = self.environment.of(definition)
        return node_key(node.class_type, definition.version, inputs, facts, environment, links="contents")

    def _facts_of(self, node_id: NodeId, node: WorkflowNode, definition: NodeDefinition) -> Mapping[str, object]:
        """What the key covers beside class, code and inputs; remembered for the content key."""
        facts: dict[str, object] = {}
        facts.update(fingerprints(node, definition, self.folders, self.fingerprint))
        if not definition.pure or is_named_by_link(node, definition):
            self.always.add(node_id)
            facts["always"] = "a link names its file" if definition.pure else "not pure"
        elif definition.has_fingerprint:
            changed = self.ask(node_id, node, definition)
            if changed is None:
                self.always.add(node_id)
            else:
                facts["IS_CHANGED"] = changed
        if definition.not_idempotent or "UNIQUE_ID" in definition.hidden.values():
            facts["node_id"] = node_id
        if self.strips_metadata and not _METADATA.isdisjoint(definition.hidden.values()):
            facts["metadata"] = "stripped"
        for name, spec in live_inputs(definition, node.inputs).items() if definition.has_raw_links else ():
            link = node.inputs.get(name)
            if spec.raw_link and isinstance(link, Link):
                facts[f"link:{name}"] = [link.source, link.output]
        if not facts:
            return _NOTHING
        self.facts[node_id] = facts
        return facts


def ask_node(node_id: NodeId, node: WorkflowNode, definition: NodeDefinition) -> str | None:
    """What `IS_CHANGED` answers, hashed; None when the node is to run every time."""
    assert definition.load is not None
    literals: dict[str, JsonValue] = {
        name: None if isinstance(value, Link) else value for name, value in node.inputs.items()
    }
    literals.update((name, node_id) for name, kind in definition.hidden.items() if kind == "UNIQUE_ID")
    try:
        answer = call_with_known(definition.load().IS_CHANGED, literals)
        if isinstance(answer, float) and math.isnan(answer):
            return None
        return hash_value(answer)
    except Exception as error:  # noqa: BLE001 (a node may raise anything; ComfyUI reruns it then)
        logger.warning("node %s (%s): IS_CHANGED failed: %s; the node runs again", node_id, node.class_type, error)
        return None


# Any: the function is a node author's.
def call_with_known(function: Callable[..., Any], values: Mapping[str, JsonValue]) -> Any:
    """Call a node author's function with those values that it has parameters for."""
    parameters = inspect.signature(function).parameters.values()
    if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
        names = {p.name for p in parameters}
        values = {name: value for name, value in values.items() if name in names}
    answer = function(**values)
    if inspect.iscoroutine(answer):
        import asyncio  # a twentieth of a second to import, which few workflows need

        return asyncio.run(answer)
    return answer
