"""One run of one plan: the only mutable object of the engine.

Policy. A run works backwards first: from the targets, a node whose outputs the store holds is taken from there and
nothing before it is looked at; any other node is executed and asks for the nodes it reads. Then it goes through
the plan in order and executes what was asked for. So a cached branch costs nothing, whatever feeds it.

State. `_keys`, `_volatile` and `_kept` (the targets' keys) are computed once. `_values` holds the outputs of this
run by cache key, each until its last reader has run; equal nodes share a key and run once. `_damaged` holds keys
that the store promised and could not give: the run then works backwards again with those nodes executed.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from graphengine.cache.store import CacheStore, Entry, Outputs
from graphengine.errors import GraphEngineError, NodeExecutionError, RunCancelled
from graphengine.execution.call import Items, NodeCall
from graphengine.execution.events import (
    Event,
    Listener,
    NodeCached,
    NodeFailed,
    NodeFinished,
    NodeProgress,
    NodeStarted,
    RunFinished,
    RunStarted,
)
from graphengine.execution.executor import Executor
from graphengine.execution.hidden import HiddenValues
from graphengine.execution.keys import Fingerprint, compute_keys
from graphengine.execution.shown import shown_files_exist
from graphengine.graph.plan import Plan
from graphengine.node.definition import Files, NodeDefinition
from graphengine.node.folders import Folders
from graphengine.workflow.models import Link, NodeId


def _silent(event: Event) -> None:
    """Nobody listens."""


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run gave: which nodes were executed (with seconds) or cached, and what the targets show and hold."""

    executed: Mapping[NodeId, float]
    cached: tuple[NodeId, ...]
    ui: Mapping[NodeId, Mapping[str, object]]
    _keys: Mapping[NodeId, str] = field(repr=False)
    _values: Mapping[str, Outputs] = field(repr=False)
    _store: CacheStore = field(repr=False)

    def outputs(self, node_id: NodeId) -> Outputs | None:
        """The outputs of a node of the plan, None when they were not kept. Targets are always kept."""
        key = self._keys[node_id]
        return self._values.get(key) or self._store.get(key)


class _Damaged(Exception):
    """The store could not give what it promised for a key."""


