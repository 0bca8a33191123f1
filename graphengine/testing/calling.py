"""Call one node as a workflow would, with any Python values as its inputs.

Values that a document can hold stand in the workflow as they are and are validated. Everything else comes over a
link from a node that gives it, so lists, lazy inputs, hidden inputs, coroutines and expansion work as in a run.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from graphengine.cache.store import MemoryStore, Outputs
from graphengine.engine import Engine
from graphengine.errors import GraphEngineError, nearest
from graphengine.node.comfy_classes import define
from graphengine.node.definition import NodeDefinition, OutputSpec
from graphengine.node.dynamic import live_inputs
from graphengine.node.inputs import InputSpec
from graphengine.node.registry import NodeRegistry
from graphengine.workflow.formats import read_document, to_workflow
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode

_NODE = NodeId("node")
_MEMORY = 2**30
_LITERALS = (str, int, float, bool)


@dataclass(frozen=True, slots=True)
class Many:
    """Several items for an input: a node that does not take lists is called once for each."""

    items: tuple[object, ...]

    def __init__(self, *items: object) -> None:
        object.__setattr__(self, "items", items)


# Any: nodes give whatever they like, and tests know what.
@dataclass(frozen=True)
class NodeOutputs(Mapping[str, Any]):
    """What a node gave, by the name or the number of the output.

    An output that is a list gives a list; so does any other if the node was called several times. A name that
    occurs again has its number behind it: `IMAGE`, `IMAGE_1`. `ui` is what the node shows.
    """

    names: tuple[str, ...]
    slots: tuple[tuple[Any, ...], ...]
    are_lists: tuple[bool, ...]
    ui: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, key: str | int) -> Any:
        index = key if isinstance(key, int) else self._index(key)
        items = self.slots[index]
        return items[0] if len(items) == 1 and not self.are_lists[index] else list(items)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.slots)

    def _index(self, name: str) -> int:
        if name in self.names:
            return self.names.index(name)
        near = nearest(name, self.names)
        hint = f"did you mean {near!r}?" if near else f"it has {', '.join(self.names) or 'none'}"
        raise GraphEngineError(f"the node has no output {name!r}", hint=hint)


# Any: a node class is its author's; so are the values.
NodeClass = type[Any]
Fill = Callable[[InputSpec], Any]


@dataclass(frozen=True, slots=True)
class NodeRunner:
    """Calls nodes on an engine. `fill` gives values for required inputs that have no value and no default."""

    engine: Engine
    fill: Fill | None = None

    def __call__(self, node: str | NodeClass, /, **inputs: Any) -> NodeOutputs:
        """Call a node, by its class type or class, and give its outputs.

        Inputs that are not given have their default, or a fake of their type. An input with a dot in its name goes
        into a dict: `run_node("Scale", **{"mode.factor": 2.0})`.

        Raises:
            GraphEngineError: there is no such node or input, or an input has no value.
            ValidationFailed: a value is outside of what the node declares.
            NodeExecutionError: the node raised; what it raised is the cause.
        """
        definition = self.definition(node)
        values = self._completed(definition, inputs)
        workflow, given = _workflow(definition, values)
        registry = NodeRegistry([*given, *_unless_known(definition, self.engine)], self.engine.registry)
        engine = replace(self.engine, registry=registry, store=MemoryStore(_MEMORY), records=None)
        outputs = engine.run(workflow, targets=[_NODE]).outputs(_NODE)
        if outputs is None:
            raise GraphEngineError(f"node {definition.class_type!r} was not called")
        return named_outputs(definition, outputs)

    def definition(self, node: str | NodeClass) -> NodeDefinition:
        """What a node takes and gives.

        Raises:
            GraphEngineError: no pack has such a node.
            PackError: the class cannot be read.
        """
        if not isinstance(node, str):
            return define(getattr(node, "__name__", "Node"), node)
        found = self.engine.registry.get(node)
        if found is None:
            near = nearest(node, list(self.engine.registry))
            hint = (
                f"did you mean {near!r}?"
                if near
                else "run pytest in the pack's folder, or with --graphengine-pack"
            )
            raise GraphEngineError(f"there is no node type {node!r}", hint=hint)
        return found

    def _completed(self, definition: NodeDefinition, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The values with defaults and fakes for required inputs; refuses names that the node does not have."""
        values = dict(inputs)
        for _ in range(16):  # a choice brings inputs along, which may be choices
            live = live_inputs(definition, values)
            missing = [spec for spec in live.values() if spec.name not in values and spec.required]
            if not missing:
                break
            values.update((spec.name, self._filled(spec, definition)) for spec in missing)
        for name in inputs if not definition.takes_any_input else ():
            if name not in live:
                near = nearest(name, list(live))
                hint = f"did you mean {near!r}?" if near else f"it has {', '.join(live) or 'none'}"
                raise GraphEngineError(f"node {definition.class_type!r} has no input {name!r}", hint=hint)
        return values

    def _filled(self, spec: InputSpec, definition: NodeDefinition) -> Any:
        if "default" in spec.options and spec.choices is None:
            return spec.options["default"]
        choices = spec.choices
        names: Sequence[object] = ()
        if choices is not None:
            names = choices if isinstance(choices, tuple) else choices.names(self.engine.folders)
        if names:
            default = spec.options.get("default")
            return default if default in names else names[0]
        if self.fill is None or spec.choices is not None:
            raise GraphEngineError(
                f"node {definition.class_type!r}: input {spec.name!r} of type {spec.type} has no value",
                hint=f"give it: run_node(…, {spec.name}=…)",
            )
        return self.fill(spec)


