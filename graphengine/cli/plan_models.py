"""The form of what `plan --json` and `explain --json` write."""

from typing import Literal

from pydantic import ConfigDict, JsonValue, with_config
from typing_extensions import TypedDict  # with pydantic, Python 3.12 or newer could take that of typing

from graphengine.execution.forecast import Fate, Why
from graphengine.provenance.causes import CauseKind

_CLOSED = ConfigDict(extra="forbid")


@with_config(_CLOSED)
class PlannedNode(TypedDict):
    """A node of the plan, in its order.

    `of` is the node that `why` is about. Seconds and bytes of outputs are those of past runs, `runs` of them; they
    are null when there were none. `peak_bytes` are what it took of memory while it ran, more than was in use
    before; `device_peak_bytes` of CUDA devices. Null when not known, or below a MiB.
    """

    node_id: str
    class_type: str
    title: str | None
    fate: Fate
    why: Why
    of: str | None
    text: str
    seconds: float | None
    bytes: int | None
    peak_bytes: int | None
    device_peak_bytes: int | None
    runs: int


@with_config(_CLOSED)
class PlanTotals(TypedDict):
    """Counts, and what it takes: `seconds` of nodes that run, `seconds_perhaps` of the others; `unknown` nodes are
    in neither. `bytes` of outputs are held at once, at most. `peak_bytes` and `device_peak_bytes` are those of the
    node that takes most.
    """

    runs: int
    perhaps: int
    cached: int
    not_needed: int
    seconds: float
    seconds_perhaps: float
    unknown: int
    bytes: int
    peak_bytes: int | None
    device_peak_bytes: int | None


@with_config(_CLOSED)
class PlanReport(TypedDict):
    """What `graphengine plan --json` writes."""

    file: str
    targets: list[str]
    nodes: list[PlannedNode]
    totals: PlanTotals


@with_config(_CLOSED)
class ExplainedCause(TypedDict):
    """A reason for nodes to run; `nodes` are those it lies in, `part` is the part of their keys that changed."""

    kind: CauseKind
    text: str
    nodes: list[str]
    part: str | None
    old: JsonValue
    new: JsonValue
    at: float | None


@with_config(_CLOSED)
class ExplainedRun(TypedDict):
    """Why nodes run: the next time, or in the run that `started` (seconds since 1970)."""

    started: float | None
    status: Literal["success", "error", "cancelled", "planned"]
    runs: list[str]
    perhaps: list[str]
    cached: list[str]
    causes: list[ExplainedCause]


@with_config(_CLOSED)
class Explanation(TypedDict):
    """What `graphengine explain --json` writes; `node` is null when all are explained.

    `parts` are those of the node's key. `last` is null when no run is recorded.
    """

    file: str
    node: str | None
    parts: dict[str, str]
    next: ExplainedRun
    last: ExplainedRun | None
