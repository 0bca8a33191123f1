"""The API document: what is sent to be run, `{"3": {"class_type": "KSampler", "inputs": {...}}}`.

A link is a list `[node id, output]`. A literal list is wrapped, `{"__value__": [...]}`, so that it is never taken
for one. On the wire the document is called a prompt and may come in an envelope,
`{"prompt": {...}, "extra_data": {...}}`.
"""

from collections.abc import Collection, Mapping
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from graphengine.errors import WorkflowFormatError, node_label
from graphengine.workflow.findings import first_finding
from graphengine.workflow.json_input import place_name
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode

_WRAPPER = "__value__"


class ApiNode(BaseModel):
    """One node: its type, its inputs (literals and links by name), and what else the file said."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    class_type: str
    # Any: JSON that the decoder made; checking it value by value again would double the time of reading.
    inputs: dict[str, Any] = Field(default_factory=dict)
    meta: dict[str, Any] | None = Field(default=None, alias="_meta")

    @property
    def title(self) -> str | None:
        """What the user called the node."""
        title = (self.meta or {}).get("title")
        return title if isinstance(title, str) else None


class ApiEnvelope(BaseModel):
    """An API document as it is sent to a server, with whatever goes along (`extra_data`, `client_id`, …)."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    prompt: dict[str, ApiNode]


#: Both ways to write an API document, for its JSON Schema.
API_DOCUMENT: TypeAdapter[dict[str, ApiNode] | ApiEnvelope] = TypeAdapter(dict[str, ApiNode] | ApiEnvelope)
_NODES = TypeAdapter(dict[str, ApiNode])


class ApiDocument(BaseModel):
    """Nodes by id; `envelope` is what stood beside `prompt`, None when the nodes stood alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    nodes: dict[str, ApiNode]
    envelope: dict[str, JsonValue] | None = None

    @property
    def workflow(self) -> Mapping[str, Any] | None:
        """The editor's document that travels in the envelope."""
        match (self.envelope or {}).get("extra_data"):
            case {"extra_pnginfo": {"workflow": dict(workflow)}}:
                return workflow
            case _:
                return None

    def to_json(self) -> dict[str, JsonValue]:
        """The document as it was read."""
        nodes = cast("JsonValue", _NODES.dump_python(self.nodes, by_alias=True, exclude_unset=True))
        return cast("dict[str, JsonValue]", nodes) if self.envelope is None else {**self.envelope, "prompt": nodes}


def parse_api(raw: JsonValue) -> ApiDocument:
    """The API document in a parsed JSON value, in an envelope or not.

    Raises:
        WorkflowFormatError: it is no object of nodes; the message names the node.
    """
    nodes, envelope = raw, None
    if isinstance(raw, dict) and _is_envelope(raw):
        nodes, envelope = raw["prompt"], {key: value for key, value in raw.items() if key != "prompt"}
    try:
        if isinstance(nodes, dict):
            _refuse_first(nodes)
        return ApiDocument.model_construct(nodes=_NODES.validate_python(nodes), envelope=envelope)
    except ValidationError as error:
        raise _unreadable(error, nodes) from error


def _refuse_first(nodes: dict[str, JsonValue]) -> None:
    """Raise for the first node that is none; all of them could be millions of findings."""
    for key, node in nodes.items():
        if not (isinstance(node, dict) and isinstance(node.get("class_type"), str)):
            _NODES.validate_python({key: node})


def _is_envelope(raw: Mapping[str, JsonValue]) -> bool:
    prompt = raw.get("prompt")
    return isinstance(prompt, dict) and not isinstance(prompt.get("class_type"), str)


def api_to_workflow(document: ApiDocument) -> Workflow:
    """The workflow that an API document says."""
    ids = document.nodes.keys()
    return Workflow(
        nodes={
            NodeId(key): WorkflowNode(
                class_type=node.class_type,
                inputs={name: _input(value, ids) for name, value in node.inputs.items()},
                title=node.title,
            )
            for key, node in document.nodes.items()
        },
        ui=document.workflow,
    )


def workflow_to_api(workflow: Workflow) -> dict[str, JsonValue]:
    """The API document of a workflow, with titles in `_meta`."""
    document: dict[str, JsonValue] = {}
    for key, node in workflow.nodes.items():
        entry: dict[str, JsonValue] = {
            "inputs": {name: _written(value) for name, value in node.inputs.items()},
            "class_type": node.class_type,
        }
        if node.title is not None:
            entry["_meta"] = {"title": node.title}
        document[key] = entry
    return document


def _input(value: JsonValue, ids: Collection[str]) -> Link | JsonValue:
    """A link, or the literal.

    A number as node id is a link only to a node that exists: `[512, 512]` is a size.
    """
    match value:
        case dict() if _WRAPPER in value:
            return value[_WRAPPER]
        case [str(source), int(output)] if not isinstance(output, bool):
            return Link(NodeId(source), output)
        case [int(source), int(output)] if str(source) in ids and not isinstance(output, bool):
            return Link(NodeId(str(source)), output)
        case _:
            return value


def _written(value: Link | JsonValue) -> JsonValue:
    if isinstance(value, Link):
        return [value.source, value.output]
    if isinstance(value, list) or (isinstance(value, dict) and _WRAPPER in value):
        return {_WRAPPER: value}
    return value


def _unreadable(error: ValidationError, nodes: JsonValue) -> WorkflowFormatError:
    place, text = first_finding(error, nodes)
    if not place or not isinstance(nodes, dict):
        return WorkflowFormatError("an API document is an object of nodes by id")
    key, *rest = place
    raw = nodes[str(key)]
    class_type = raw.get("class_type") if isinstance(raw, dict) else None
    label = node_label(str(key), class_type if isinstance(class_type, str) else None)
    what = f"{label}: {place_name(rest)!r}" if rest else label
    return WorkflowFormatError(f"{what} {text}", hint="every node needs a class_type, and inputs by name")
