"""What a run gave."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from graphengine.cache.store import Outputs
from graphengine.errors import Problem
from graphengine.execution.held import HeldOutputs
from graphengine.workflow.models import NodeId


@dataclass(frozen=True, slots=True)
class RunResult:
    """Which nodes were executed (with seconds) or cached, and what was shown.

    `problems` are what keeps other targets from running, when only part of the workflow was run.
    """

    executed: Mapping[NodeId, float]
    cached: tuple[NodeId, ...]
    ui: Mapping[NodeId, Mapping[str, object]]
    problems: tuple[Problem, ...] = field(default=(), kw_only=True)
    _keys: Mapping[NodeId, str] = field(repr=False)
    _held: HeldOutputs = field(repr=False)

    def outputs(self, node_id: NodeId) -> Outputs | None:
        """The outputs of a node of the plan, None when they were not kept. Targets are always kept."""
        return self._held.find(self._keys[node_id])
