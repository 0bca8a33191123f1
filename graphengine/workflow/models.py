"""What a workflow says, whatever file it came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NewType

from pydantic import JsonValue

NodeId = NewType("NodeId", str)


@dataclass(frozen=True, slots=True)
class Link:
    """An input fed by another node's output; `output` counts from 0."""

    source: NodeId
    output: int


@dataclass(frozen=True, slots=True)
class WorkflowNode:
    """One node: its type and its inputs, each a link or a literal value.

    `title` is what the user called it, `origin` how the user finds it when it stands inside something else:
    "node 3 'KSampler' inside subgraph 'Refine'". `inputs` is never changed after construction.
    """

    class_type: str
    inputs: Mapping[str, Link | JsonValue] = field(default_factory=dict)
    title: str | None = None
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class Workflow:
    """Nodes by id, independent of the file format.

    `ui` is the editor's document when the workflow was converted from one or the file held one beside the API
    document; pictures carry it on. `changed` has the inputs that were set for one run, by "NODE.INPUT": they are
    in `nodes` already, and records of the run name them.
    """

    nodes: Mapping[NodeId, WorkflowNode]
    # Any: the editor's document is open-ended; it is passed on, not read.
    ui: Mapping[str, Any] | None = field(default=None, repr=False)
    changed: Mapping[str, JsonValue] = field(default_factory=dict, repr=False, compare=False)
