"""Cache keys of nodes: everything that goes into a node's outputs, hashed.

A key covers the class, the version of its code, its literals, the keys of the nodes it reads, the content of the
files its inputs name, and what `IS_CHANGED` answers. A node that says it always changes has no key that could be
found again; neither has any node after it.
"""

import inspect
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import JsonValue

from graphengine.cache.hashing import Uncacheable, hash_value, node_key
from graphengine.node.definition import Files, NodeDefinition
from graphengine.node.folders import Folders
from graphengine.workflow.models import Link, NodeId, WorkflowNode

logger = logging.getLogger(__name__)

Fingerprint = Callable[[Path], str]


@dataclass(slots=True)
class NodeKeys:
    """The keys of a run's nodes.

    `changing` are nodes that say they always change and all that read them, `unkeyed` those with an input that has
    no content hash and all that read them. The keys of both are new in every run; `volatile` holds them.
    """

    folders: Folders
    fingerprint: Fingerprint
    of: dict[NodeId, str] = field(default_factory=dict)
    changing: set[NodeId] = field(default_factory=set)
    unkeyed: set[NodeId] = field(default_factory=set)
    volatile: set[str] = field(default_factory=set)

    def add(self, node_id: NodeId, node: WorkflowNode, definition: NodeDefinition) -> str:
        """The key of a node whose sources have theirs."""
        extra = _files(node, definition, self.folders, self.fingerprint)
        if definition.has_fingerprint:
            extra["IS_CHANGED"] = _changed(node_id, node, definition)
        if definition.not_idempotent or "UNIQUE_ID" in definition.hidden.values():
            extra["node_id"] = node_id
        inputs: dict[str, object] = {}
        for name, value in node.inputs.items():
            if type(value) is Link:
                inputs[name] = ("link", self.of[value.source], value.output)
                self._inherit(node_id, value.source)
            else:
                inputs[name] = value
        if extra.get("IS_CHANGED") == "":
            self.changing.add(node_id)
        if node_id in self.changing or node_id in self.unkeyed:
            extra["run"] = uuid4().hex
        try:
            key = node_key(node.class_type, definition.version, inputs, extra)
        except Uncacheable as error:
            logger.warning("node %s: %s; the node runs again every time", node_id, error.message)
            self.unkeyed.add(node_id)
            key = uuid4().hex
        if node_id in self.changing or node_id in self.unkeyed:
            self.volatile.add(key)
        self.of[node_id] = key
        return key

    def _inherit(self, node_id: NodeId, source: NodeId) -> None:
        if source in self.changing:
            self.changing.add(node_id)
        if source in self.unkeyed:
            self.unkeyed.add(node_id)


def _files(
    node: WorkflowNode, definition: NodeDefinition, folders: Folders, fingerprint: Fingerprint
) -> dict[str, str]:
    """Fingerprints of the files that inputs name, by input."""
    found: dict[str, str] = {}
    for spec in definition.inputs.values():
        value = node.inputs.get(spec.name)
        if isinstance(spec.choices, Files) and isinstance(value, str):
            path = folders.find(spec.choices.kind, value)
            found[f"file:{spec.name}"] = fingerprint(path) if path is not None else "absent"
    return found


def _changed(node_id: NodeId, node: WorkflowNode, definition: NodeDefinition) -> str:
    """What `IS_CHANGED` answers, hashed; empty when the node is to run every time."""
    assert definition.load is not None
    literals = {name: None if isinstance(value, Link) else value for name, value in node.inputs.items()}
    try:
        answer = call_with_known(definition.load().IS_CHANGED, literals)
        if isinstance(answer, float) and math.isnan(answer):
            return ""
        return hash_value(answer)
    except Exception as error:  # noqa: BLE001 (a node may raise anything; ComfyUI reruns it then)
        logger.warning("node %s (%s): IS_CHANGED failed: %s; the node runs again", node_id, node.class_type, error)
        return ""


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
