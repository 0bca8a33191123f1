"""Runs small workflows over the pack of nodes that use every feature of the executor."""

import importlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from graphengine.cache.store import CacheStore, MemoryStore
from graphengine.engine import Engine
from graphengine.execution.events import Event, NodeStarted
from graphengine.execution.executor import LocalExecutor
from graphengine.execution.hidden import RunExtra
from graphengine.execution.policy import RunOptions
from graphengine.execution.result import RunResult
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from graphengine.packs.discover import Pack
from graphengine.packs.load import load_pack
from graphengine.packs.stand_ins import put_in_place
from graphengine.workflow.models import NodeId
from tests.workflows import workflow

PACK = Pack("v1_flow", "graphengine_pack_v1_flow", Path(__file__).parents[1] / "comfy" / "packs" / "v1_flow.py")

E = TypeVar("E")

#: `{"2": ("FlowAdd", {"a": ["1", 0], "b": 5})}`
Nodes = Mapping[str, tuple[str, Mapping[str, Any]]]


def _never() -> bool:
    return False


@dataclass
class Flow:
    """An engine over the pack, and the events of the last run."""

    store: CacheStore = field(default_factory=MemoryStore)
    options: RunOptions = field(default_factory=RunOptions)
    extra: RunExtra = field(default_factory=RunExtra)
    is_cancelled: Callable[[], bool] = _never
    events: list[Event] = field(default_factory=list)
    engine: Engine = field(init=False)

    def __post_init__(self) -> None:
        put_in_place(["graphengine_comfy"])  # by name: in a bare checkout no distribution announces it
        registry = NodeRegistry(load_pack(PACK).definitions)
        self.engine = Engine(registry, self.store, Folders(), LocalExecutor(), "cpu")
        self.module.CALLS.clear()

    @property
    def module(self) -> ModuleType:
        """The pack's module."""
        return importlib.import_module(PACK.module)

    def run(self, nodes: Nodes, targets: Collection[str] | None = None) -> RunResult:
        self.events.clear()
        self.module.CALLS.clear()
        return self.engine.run(
            workflow(nodes),
            targets=None if targets is None else [NodeId(target) for target in targets],
            on_event=self.events.append,
            is_cancelled=self.is_cancelled,
            extra=self.extra,
            options=self.options,
        )

    def value(self, nodes: Nodes, node_id: str, output: int = 0) -> object:
        """The items of an output, a single one without its tuple."""
        outputs = self.run(nodes, [node_id]).outputs(NodeId(node_id))
        assert outputs is not None
        items = outputs.slots[output]
        return items[0] if len(items) == 1 else items

    def calls(self, class_type: str) -> list[tuple[Any, ...]]:
        """The arguments of each call of a class in the last run."""
        return [
            arguments for name, *rest in self.module.CALLS if name == class_type for arguments in [tuple(rest)]
        ]

    def called(self) -> list[str]:
        """The classes called in the last run, in order."""
        return [name for name, *_ in self.module.CALLS]

    def started(self) -> list[str]:
        """The nodes started in the last run, in order."""
        return [event.node_id for event in self.events if isinstance(event, NodeStarted)]

    def of_kind(self, kind: type[E]) -> list[E]:
        """The events of a kind in the last run."""
        return [event for event in self.events if isinstance(event, kind)]
