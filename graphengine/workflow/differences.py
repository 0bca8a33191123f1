"""What a file's two documents say differently: what ran, and what the editor drew."""

from collections.abc import Iterator, Mapping
from itertools import islice

from pydantic import JsonValue

from graphengine.errors import Problem, node_label
from graphengine.workflow.models import Link, Workflow, WorkflowNode
from graphengine.workflow.ui_format import Conversion
from graphengine.workflow.widgets import DefinitionLike, InputLike

#: Most differences that a message names.
_NAMED = 3


def documents_differ(
    ran: Workflow, drawn: Conversion, definitions: Mapping[str, DefinitionLike]
) -> tuple[Problem, ...]:
    """A warning that names the first differences, or nothing when there are none.

    Inputs are compared where definitions name them; without one the values of the editor have no names. An
    editor's document that cannot be converted is not compared.
    """
    if any(problem.severity == "error" for problem in drawn.problems):
        return ()
    found = list(islice(_differences(ran, drawn.workflow, definitions), _NAMED + 1))
    if not found:
        return ()
    more = "; and more" if len(found) > _NAMED else ""
    return (
        Problem(
            "documents_differ",
            f"the file's API document and the editor's differ: {'; '.join(found[:_NAMED])}{more}",
            hint="the API document is what ran; --from ui takes the editor's",
            severity="warning",
        ),
    )


def _differences(ran: Workflow, drawn: Workflow, definitions: Mapping[str, DefinitionLike]) -> Iterator[str]:
    for key, node in ran.nodes.items():
        label = node_label(key, node.class_type)
        other = drawn.nodes.get(key)
        if other is None:
            yield f"{label} is in the API document only"
        elif other.class_type != node.class_type:
            yield f"{label} is of class {other.class_type} in the editor's document"
        elif (definition := definitions.get(node.class_type)) is not None:
            yield from _inputs(label, node, other, definition)
    for key, node in drawn.nodes.items():
        if key not in ran.nodes:
            yield f"{node_label(key, node.class_type)} is in the editor's document only"


def _inputs(label: str, ran: WorkflowNode, drawn: WorkflowNode, definition: DefinitionLike) -> Iterator[str]:
    for name, spec in definition.inputs.items():
        if name in ran.inputs and name not in drawn.inputs:
            yield f"{label} has an input {name!r} in the API document only"
        elif name in drawn.inputs and name not in ran.inputs:
            if not _is_default(drawn.inputs[name], spec):
                yield f"{label} has an input {name!r} in the editor's document only"
        elif name in ran.inputs and ran.inputs[name] != (value := drawn.inputs[name]) and not _is_filled_in(value):
            yield f"{label}: input {name!r}"


def _is_default(value: Link | JsonValue, spec: InputLike) -> bool:
    """Whether definitions newer than the file may have added the input: it has the value that it begins with."""
    first = spec.choices[0] if isinstance(spec.choices, tuple) and spec.choices else None
    return bool(value == spec.options.get("default", first))


def _is_filled_in(value: Link | JsonValue) -> bool:
    """Whether the editor fills in a text when it queues: `%date:yyyy%`, `%Node.widget%`."""
    return isinstance(value, str) and value.count("%") > 1
