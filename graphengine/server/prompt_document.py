"""The document in a request: the workflow it says, what is wrong with how it says it, and the literals converted.

The protocol is stricter than a file about lists (a bare list is a link, and nothing else) and looser about slots
(`-1` is the last output), so requests are read here and not by the reader of files.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from graphengine.errors import Problem
from graphengine.graph.values import coerce
from graphengine.node.definition import InputSpec, NodeDefinition
from graphengine.node.dynamic import live_inputs
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode

_WRAPPER = "__value__"
_LONGEST = 200  # characters of a client's text that an answer repeats

Definitions = Mapping[str, NodeDefinition]
Specs = Mapping[str, InputSpec]


class RequestRefused(Exception):
    """A request is refused as a whole; the texts are those of the protocol's error."""

    def __init__(self, type_: str, message: str, details: str = "") -> None:
        super().__init__(message)
        self.type = type_
        self.message = message
        self.details = details


# Any: JSON of a client.
@dataclass(frozen=True, slots=True)
class ReadPrompt:
    """The workflow, its document with literals converted, and what is wrong with how the nodes are written."""

    workflow: Workflow
    document: dict[str, Any]
    problems: tuple[Problem, ...]


def read_prompt(raw: Any, definitions: Definitions) -> ReadPrompt:
    """Read the value of `prompt`.

    Raises:
        RequestRefused: it is no object of nodes, or a node's type is missing or unknown; the first one counts.
    """
    if raw == [] or raw == {}:
        raise RequestRefused("prompt_no_outputs", "Prompt has no outputs")
    if not isinstance(raw, dict):
        raise RequestRefused(
            "invalid_prompt", "The prompt must be an object of nodes by id.", f"it is {type(raw).__name__}"
        )
    for node_id, node in raw.items():
        _refuse_unknown(node_id, node, definitions)
    document: dict[str, Any] = {}
    nodes: dict[NodeId, WorkflowNode] = {}
    problems: list[Problem] = []
    for node_id, node in raw.items():
        nodes[NodeId(node_id)] = read = _node(node, raw, definitions)
        specs = live_inputs(definitions[read.class_type], read.inputs)
        document[node_id] = _converted(node, specs)
        problems.extend(_badly_written(node_id, node, specs))
    return ReadPrompt(Workflow(nodes), document, tuple(problems))


def workflow_of(document: Mapping[str, Any], definitions: Definitions, ui: Mapping[str, Any] | None) -> Workflow:
    """The workflow of a document that was checked before; `ui` is the editor's document that came beside it."""
    nodes = {NodeId(node_id): _node(node, document, definitions) for node_id, node in document.items()}
    return Workflow(nodes, ui)


def _refuse_unknown(node_id: str, node: Any, definitions: Definitions) -> None:
    class_type = node.get("class_type") if isinstance(node, dict) else None
    place = f"Node ID '#{node_id[:_LONGEST]}'"
    if not isinstance(class_type, str):
        message = "Cannot execute because a node is missing the class_type property."
        raise RequestRefused("invalid_prompt", message, place)
    if class_type not in definitions:
        message = f"Cannot execute because node {class_type[:_LONGEST]} does not exist."
        raise RequestRefused("invalid_prompt", message, place)


def _badly_written(node_id: str, node: dict[str, Any], specs: Specs) -> Iterator[Problem]:
    inputs, class_type = node.get("inputs"), node["class_type"]
    if not isinstance(inputs, dict):
        yield Problem("no_inputs", "the node has no 'inputs'", node_id, class_type, hint='send "inputs": {}')
        return
    for name in specs:
        value = inputs.get(name)
        if not isinstance(value, list) or (len(value) == 2 and isinstance(value[0], str)):
            continue
        if len(value) == 2 and str(value[0]).isdigit():
            continue  # a link that names its node by number
        hint = 'link with [node id, slot], or wrap a list: {"__value__": […]}'
        yield Problem("bad_link", f"input {name!r} is a bare list", node_id, class_type, name, hint)


def _node(node: Mapping[str, Any], document: Mapping[str, Any], definitions: Definitions) -> WorkflowNode:
    inputs, meta = node.get("inputs"), node.get("_meta")
    title = meta.get("title") if isinstance(meta, dict) else None
    return WorkflowNode(
        class_type=node["class_type"],
        inputs={name: _input(value, document, definitions) for name, value in inputs.items()}
        if isinstance(inputs, dict)
        else {},
        title=title if isinstance(title, str) else None,
    )


def _input(value: JsonValue, document: Mapping[str, Any], definitions: Definitions) -> Link | JsonValue:
    match value:
        case dict() if _WRAPPER in value:
            return value[_WRAPPER]
        case [str() | int() as source, int() | float() as slot] if not isinstance(slot, bool):
            return Link(NodeId(str(source)), _counted(int(slot), document.get(str(source)), definitions))
        case _:
            return value


def _counted(slot: int, source: Any, definitions: Definitions) -> int:
    """The slot; a negative one counts from the last output, as in a list."""
    if slot >= 0 or not isinstance(source, dict):
        return slot
    definition = definitions.get(source.get("class_type", ""))
    return slot if definition is None or slot < -len(definition.outputs) else slot + len(definition.outputs)


def _converted(node: dict[str, Any], specs: Specs) -> dict[str, Any]:
    """The node with each declared literal in the type its input takes; what cannot be converted stays."""
    inputs = node.get("inputs")
    if not isinstance(inputs, dict):
        return node
    changed: dict[str, Any] = {}
    for name, value in inputs.items():
        spec = specs.get(name)
        if spec is None or isinstance(value, list):
            continue
        literal = value[_WRAPPER] if isinstance(value, dict) and _WRAPPER in value else value
        try:
            literal = coerce(spec, literal)
        except (ValueError, TypeError, OverflowError):
            continue
        if isinstance(literal, list) or (isinstance(literal, dict) and _WRAPPER in literal):
            literal = {_WRAPPER: literal}  # a bare list would read as a link
        if literal is not value:
            changed[name] = literal
    return {**node, "inputs": {**inputs, **changed}} if changed else node