@dataclass(slots=True)
class Run:
    """State of a run; callers see it through events and the result."""

    plan: Plan
    store: CacheStore
    executor: Executor
    folders: Folders
    fingerprint: Fingerprint
    hidden: HiddenValues
    on_event: Listener = _silent
    is_cancelled: Callable[[], bool] = _never
    _keys: dict[NodeId, str] = field(default_factory=dict)
    _volatile: set[NodeId] = field(default_factory=set)
    _values: dict[str, Outputs] = field(default_factory=dict)
    _kept: set[str] = field(default_factory=set)
    _readers: Counter[str] = field(default_factory=Counter)
    _damaged: set[str] = field(default_factory=set)
    _executed: dict[NodeId, float] = field(default_factory=dict)
    _cached: dict[NodeId, Entry] = field(default_factory=dict)
    _ui: dict[NodeId, Mapping[str, object]] = field(default_factory=dict)

    def execute(self) -> RunResult:
        """Run what the targets need.

        Raises:
            NodeExecutionError: a node raised; later nodes are not run, finished ones stay in the store.
            RunCancelled: the run was asked to stop.
        """
        started = time.perf_counter()
        status: Literal["success", "error", "cancelled"] = "error"
        try:
            self._keys, self._volatile = compute_keys(self.plan, self.folders, self.fingerprint)
            self._kept = {self._keys[target] for target in self.plan.graph.targets}
            while not self._pass():
                continue
            status = "success"
        except (RunCancelled, KeyboardInterrupt):
            status = "cancelled"
            raise
        finally:
            seconds = time.perf_counter() - started
            self.on_event(RunFinished(status, seconds, len(self._executed), len(self._cached)))
        return RunResult(self._executed, tuple(self._cached), self._ui, self._keys, self._values, self.store)

    def _pass(self) -> bool:
        """Execute all that is asked for; False when the store failed on the way and it must be tried again."""
        execute = self._ask()
        try:
            for node_id in execute:
                self._stop_if_cancelled()
                self._step(node_id)
        except _Damaged:
            return False
        return True

    def _ask(self) -> list[NodeId]:
        """Work backwards from the targets; the nodes to execute, in the order of the plan."""
        graph = self.plan.graph
        wanted, execute = set(graph.targets), list[NodeId]()
        known = self.store.peek_many([key for key in self._keys.values() if key not in self._damaged])
        cached: dict[NodeId, Entry] = {}
        self._readers.clear()
        for node_id in reversed(self.plan.steps):
            key = self._keys[node_id]
            if node_id not in wanted or key in self._values:
                continue
            entry = known.get(key)
            if entry is not None and self._is_good(node_id, entry):
                cached[node_id] = entry
                continue
            execute.append(node_id)
            for source in graph.dag.pred[node_id]:
                wanted.add(source)
                self._readers[self._keys[source]] += 1
        execute.reverse()
        self._announce(execute, dict(reversed(cached.items())))
        return execute

    def _is_good(self, node_id: NodeId, entry: Entry) -> bool:
        """Whether an entry still stands: what an output node saved must still be there."""
        return not self.plan.graph.definitions[node_id].is_output or shown_files_exist(entry.ui, self.folders)

    def _announce(self, execute: list[NodeId], cached: Mapping[NodeId, Entry]) -> None:
        new = {node_id: entry for node_id, entry in cached.items() if node_id not in self._cached}
        self._cached = {**self._cached, **cached}
        self.on_event(RunStarted(tuple(execute), tuple(cached)))
        for node_id, entry in new.items():
            self._take_cached(node_id, entry.ui)

    def _take_cached(self, node_id: NodeId, ui: Mapping[str, object]) -> None:
        node = self.plan.graph.nodes[node_id]
        if ui:
            self._ui[node_id] = ui
        self.on_event(NodeCached(node_id, node.class_type, node.title, node.origin, ui))  # type: ignore[arg-type]  # JSON

    def _step(self, node_id: NodeId) -> None:
        node, key = self.plan.graph.nodes[node_id], self._keys[node_id]
        if key in self._values:  # an equal node has run
            self._cached[node_id] = Entry(self._values[key].ui)
            self._take_cached(node_id, self._values[key].ui)
            return
        call = self._call(node_id)
        self.on_event(NodeStarted(node_id, node.class_type, node.title, node.origin))
        begun = time.perf_counter()
        outputs = self._outcome(call, self.plan.graph.definitions[node_id])
        self._executed[node_id] = seconds = time.perf_counter() - begun
        stored = node_id not in self._volatile and self.store.put(key, outputs)
        self._values[key] = outputs
        if outputs.ui:
            self._ui[node_id] = outputs.ui
        self._release(node_id)
        self.on_event(NodeFinished(node_id, node.class_type, seconds, node.title, node.origin, outputs.ui, stored))

    def _call(self, node_id: NodeId) -> NodeCall:
        definition = self.plan.graph.definitions[node_id]
        if definition.load is None:
            raise NodeExecutionError(
                node_id,
                definition.class_type,
                "only its description is known, no code that runs it",
                hint="install the node pack that defines it into custom_nodes",
                origin=self._origin(node_id),
            )
        return NodeCall(
            node_id=node_id,
            class_type=definition.class_type,
            load=definition.load,
            function=definition.function,
            output_is_list=tuple(output.is_list for output in definition.outputs),
            inputs={
                name: self._items(value) if type(value) is Link else (value,)
                for name, value in self.plan.graph.nodes[node_id].inputs.items()
            },
            hidden=self.hidden.of(node_id, definition, self._report(node_id), self.is_cancelled),
            input_is_list=definition.input_is_list,
        )

    def _items(self, link: Link) -> Items:
        key = self._keys[link.source]
        outputs = self._values.get(key) or self.store.get(key)
        if outputs is None:
            self._damaged.add(key)
            self._cached.pop(link.source, None)
            raise _Damaged
        self._values[key] = outputs
        return outputs.slots[link.output]

    def _report(self, node_id: NodeId) -> Callable[[int, int], None]:
        return lambda value, total: self.on_event(NodeProgress(node_id, value, total))

    def _outcome(self, call: NodeCall, definition: NodeDefinition) -> Outputs:
        try:
            return self.executor.submit(call).result()
        except (RunCancelled, KeyboardInterrupt):
            raise
        except Exception as error:
            hint = error.hint if isinstance(error, GraphEngineError) else None
            node_id, origin = NodeId(call.node_id), self._origin(NodeId(call.node_id))
            message = _message(error, call, definition)
            failure = NodeExecutionError(node_id, call.class_type, message, hint=hint, origin=origin)
            self.on_event(NodeFailed(node_id, call.class_type, failure.message, hint, origin))
            raise failure from error

    def _origin(self, node_id: NodeId) -> str | None:
        return self.plan.graph.nodes[node_id].origin

    def _release(self, node_id: NodeId) -> None:
        """Forget the outputs that no node still to run reads; targets are kept."""
        for source in self.plan.graph.dag.pred[node_id]:
            key = self._keys[source]
            self._readers[key] -= 1
            if self._readers[key] <= 0 and key not in self._kept:
                self._values.pop(key, None)

    def _stop_if_cancelled(self) -> None:
        if self.is_cancelled():
            raise RunCancelled


def _message(error: Exception, call: NodeCall, definition: NodeDefinition) -> str:
    """What went wrong, with the file input named when the node has one: most often it is the file."""
    text = error.message if isinstance(error, GraphEngineError) else f"{type(error).__name__}: {error}"
    named = [spec.name for spec in definition.inputs.values() if isinstance(spec.choices, Files)]
    if isinstance(error, GraphEngineError) and len(named) == 1 and named[0] in call.inputs:
        return f"input {named[0]!r}: {text}"
    return text
