"""What a picture of a workflow shows, whatever it is written as: boxes with slots and values, links, problems."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue

from graphengine.errors import Problem
from graphengine.node.definition import NodeDefinition
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode

_MOST_OUTPUTS = 100  # a link may name any output; beyond this it starts at the last one drawn
_MOST_VALUES = 12
_VALUE_LENGTH = 400  # characters; a prompt is longer than what a box has room for


@dataclass(frozen=True, slots=True)
class Slot:
    """An input or output: its name and socket type."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Box:
    """A node; `values` are the literals it is given, as text. `mark` is one of `colours.MARKS`, or empty."""

    key: NodeId
    class_type: str
    title: str
    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]
    values: tuple[tuple[str, str], ...]
    problems: tuple[Problem, ...] = ()
    mark: str = ""

    @property
    def severity(self) -> str | None:
        """`error` or `warning`, None for a box without problems."""
        severities = {problem.severity for problem in self.problems}
        return "error" if "error" in severities else "warning" if severities else None


@dataclass(frozen=True, slots=True)
class Wire:
    """A link, from the number of an output to the number of an input."""

    source: NodeId
    output: int
    target: NodeId
    input: int
    type: str


@dataclass(frozen=True, slots=True)
class Picture:
    """Boxes and wires, and the problems that belong to no box."""

    boxes: Mapping[NodeId, Box]
    wires: tuple[Wire, ...]
    loose: tuple[Problem, ...] = ()

    @property
    def marks(self) -> tuple[str, ...]:
        """The marks of the boxes, sorted."""
        return tuple(sorted({box.mark for box in self.boxes.values() if box.mark}))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All problems, errors first."""
        found = [*self.loose, *(problem for box in self.boxes.values() for problem in box.problems)]
        return tuple(sorted(found, key=lambda problem: problem.severity != "error"))

    @property
    def types(self) -> tuple[str, ...]:
        """The socket types of the wires, sorted."""
        return tuple(sorted({wire.type for wire in self.wires}))


def make_picture(
    workflow: Workflow, definitions: Mapping[str, NodeDefinition], problems: Iterable[Problem] = ()
) -> Picture:
    """The picture of a workflow; links to nodes that are not there end nowhere and are left out."""
    of_node: dict[str, list[Problem]] = {}
    loose: list[Problem] = []
    for problem in problems:
        inside = problem.node_id is not None and problem.node_id in workflow.nodes
        (of_node.setdefault(str(problem.node_id), []) if inside else loose).append(problem)
    sketch = _Sketch(workflow, definitions)
    wires = tuple(sketch.wires())
    boxes = {
        key: Box(
            key,
            node.class_type,
            node.title or _display_name(definitions.get(node.class_type)) or node.class_type,
            tuple(sketch.inputs[key]),
            tuple(sketch.outputs[key]),
            tuple(_values(node)),
            tuple(of_node.get(key, ())),
        )
        for key, node in workflow.nodes.items()
    }
    return Picture(boxes, wires, tuple(loose))


def _display_name(definition: NodeDefinition | None) -> str:
    return definition.display_name if definition else ""


@dataclass(slots=True)
class _Sketch:
    """Slots by node; those of unknown nodes appear as links need them."""

    workflow: Workflow
    definitions: Mapping[str, NodeDefinition]
    inputs: dict[NodeId, list[Slot]] = field(default_factory=dict)
    outputs: dict[NodeId, list[Slot]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key, node in self.workflow.nodes.items():
            definition = self.definitions.get(node.class_type)
            declared = definition.inputs if definition else {}
            self.inputs[key] = [
                Slot(name, declared[name].type if name in declared else "*")
                for name in self._linked(node, declared)
            ]
            self.outputs[key] = [Slot(each.name, each.type) for each in definition.outputs] if definition else []

    def _linked(self, node: WorkflowNode, declared: Iterable[str]) -> list[str]:
        """The linked inputs in the order of the definition, then the others."""
        linked = [name for name, value in node.inputs.items() if type(value) is Link]
        order = {name: index for index, name in enumerate(declared)}
        return sorted(linked, key=lambda name: order.get(name, len(order)))

    def wires(self) -> Iterable[Wire]:
        for key, node in self.workflow.nodes.items():
            for index, slot in enumerate(self.inputs[key]):
                link = node.inputs[slot.name]
                if isinstance(link, Link) and link.source in self.workflow.nodes and link.output >= 0:
                    output, type_ = self._output(link, slot)
                    yield Wire(link.source, output, key, index, type_)

    def _output(self, link: Link, slot: Slot) -> tuple[int, str]:
        """The number and type of the output that a link leaves."""
        outputs = self.outputs[link.source]
        number = min(link.output, _MOST_OUTPUTS)
        outputs.extend(Slot(f"output {index}", "*") for index in range(len(outputs), number + 1))
        if outputs[number].type == "*" and slot.type != "*":
            outputs[number] = Slot(outputs[number].name, _first(slot.type))
        return number, _first(outputs[number].type)


def _first(type_: str) -> str:
    """One type of a union, which stands for it in colour."""
    return type_.split(",")[0].strip() or "*"


def _values(node: WorkflowNode) -> Iterable[tuple[str, str]]:
    literals: Sequence[tuple[str, JsonValue]] = [
        (name, value) for name, value in node.inputs.items() if not isinstance(value, Link)
    ]
    for name, value in literals[:_MOST_VALUES]:
        yield name, _text(value)
    if len(literals) > _MOST_VALUES:
        yield "…", f"{len(literals) - _MOST_VALUES} more"


def _text(value: JsonValue) -> str:
    match value:
        case str():
            return value[:_VALUE_LENGTH]
        case bool():
            return "yes" if value else "no"
        case dict() | list():
            return f"{len(value)} values"
        case _:
            return str(value)[:_VALUE_LENGTH]
