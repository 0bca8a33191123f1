"""Check a workflow against node definitions: pure, iterative, and reports every problem at once.

Nodes that no target needs are checked as well, but what is wrong with them is a warning: it does not stop a run.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from pydantic import JsonValue

from graphengine.errors import Problem, nearest, node_label
from graphengine.graph.links import cycles, needed_nodes
from graphengine.graph.values import Finding, check_value
from graphengine.node.definition import InputSpec, NodeDefinition
from graphengine.node.folders import Folders
from graphengine.node.types import fits
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode

Definitions = Mapping[str, NodeDefinition]


def output_nodes(workflow: Workflow, definitions: Definitions) -> list[NodeId]:
    """The nodes that show or save something: what a run is for unless targets are named."""
    return [
        node_id
        for node_id, node in workflow.nodes.items()
        if (definition := definitions.get(node.class_type)) is not None and definition.is_output
    ]


def validate(
    workflow: Workflow,
    definitions: Definitions,
    folders: Folders,
    targets: Collection[NodeId] | None = None,
) -> list[Problem]:
    """All problems, in node order. Without one of severity "error" the workflow can be planned and run."""
    goals = output_nodes(workflow, definitions) if targets is None else list(targets)
    problems = [*_goals(workflow, goals, named=targets is not None)]
    needed = needed_nodes(workflow, goals)
    check = _Check(workflow, definitions, folders)
    for node_id, node in workflow.nodes.items():
        for problem in check.node(node_id, node):
            problems.append(problem if node_id in needed else replace(problem, severity="warning"))
    problems.extend(_cycles(workflow, needed))
    return [_with_origin(problem, workflow) for problem in problems]


def _with_origin(problem: Problem, workflow: Workflow) -> Problem:
    """The problem in the words of the user, for nodes that stand inside of a subgraph."""
    node = workflow.nodes.get(NodeId(problem.node_id or ""))
    return problem if node is None or node.origin is None else replace(problem, origin=node.origin)


def _goals(workflow: Workflow, goals: Collection[NodeId], *, named: bool) -> Iterator[Problem]:
    if not workflow.nodes:
        yield Problem("no_output_node", "the workflow is empty", hint="save it again from the editor")
    elif not goals:
        yield Problem(
            "no_output_node",
            "no node of the workflow saves or shows anything",
            hint="add a SaveImage or PreviewImage node, or name targets",
        )
    for node_id in goals if named else ():
        if node_id not in workflow.nodes:
            near = nearest(node_id, workflow.nodes)
            hint = f"did you mean {near!r}?" if near else None
            yield Problem("missing_node", f"the target {node_id!r} is no node of the workflow", node_id, hint=hint)


@dataclass(frozen=True, slots=True)
class _Check:
    """The checks of single nodes. The memos keep ten thousand equal mistakes as cheap as one."""

    workflow: Workflow
    definitions: Definitions
    folders: Folders
    _unknown: dict[str, str] = field(default_factory=dict)
    _choices: dict[tuple[int, object], Finding | None] = field(default_factory=dict)

    def node(self, node_id: NodeId, node: WorkflowNode) -> Iterator[Problem]:
        definition = self.definitions.get(node.class_type)
        if definition is None:
            hint = self._unknown_hint(node.class_type)
            yield Problem("unknown_node", f"no node type {node.class_type!r}", node_id, node.class_type, hint=hint)
            return
        for spec in definition.inputs.values():
            if spec.name not in node.inputs:
                if spec.required:
                    yield _missing(node_id, node, spec, definition)
                continue
            value = node.inputs[spec.name]
            if isinstance(value, Link):
                yield from self._link(node_id, node, spec.name, value, spec.type)
            elif (finding := self._literal(spec, value, definition)) is not None:
                yield Problem(finding[0], finding[1], node_id, node.class_type, spec.name, finding[2])
        for name, value in node.inputs.items():
            if isinstance(value, Link) and name not in definition.inputs:
                yield from self._link(node_id, node, name, value, "*")

    def _unknown_hint(self, class_type: str) -> str:
        if class_type not in self._unknown:
            near = nearest(class_type, self.definitions)
            missing = "install the node pack that defines it into custom_nodes"
            self._unknown[class_type] = f"did you mean {near!r}?" if near else missing
        return self._unknown[class_type]

    def _literal(self, spec: InputSpec, value: JsonValue, definition: NodeDefinition) -> Finding | None:
        by_node = bool(definition.checked_by_node) and not definition.checked_by_node.isdisjoint((spec.name, "*"))
        if spec.choices is None or not isinstance(value, str):
            return check_value(spec, value, self.folders, by_node=by_node)
        key = (id(spec), value)
        if key not in self._choices:
            self._choices[key] = check_value(spec, value, self.folders, by_node=by_node)
        return self._choices[key]

    def _link(self, node_id: NodeId, node: WorkflowNode, name: str, link: Link, wanted: str) -> Iterator[Problem]:
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
        label = node_label(link.source, source.class_type, source.origin)
        if not 0 <= link.output < len(definition.outputs):
            count = len(definition.outputs)
            yield Problem(
                "missing_output",
                f"input {name!r} is linked to output {link.output} of {label}, which has {count}",
                node_id,
                node.class_type,
                name,
                "connect the input again and save; the outputs of that node may have changed",
            )
        elif not fits(given := definition.outputs[link.output].type, wanted):
            message = f"input {name!r} takes {wanted}, is given {given}"
            hint = _better_output(label, definition, wanted)
            yield Problem("type_mismatch", message, node_id, node.class_type, name, hint)


def _missing(node_id: NodeId, node: WorkflowNode, spec: InputSpec, definition: NodeDefinition) -> Problem:
    near = nearest(spec.name, [name for name in node.inputs if name not in definition.inputs])
    hint = f"is {near!r} meant to be {spec.name!r}?" if near else f"connect or set a value of type {spec.type}"
    return Problem("missing_input", f"input {spec.name!r} is not set", node_id, node.class_type, spec.name, hint)


def _better_output(label: str, definition: NodeDefinition, wanted: str) -> str:
    for index, output in enumerate(definition.outputs):
        if fits(output.type, wanted):
            return f"connect output {index} of {label}"
    return f"{label} has no {wanted} output"


def _cycles(workflow: Workflow, needed: Collection[NodeId]) -> Iterator[Problem]:
    for path in cycles(workflow):
        shown = " -> ".join(path if len(path) <= 12 else [*path[:6], "…", *path[-5:]])
        yield Problem(
            "cycle",
            f"the nodes feed each other in a circle: {shown}",
            path[0],
            workflow.nodes[path[0]].class_type,
            hint="remove one of these links",
            severity="error" if path[0] in needed else "warning",
        )
