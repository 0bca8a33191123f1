"""An executor that calls each node twice and remembers what differed.

The cache takes for granted that a node gives the same for the same inputs and leaves its inputs alone. A node that
does not poisons it: what is kept is then one of many answers. This executor finds such nodes. Each call gets
copies of its inputs, so that a node which changes them in place is found and does no harm; the second call is made
on a new object. A node that says that it is not to be cached is exempt from the second call.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from graphengine.errors import RunCancelled
from graphengine.execution.answers import Expanding, Finished, Outcome, Wanting
from graphengine.execution.call import NodeCall, call_node
from graphengine.execution.coroutines import CoroutineLoop
from graphengine.execution.executor import Instances
from graphengine.execution.failures import describe_briefly
from graphengine.execution.keys import call_with_known
from graphengine.execution.purity_values import Comparison, compare, copy_value
from graphengine.node.api import NodeContext
from graphengine.node.definition import NodeDefinition
from graphengine.workflow.models import Link, NodeId, WorkflowNode

Verdict = Literal["pure", "not compared", "exempt", "impure"]

_BY_WEIGHT: tuple[Verdict, ...] = ("pure", "not compared", "exempt", "impure")


@dataclass(frozen=True, slots=True)
class NodePurity:
    """What two calls of a node showed. `reasons` say what differed, why it is exempt, or what was not compared."""

    node_id: str
    class_type: str
    verdict: Verdict
    reasons: tuple[str, ...] = ()


class PurityExecutor:
    """Runs each call twice in this thread, and hands on what the first gave.

    `nodes` are those of the document, `define` gives the definition of a class. What output nodes save the second
    time goes to the folder `scratch`. Numbers may differ by `tolerance`, as `purity_values.compare` has it.
    """

    jobs = 1

    def __init__(
        self,
        nodes: Mapping[NodeId, WorkflowNode],
        define: Callable[[str], NodeDefinition | None],
        scratch: Path,
        tolerance: float = 0.0,
    ) -> None:
        self.instances = Instances()
        self._nodes = nodes
        self._define = define
        self._scratch = scratch
        self._tolerance = tolerance
        self._coroutines = CoroutineLoop()
        self._found: dict[str, NodePurity] = {}

    @property
    def found(self) -> tuple[NodePurity, ...]:
        """What was found of each node that ran, in the order in which they ended."""
        return tuple(self._found.values())

    def submit(self, call: NodeCall) -> "Future[Outcome]":
        """Make both calls; an error of the first is kept in the future."""
        future: Future[Outcome] = Future()
        try:
            future.set_result(self._checked(call))
        except Exception as error:  # noqa: BLE001 (a node may raise anything)
            future.set_exception(error)
        return future

    def abandon(self, future: "Future[Outcome]") -> None:
        """Do nothing: calls have ended when this can be asked."""

    def close(self) -> None:
        """End the loop of the coroutines."""
        self._coroutines.close()

    def _checked(self, call: NodeCall) -> Outcome:
        definition = self._define(call.class_type)
        outcome, changed = self._called(call, self.instances.of(call))
        outcome = _snapshot(outcome)
        exemption = _exemption(definition, self._nodes.get(NodeId(call.node_id)))
        if exemption is not None:
            self._note(call, "impure" if changed else "exempt", (*changed, exemption))
            return outcome
        found = self._second(call, definition, outcome)
        reasons = dict.fromkeys([*changed, *found.differences])
        unknown = tuple(f"not compared: {name}" for name in found.unknown)
        self._note(call, "impure" if reasons else "not compared" if unknown else "pure", (*reasons, *unknown))
        return outcome

    def _second(self, call: NodeCall, definition: NodeDefinition | None, first: Outcome) -> Comparison:
        """What the second call showed."""
        if definition is not None and definition.is_output:
            call = _saving_to(call, self._scratch)
        try:
            second, changed = self._called(call, call.load()())
        except RunCancelled:
            raise
        except Exception as error:  # noqa: BLE001 (a node may raise anything)
            return Comparison((f"the second call fails: {describe_briefly(error)}",))
        found = _compare(first, second, definition, self._tolerance)
        return replace(found, differences=(*changed, *found.differences))

    def _called(self, call: NodeCall, node: object) -> tuple[Outcome, tuple[str, ...]]:
        """The outcome of a call with copied inputs, and what it changed in them."""
        inputs = copy_value(dict(call.inputs))
        copied = replace(call, inputs=inputs)
        waited = self._coroutines.submit(copied, node) if call.is_async else None
        outcome = call_node(copied, node) if waited is None else waited.result()
        return outcome, tuple(_changes(call.inputs, inputs))

    def _note(self, call: NodeCall, verdict: Verdict, reasons: tuple[str, ...]) -> None:
        """Remember what a call showed; of several calls of a node the worst counts."""
        known = self._found.get(call.node_id)
        if known is not None:
            verdict = max(verdict, known.verdict, key=_BY_WEIGHT.index)
            reasons = tuple(dict.fromkeys([*known.reasons, *reasons]))
        self._found[call.node_id] = NodePurity(call.node_id, call.class_type, verdict, reasons)


def _exemption(definition: NodeDefinition | None, node: WorkflowNode | None) -> str | None:
    """Why a node need not give the same twice, in words; None when it has to."""
    if definition is None:
        return None
    if not definition.pure:
        return "its class says that it is not pure"
    if definition.not_idempotent:
        return "it says that it is not idempotent"
    if definition.has_fingerprint and node is not None and _always_changes(definition, node):
        return "it says that it changes every time (IS_CHANGED)"
    return None


def _always_changes(definition: NodeDefinition, node: WorkflowNode) -> bool:
    assert definition.load is not None
    literals = {name: None if isinstance(value, Link) else value for name, value in node.inputs.items()}
    try:
        answer = call_with_known(definition.load().IS_CHANGED, literals)
    except Exception:  # noqa: BLE001 (a node may raise anything; the run has it run again then)
        return True
    return isinstance(answer, float) and math.isnan(answer)


def _saving_to(call: NodeCall, scratch: Path) -> NodeCall:
    """The call with other folders to save to."""
    folders = replace(call.context.folders, output=scratch / "output", temp=scratch / "temp")
    context = replace(call.context, folders=folders)
    hidden = {name: context if isinstance(value, NodeContext) else value for name, value in call.hidden.items()}
    return replace(call, context=context, hidden=hidden)


def _snapshot(outcome: Outcome) -> Outcome:
    """The outcome as it is now: the second call may change what the first gave."""
    if not isinstance(outcome, Finished):
        return outcome
    return replace(outcome, outputs=replace(outcome.outputs, slots=copy_value(outcome.outputs.slots)))


def _changes(before: Mapping[str, tuple[object, ...]], after: Mapping[str, Any]) -> Iterable[str]:
    for name, items in before.items():
        for difference in compare(items, after[name]).differences[:1]:
            yield f"it changes its input {name!r} in place ({difference})"


def _compare(first: Outcome, second: Outcome, definition: NodeDefinition | None, tolerance: float) -> Comparison:
    match first, second:
        case Finished(), Finished():
            return _compare_outputs(first, second, definition, tolerance)
        case Wanting(), Wanting():
            same = first.names == second.names
            return Comparison(() if same else ("it asks for other lazy inputs",))
        case Expanding(), Expanding():
            return Comparison(unknown=("the nodes in its place are checked themselves",))
        case _:
            kinds = [type(outcome).__name__.lower() for outcome in (first, second)]
            return Comparison((f"it is {kinds[0]}, then {kinds[1]}",))


def _compare_outputs(
    first: Finished, second: Finished, definition: NodeDefinition | None, tolerance: float
) -> Comparison:
    differences: list[str] = []
    unknown: list[str] = []
    for index, (one, other) in enumerate(zip(first.outputs.slots, second.outputs.slots, strict=False)):
        spec = definition.output(index) if definition is not None else None
        label = f"output {index} ({spec.name})" if spec is not None else f"output {index}"
        values = (one[0], other[0]) if len(one) == len(other) == 1 else (one, other)
        found = compare(*values, tolerance)
        differences += [f"{label} {difference}" for difference in found.differences]
        unknown += [f"{label}, {name}" for name in found.unknown]
    if len(first.outputs.slots) != len(second.outputs.slots):
        differences.append(f"it has {len(first.outputs.slots)} outputs, then {len(second.outputs.slots)}")
    shown = compare(_without_files(first.outputs.ui), _without_files(second.outputs.ui), tolerance)
    differences += [f"what it shows {difference}" for difference in shown.differences]
    return Comparison(tuple(differences), tuple(unknown))


def _without_files(ui: Mapping[str, Any]) -> dict[str, Any]:
    """What a node shows, without the files it saved: each gets a new name."""
    return {name: [None if _is_file(item) else item for item in _list(items)] for name, items in ui.items()}


def _list(items: Any) -> list[Any]:
    return list(items) if isinstance(items, list | tuple) else [items]


def _is_file(item: object) -> bool:
    return isinstance(item, dict) and "filename" in item
