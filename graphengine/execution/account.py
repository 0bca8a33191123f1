"""What a run has come to, as its record needs it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from graphengine.execution.digests import NodeDigests
from graphengine.execution.known import KnownNodes
from graphengine.execution.recall import Recall
from graphengine.workflow.models import NodeId


@dataclass(frozen=True, slots=True)
class Account:
    """The nodes of a run with their keys, what the store had of them, and which were executed (with seconds).

    `shown` is what nodes showed, or had shown when they ran: the files they saved.
    """

    known: KnownNodes
    recall: Recall
    digests: NodeDigests
    executed: Mapping[NodeId, float]
    cached: Collection[NodeId]
    shown: Mapping[NodeId, Mapping[str, object]] = field(default_factory=dict)
