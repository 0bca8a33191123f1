"""What a run tells its listeners. Events are values; the command line, the server and tests only listen.

`title` is what the user called a node, `origin` how the user finds one that stands inside a subgraph.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal

from pydantic import JsonValue

from graphengine.workflow.models import NodeId


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The plan is made: `execute` nodes will run, `cached` ones are taken from the store.

    Nodes that only feed cached nodes are in neither list.
    """

    kind: ClassVar[str] = "run_started"
    execute: tuple[NodeId, ...]
    cached: tuple[NodeId, ...]


@dataclass(frozen=True, slots=True)
class NodeCached:
    """A node's outputs come from the store; `ui` is what it showed when it ran."""

    kind: ClassVar[str] = "node_cached"
    node_id: NodeId
    class_type: str
    title: str | None = None
    origin: str | None = None
    ui: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NodeStarted:
    """A node is about to be called."""

    kind: ClassVar[str] = "node_started"
    node_id: NodeId
    class_type: str
    title: str | None = None
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class NodeProgress:
    """A node has done `value` of `total` steps (sampler steps, files, …)."""

    kind: ClassVar[str] = "node_progress"
    node_id: NodeId
    value: int
    total: int


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


@dataclass(frozen=True, slots=True)
class NodeFailed:
    """A node raised; the run ends after it."""

    kind: ClassVar[str] = "node_failed"
    node_id: NodeId
    class_type: str
    message: str
    hint: str | None = None
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The run is over; `seconds` is wall time."""

    kind: ClassVar[str] = "run_finished"
    status: Literal["success", "error", "cancelled"]
    seconds: float
    executed: int
    cached: int


Event = RunStarted | NodeCached | NodeStarted | NodeProgress | NodeFinished | NodeFailed | RunFinished
Listener = Callable[[Event], None]


# Any: `asdict` gives plain JSON values, which its type does not say.
def event_to_json(event: Event) -> dict[str, Any]:
    """The event as a JSON object with its `kind`."""
    return {"kind": event.kind, **asdict(event)}
