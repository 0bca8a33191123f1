"""What a run tells its listeners. Events are values; the command line, the server and tests only listen.

`title` is what the user called a node, `origin` how the user finds one that stands inside a subgraph, `expanded`
where a node comes from that a node made while it ran.

Whatever the number of jobs, listeners are called one event at a time, a node starts after everything it reads has
finished, and its progress lies between its start and its end.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal

from pydantic import JsonValue

from graphengine.node.api import Preview
from graphengine.workflow.models import NodeId


@dataclass(frozen=True, slots=True)
class Expanded:
    """Where a node comes from that no document holds: a node made it by expansion.

    `parent` made it, `display` is the node to show in its place, `real` the node of the document behind both.
    """

    parent: NodeId
    display: NodeId
    real: NodeId


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The plan is made: `execute` nodes will run, `cached` ones are taken from the store.

    Nodes that only feed cached nodes are in neither list; `known` are all whose outputs the store holds. Lazy
    inputs and expansion may bring more nodes while the run goes on.
    """

    kind: ClassVar[str] = "run_started"
    execute: tuple[NodeId, ...]
    cached: tuple[NodeId, ...]
    known: tuple[NodeId, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeCached:
    """A node's outputs come from the store; `ui` is what it showed when it ran."""

    kind: ClassVar[str] = "node_cached"
    node_id: NodeId
    class_type: str
    title: str | None = None
    origin: str | None = None
    ui: Mapping[str, JsonValue] = field(default_factory=dict)
    expanded: Expanded | None = None


@dataclass(frozen=True, slots=True)
class NodeStarted:
    """A node is about to be called; once more when it has waited for lazy inputs it asked for."""

    kind: ClassVar[str] = "node_started"
    node_id: NodeId
    class_type: str
    title: str | None = None
    origin: str | None = None
    expanded: Expanded | None = None


@dataclass(frozen=True, slots=True)
class NodeProgress:
    """A node has done `value` of `total` steps (sampler steps, files, …)."""

    kind: ClassVar[str] = "node_progress"
    node_id: NodeId
    value: int
    total: int


@dataclass(frozen=True, slots=True)
class NodePreview:
    """A node shows a picture of its work so far."""

    kind: ClassVar[str] = "node_preview"
    node_id: NodeId
    preview: Preview


@dataclass(frozen=True, slots=True)
class NodeBlocked:
    """A node was not called: what it reads was blocked, with a message for the user. The run goes on."""

    kind: ClassVar[str] = "node_blocked"
    node_id: NodeId
    class_type: str
    message: str
    title: str | None = None
    origin: str | None = None
    expanded: Expanded | None = None


@dataclass(frozen=True, slots=True)
class NodeRetried:
    """A node raised and is called again; `attempt` counts from 1."""

    kind: ClassVar[str] = "node_retried"
    node_id: NodeId
    class_type: str
    attempt: int
    message: str


@dataclass(frozen=True, slots=True)
class NodeFinished:
    """A node has run; `seconds` is wall time, `stored` whether its outputs are kept."""

    kind: ClassVar[str] = "node_finished"
    node_id: NodeId
    class_type: str
    seconds: float
    title: str | None = None
    origin: str | None = None
    ui: Mapping[str, JsonValue] = field(default_factory=dict)
    stored: bool = True
    expanded: Expanded | None = None


@dataclass(frozen=True, slots=True)
class NodeFailed:
    """A node raised; the run ends after it.

    `inputs` are its inputs: plain values as they are, others as text, and a long one cut. `exception_type` is the
    name with its module unless that is `builtins`, `exception_message` its own words, `traceback` the lines of it.
    """

    kind: ClassVar[str] = "node_failed"
    node_id: NodeId
    class_type: str
    message: str
    hint: str | None = None
    origin: str | None = None
    expanded: Expanded | None = None
    exception_type: str = ""
    exception_message: str = ""
    traceback: tuple[str, ...] = ()
    inputs: Mapping[str, tuple[JsonValue, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunInterrupted:
    """The run was asked to stop while this node ran, or before it started."""

    kind: ClassVar[str] = "run_interrupted"
    node_id: NodeId
    class_type: str


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The run is over; `seconds` is wall time."""

    kind: ClassVar[str] = "run_finished"
    status: Literal["success", "error", "cancelled"]
    seconds: float
    executed: int
    cached: int


Event = (
    RunStarted
    | NodeCached
    | NodeStarted
    | NodeProgress
    | NodePreview
    | NodeBlocked
    | NodeRetried
    | NodeFinished
    | NodeFailed
    | RunInterrupted
    | RunFinished
)
Listener = Callable[[Event], None]


# Any: `asdict` gives plain JSON values, which its type does not say.
def event_to_json(event: Event) -> dict[str, Any]:
    """The event as a JSON object with its `kind`; a preview without its picture."""
    if isinstance(event, NodePreview):
        preview = {"format": event.preview.format, "max_size": event.preview.max_size}
        return {"kind": event.kind, "node_id": event.node_id, "preview": preview}
    return {"kind": event.kind, **asdict(event)}