def run_workflow(engine: Engine, document: Path | str | Mapping[str, Any] | Workflow) -> dict[str, Any]:
    """Run a workflow, from a file or as a document, and give the outputs of its output nodes by id.

    Raises:
        WorkflowFormatError: it is no workflow.
        ValidationFailed: it has errors.
        NodeExecutionError: a node raised.
    """
    workflow = _read(engine, document)
    result = engine.run(workflow)
    found: dict[str, Any] = {}
    for node_id, node in workflow.nodes.items():
        definition = engine.registry.get(node.class_type)
        outputs = result.outputs(node_id) if definition is not None and definition.is_output else None
        if definition is not None and outputs is not None:
            found[node_id] = named_outputs(definition, outputs)
    return found


def _read(engine: Engine, document: Path | str | Mapping[str, Any] | Workflow) -> Workflow:
    match document:
        case Workflow():
            return document
        case Path() | str():
            return engine.read(Path(document)).workflow
    content = json.dumps(document).encode()
    return to_workflow(read_document(content), engine.registry).workflow


def _workflow(definition: NodeDefinition, values: Mapping[str, Any]) -> tuple[Workflow, list[NodeDefinition]]:
    """The node with its inputs, and the definitions of the nodes that give what no document can hold."""
    live = live_inputs(definition, values)
    inputs: dict[str, Any] = {}
    nodes: dict[NodeId, WorkflowNode] = {}
    given: list[NodeDefinition] = []
    for number, (name, value) in enumerate(values.items()):
        spec = live.get(name)
        if _is_literal(spec, value):
            inputs[name] = value
            continue
        source = NodeId(f"given{number}")
        kind = _Given(f"given to {name}", _items(definition, value), spec.link_type if spec is not None else "*")
        given.append(kind.definition())
        nodes[source] = WorkflowNode(kind.class_type)
        inputs[name] = Link(source, 0)
    nodes[_NODE] = WorkflowNode(definition.class_type, inputs)
    return Workflow(nodes), given


def _is_literal(spec: InputSpec | None, value: Any) -> bool:
    if spec is None:
        return isinstance(value, _LITERALS)
    if spec.takes_many and isinstance(value, list):
        return True
    return isinstance(value, _LITERALS) and (spec.is_widget or spec.choices is not None) and not spec.is_lazy


def _items(definition: NodeDefinition, value: Any) -> tuple[object, ...]:
    if isinstance(value, Many):
        return value.items
    return tuple(value) if definition.input_is_list and isinstance(value, list) else (value,)


@dataclass(frozen=True, slots=True)
class _Given:
    """A node without inputs that gives certain items."""

    class_type: str
    items: tuple[object, ...]
    type: str

    def definition(self) -> NodeDefinition:
        """Its definition; nothing of it is cached."""
        items = self.items

        class Given:
            def give(self) -> tuple[list[object]]:
                return (list(items),)

        return NodeDefinition(
            class_type=self.class_type,
            inputs={},
            outputs=(OutputSpec("value", self.type, is_list=True),),
            function="give",
            not_idempotent=True,
            cacheable=False,
            load=lambda: Given,
        )


def _unless_known(definition: NodeDefinition, engine: Engine) -> list[NodeDefinition]:
    return [] if engine.registry.get(definition.class_type) is definition else [definition]


def named_outputs(definition: NodeDefinition, outputs: Outputs) -> NodeOutputs:
    """Outputs under the names that tests read them by."""
    specs = [definition.output(index) for index in range(len(outputs.slots))]
    names: list[str] = []
    for index, spec in enumerate(specs):
        name = spec.name if spec is not None else f"output_{index}"
        names.append(f"{name}_{index}" if name in names else name)
    are_lists = tuple(spec is not None and spec.is_list for spec in specs)
    return NodeOutputs(tuple(names), outputs.slots, are_lists, outputs.ui)
