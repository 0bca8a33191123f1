"""What is wrong with single nodes of a workflow: their inputs, literals and links."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

from graphengine.errors import Problem, nearest, node_label
from graphengine.graph.values import Finding, check_value
from graphengine.node.definition import InputSpec, NodeDefinition, OutputSpec
from graphengine.node.dynamic import live_inputs
from graphengine.node.folders import Folders
from graphengine.node.types import fits, fits_as_written
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode

Definitions = Mapping[str, NodeDefinition]

_MOST_SUGGESTED = 200  # different mistakes of one kind for which the nearest name is looked for


@dataclass(frozen=True, slots=True)
class NodeCheck:
    """The checks of single nodes. The memos keep ten thousand equal mistakes as cheap as one."""

    workflow: Workflow
    definitions: Definitions
    folders: Folders
    _unknown: dict[str, str] = field(default_factory=dict)
    _choices: dict[tuple[object, ...], Finding | None] = field(default_factory=dict)

    def node(self, node_id: NodeId, node: WorkflowNode) -> Iterator[Problem]:
        """What is wrong with one node."""
        definition = self.definitions.get(node.class_type)
        if definition is None:
            hint = self._unknown_hint(node.class_type)
            yield Problem("unknown_node", f"no node type {node.class_type!r}", node_id, node.class_type, hint=hint)
            return
        specs = live_inputs(definition, node.inputs)
        for name, spec in specs.items():
            if name not in node.inputs:
                if spec.required:
                    yield _missing(node_id, node, spec, specs)
                continue
            value = node.inputs[name]
            if isinstance(value, Link):
                yield from self._link(node_id, node, name, value, _unless_asked(spec, definition))
            elif (finding := self._literal(spec, value, definition)) is not None:
                yield Problem(finding[0], finding[1], node_id, node.class_type, name, finding[2])
        for name, value in node.inputs.items():
            if isinstance(value, Link) and name not in specs:
                yield from self._link(node_id, node, name, value, None)

    def _unknown_hint(self, class_type: str) -> str:
        if class_type not in self._unknown:
            near = nearest(class_type, self.definitions) if len(self._unknown) < _MOST_SUGGESTED else None
            missing = "install the node pack that defines it into custom_nodes"
            self._unknown[class_type] = f"did you mean {near!r}?" if near else missing
        return self._unknown[class_type]

    def _literal(self, spec: InputSpec, value: JsonValue, definition: NodeDefinition) -> Finding | None:
        by_node = bool(definition.checked_by_node) and not definition.checked_by_node.isdisjoint((spec.name, "*"))
        if spec.choices is None or isinstance(value, list | dict):
            return check_value(spec, value, self.folders, by_node=by_node)
        # the choices live as long as their definition, which a spec of a dynamic input need not
        key = (id(spec.choices), spec.name, type(value), value, by_node)
        if key not in self._choices:
            suggest = nearest if len(self._choices) < _MOST_SUGGESTED else None
            self._choices[key] = check_value(spec, value, self.folders, by_node=by_node, suggest=suggest)
        return self._choices[key]

    def _link(
        self, node_id: NodeId, node: WorkflowNode, name: str, link: Link, spec: InputSpec | None
    ) -> Iterator[Problem]:
        """What is wrong with a link; without a spec any type may come over it."""
        source = self.workflow.nodes.get(link.source)
        if source is None:
            message = f"input {name!r} is linked to node {link.source}, which is not in the workflow"
            yield Problem(
                "missing_node", message, node_id, node.class_type, name, "connect the input again and save"
            )
            return
        definition = self.definitions.get(source.class_type)
        if definition is None:
            return  # reported at that node
        output = definition.output(link.output)
        if output is None:
            label = node_label(link.source, source.class_type, source.origin)
            count = len(definition.outputs)
            yield Problem(
                "missing_output",
                f"input {name!r} is linked to output {link.output} of {label}, which has {count}",
                node_id,
                node.class_type,
                name,
                "connect the input again and save; the outputs of that node may have changed",
            )
        elif spec is not None and not _fits(output, spec):
            message = f"input {name!r} takes {spec.link_type}, is given {output.type}"
            label = node_label(link.source, source.class_type, source.origin)
            hint = _better_output(label, definition, spec)
            yield Problem("type_mismatch", message, node_id, node.class_type, name, hint)


def _unless_asked(spec: InputSpec, definition: NodeDefinition) -> InputSpec | None:
    """The input whose type counts, or None for a node whose `VALIDATE_INPUTS` asks for the types itself."""
    return None if "input_types" in definition.checked_by_node else spec


def _fits(output: OutputSpec, spec: InputSpec) -> bool:
    given, wanted = output.own_type, spec.own_type
    if given is None and wanted is None:
        return fits(output.type, spec.link_type)
    return fits_as_written(output.type if given is None else given, spec.link_type if wanted is None else wanted)


def _missing(node_id: NodeId, node: WorkflowNode, spec: InputSpec, specs: Mapping[str, InputSpec]) -> Problem:
    near = nearest(spec.name, [name for name in node.inputs if name not in specs])
    hint = (
        f"is {near!r} meant to be {spec.name!r}?" if near else f"connect or set a value of type {spec.link_type}"
    )
    return Problem("missing_input", f"input {spec.name!r} is not set", node_id, node.class_type, spec.name, hint)


def _better_output(label: str, definition: NodeDefinition, spec: InputSpec) -> str:
    for index, output in enumerate(definition.outputs):
        if _fits(output, spec):
            return f"connect output {index} of {label}"
    return f"{label} has no {spec.link_type} output"
