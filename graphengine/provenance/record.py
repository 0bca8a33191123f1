"""What is remembered of a run: the document, the parts of each node's key, and what became of each node.

A record is one JSON document. What many nodes share (the code of a pack, the environment) is held once, and nodes
refer to it through their class. Inputs that hold secrets are replaced; the tokens of a run are not in it at all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field, JsonValue, TypeAdapter, with_config
from typing_extensions import TypedDict  # with pydantic, Python 3.12 or newer could take that of typing

from graphengine.node.secrets import HIDDEN as HIDDEN  # who reads records looks for it here
from graphengine.workflow.models import Link, NodeId, WorkflowNode

#: Raised when older versions cannot read what is written.
RECORD_FORMAT = 1
#: Hexadecimal digits of hashes that are kept to be compared; nothing is looked up by them.
DIGEST_LENGTH = 16

_CLOSED = ConfigDict(extra="forbid", ser_json_inf_nan="constants")

NodeState = Literal[
    "executed", "cached", "cut off", "equal", "failed", "not reached", "not needed", "runs", "perhaps"
]
#: States in which a node's outputs were there, or nothing asked for them.
SETTLED: frozenset[NodeState] = frozenset({"executed", "cached", "cut off", "equal", "not needed"})


class RecordedNode(TypedDict):
    """A node of an API document."""

    class_type: str
    # Any: literals and links as JSON has them.
    inputs: dict[str, Any]
    _meta: NotRequired[dict[str, Any]]


@with_config(_CLOSED)
@dataclass(slots=True)
class NodeEntry:
    """One node of a run.

    `key` is its recipe key, `content` the first digits of its content key where it was looked for, `digests` those
    of the hashes of its outputs, `bytes` is how large these are, about. `stored` tells whether they were kept.
    `peak` is how many bytes of memory its call took more than were in use before, `device_peak` those of CUDA
    devices; None when not measured, or below a MiB. A node that is planned `runs`, is `cached`, `not needed`, or
    `perhaps` one or the other.
    """

    key: str
    state: NodeState
    seconds: float | None = None
    content: str | None = None
    digests: tuple[str, ...] = ()
    bytes: int | None = None
    stored: bool = True
    peak: int | None = None
    device_peak: int | None = None


@with_config(_CLOSED)
@dataclass(frozen=True, slots=True)
class ClassEntry:
    """A node type: `code` and `environment` say which of the record's lists its nodes were computed with."""

    version: str
    module: str
    code: int
    environment: int
    is_recipe: bool
    secrets: tuple[str, ...] = ()
    cacheable: bool = True


@with_config(_CLOSED)
@dataclass(frozen=True, slots=True)
class RunFailure:
    """The node that raised, and what it said."""

    node_id: str | None
    message: str


@with_config(_CLOSED)
@dataclass(frozen=True)
class RunRecord:
    """A run, or one that is planned; times are seconds, `started` since 1970.

    `shape` stands for the nodes and links without values. `facts` are what keys cover beside inputs, by node:
    fingerprints of files, what `IS_CHANGED` answered, the node's id. `paths` say where those files were. `always`
    are nodes that said they change every time, `unkeyed` those with an input that has no hash, `gone` the files
    that a node had saved and that were not there any more. `expanded` counts the nodes that a node put in its
    place.
    """

    graphengine: str
    key_format: str
    file: str | None
    shape: str
    started: float
    seconds: float
    status: Literal["success", "error", "cancelled", "planned"]
    targets: tuple[str, ...]
    document: dict[str, RecordedNode]
    nodes: dict[str, NodeEntry]
    classes: dict[str, ClassEntry] = field(default_factory=dict)
    codes: list[dict[str, str]] = field(default_factory=list)
    environments: list[dict[str, str]] = field(default_factory=list)
    facts: dict[str, dict[str, JsonValue]] = field(default_factory=dict)
    paths: dict[str, dict[str, str]] = field(default_factory=dict)
    always: list[str] = field(default_factory=list)
    unkeyed: list[str] = field(default_factory=list)
    gone: dict[str, str] = field(default_factory=dict)
    expanded: dict[str, int] = field(default_factory=dict)
    failure: RunFailure | None = None
    format: Annotated[int, Field(ge=RECORD_FORMAT, le=RECORD_FORMAT)] = RECORD_FORMAT


#: Checks and writes records; also their JSON Schema.
RECORD: TypeAdapter[RunRecord] = TypeAdapter(RunRecord)


class Snapshot:
    """A record with its nodes as the workflow has them."""

    def __init__(self, record: RunRecord, nodes: Mapping[NodeId, WorkflowNode] | None = None) -> None:
        """The nodes are read out of the record's document unless they are given."""
        self.record = record
        self._given = nodes

    @cached_property
    def nodes(self) -> Mapping[NodeId, WorkflowNode]:
        """The nodes by id."""
        if self._given is not None:
            return self._given
        return {NodeId(node_id): _read(node) for node_id, node in self.record.document.items()}

    def key(self, node_id: str) -> str | None:
        """The recipe key of a node, None when the record does not have it."""
        entry = self.record.nodes.get(node_id)
        return None if entry is None else entry.key

    def digest(self, link: Link) -> str | None:
        """The first digits of the hash of an output, None when it is not known."""
        entry = self.record.nodes.get(link.source)
        if entry is None or not 0 <= link.output < len(entry.digests):
            return None
        return entry.digests[link.output]

    def class_of(self, node_id: str) -> ClassEntry | None:
        """What the node's type put into its key."""
        return self.record.classes.get(self.nodes[NodeId(node_id)].class_type)

    def shown_inputs(self, node_id: str) -> Mapping[str, Link | JsonValue]:
        """The inputs of a node, with secrets replaced."""
        inputs, kind = self.nodes[NodeId(node_id)].inputs, self.class_of(node_id)
        if kind is None or not kind.secrets:
            return inputs
        return {name: hidden(value) if name in kind.secrets else value for name, value in inputs.items()}

    @cached_property
    def readers(self) -> Mapping[NodeId, list[NodeId]]:
        """The nodes that read each node."""
        found: dict[NodeId, list[NodeId]] = {}
        for node_id, node in self.nodes.items():
            for value in node.inputs.values():
                if type(value) is Link:
                    found.setdefault(value.source, []).append(node_id)
        return found

    def label(self, node_id: str) -> str:
        """How messages name a node."""
        node = self.nodes.get(NodeId(node_id))
        return f"node {node_id} ({node.class_type})" if node is not None else f"node {node_id}"


def hidden(value: Link | JsonValue) -> Link | JsonValue:
    """What stands for a secret: links and empty values say nothing and stay."""
    return value if type(value) is Link or value in (None, "") else HIDDEN


def _read(node: RecordedNode) -> WorkflowNode:
    inputs = {name: _value(value) for name, value in node["inputs"].items()}
    title = node.get("_meta", {}).get("title")
    return WorkflowNode(node["class_type"], inputs, title if isinstance(title, str) else None)


# Any: a value of an API document.
def _value(value: Any) -> Link | JsonValue:
    """A link, or a literal; records wrap every list that is a literal, so there is no doubt."""
    match value:
        case [str(source), int(output)]:
            return Link(NodeId(source), output)
        case {"__value__": wrapped}:
            return wrapped  # type: ignore[no-any-return]  # JSON
        case _:
            return value  # type: ignore[no-any-return]  # JSON
