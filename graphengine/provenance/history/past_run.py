"""One run of a project's history: enough to find it, compare it, run it again, and tell what went into it.

It holds no secret: inputs that hold one are replaced, and the tokens of a run are not in it at all.
"""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, JsonValue, TypeAdapter, with_config

from graphengine.provenance.record import NodeState, RunFailure

#: Raised when older versions cannot read what is written.
HISTORY_FORMAT = 1

_CLOSED = ConfigDict(extra="forbid", ser_json_inf_nan="constants")
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


@with_config(_CLOSED)
@dataclass(frozen=True, slots=True)
class GitState:
    """Where the project's repository stood: its commit (hex), and whether all tracked files were as committed."""

    commit: str
    is_clean: bool
    branch: str | None = None


@with_config(_CLOSED)
@dataclass(frozen=True, slots=True)
class Machine:
    """What computed: versions, the kind of device as keys have it ("cpu", "cuda"), and its name."""

    graphengine: str
    python: str
    platform: str
    device: str = "unknown"
    torch: str | None = None
    cores: int | None = None
    memory: int | None = None


@with_config(_CLOSED)
@dataclass(frozen=True, slots=True)
class OutputFile:
    """A file that a node saved. `path` is relative to the project's folder when it lies below, with `/`.

    `is_new` tells that this run wrote it; otherwise an earlier one had, and the node came from the cache.
    """

    node_id: str
    path: str
    sha256: _Sha256
    bytes: int
    is_new: bool = True


@with_config(_CLOSED)
@dataclass(frozen=True, slots=True)
class UsedFile:
    """A file that an input of a node names: a model, a picture. `kind` is its models folder, or "input".

    `name` is the choice that the workflow has, `path` where it was found.
    """

    node_id: str
    input: str
    kind: str
    name: str
    path: str
    sha256: _Sha256


@with_config(_CLOSED)
@dataclass(frozen=True, slots=True)
class UsedPack:
    """A node pack whose nodes took part: the hash of its code as keys know it, and where it came from."""

    name: str
    version: str | None = None
    sha256: str | None = None
    source: str | None = None
    commit: str | None = None


@with_config(_CLOSED)
@dataclass(frozen=True, slots=True)
class PastNode:
    """One node: its class, its recipe key (hex), what became of it, and the SHA-256 of each output (hex)."""

    class_type: str
    key: str
    state: NodeState
    seconds: float | None = None
    digests: tuple[str, ...] = ()


@with_config(_CLOSED)
@dataclass(frozen=True, slots=True)
class PastRun:
    """A run. Times are seconds, `started` since 1970.

    `id` sorts by time and is unique. `file` is the workflow's, relative to the project's folder when it lies
    below. `workflow` is the hash of its canonical API document without secrets, which the history holds under
    that hash; `drawn` likewise of the editor's document, where there was one. `lock` is the hash of
    `graphengine.lock`. `seeds` and `parameters` are by "NODE.INPUT": every seed, and what the command line
    changed. `environment` are the settings of computing that stand in keys. `replay_of` is the run that this
    one repeats.
    """

    id: str
    started: float
    seconds: float
    status: Literal["success", "error", "cancelled"]
    workflow: _Sha256
    machine: Machine
    file: str | None = None
    drawn: _Sha256 | None = None
    lock: _Sha256 | None = None
    git: GitState | None = None
    targets: tuple[str, ...] = ()
    seeds: dict[str, int] = field(default_factory=dict)
    parameters: dict[str, JsonValue] = field(default_factory=dict)
    nodes: dict[str, PastNode] = field(default_factory=dict)
    outputs: tuple[OutputFile, ...] = ()
    files: tuple[UsedFile, ...] = ()
    packs: tuple[UsedPack, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    failure: RunFailure | None = None
    replay_of: str | None = None
    format: Annotated[int, Field(ge=HISTORY_FORMAT, le=HISTORY_FORMAT)] = HISTORY_FORMAT


#: Checks and writes runs, one line each; also their JSON Schema.
PAST_RUN: TypeAdapter[PastRun] = TypeAdapter(PastRun)
