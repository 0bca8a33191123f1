"""The nodes of a run that are to be executed, and which of them may start.

A step waits for the nodes it reads that are steps themselves. When the last of them is finished it is ready. Among
ready steps coroutines go first, then the one of the lowest order. A step whose resources are in use stands aside
until they are given back. All operations take O(log n).
"""

from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush

from graphengine.execution.events import Expanded
from graphengine.execution.expansion import Expansion
from graphengine.execution.peaks import NOTHING, Peak
from graphengine.node.definition import NodeDefinition
from graphengine.workflow.models import Link, NodeId, WorkflowNode

#: The place of the document's node in the plan, then the place among the nodes that stand for it.
Order = tuple[int, int, int]


@dataclass(slots=True)
class Step:
    """A node to be executed.

    `sources` are the nodes it reads as far as is known, without those in `recipes`, which are asked for when it is
    certain that the node must be called, and without the `lazy` linked inputs that it has not asked for.
    `reserved` are the recipes and what is behind them: their outputs are held until the step is done. `content` is
    its content key once it was looked for. `seconds` and `tries` count over all its calls, `peak`
    is the most memory that one took, `freed` tells that
    memory was freed for it. `expansion` is there while nodes run in its place.
    """

    node_id: NodeId
    node: WorkflowNode
    definition: NodeDefinition
    key: str
    order: Order
    sources: set[NodeId]
    recipes: set[NodeId] = field(default_factory=set)
    lazy: dict[str, Link] = field(default_factory=dict)
    expanded: Expanded | None = None
    reserved: set[NodeId] = field(default_factory=set)
    expansion: Expansion | None = None
    content: str | None = None
    is_looked_for: bool = False
    waiting: int = 0
    seconds: float = 0.0
    tries: int = 0
    peak: Peak = NOTHING
    freed: bool = False


class Agenda:
    """Steps that are not finished, and which of them may start."""

    def __init__(self) -> None:
        self.steps: dict[NodeId, Step] = {}
        self._readers: defaultdict[NodeId, list[Step]] = defaultdict(list)
        self._ready: list[tuple[Order, NodeId]] = []
        self._ready_coroutines: list[tuple[Order, NodeId]] = []
        self._busy: set[str] = set()
        self._aside: defaultdict[str, deque[Step]] = defaultdict(deque)

    def __bool__(self) -> bool:
        return bool(self.steps)

    def add(self, steps: Collection[Step]) -> None:
        """Add steps; `wait` tells what each waits for."""
        self.steps.update((step.node_id, step) for step in steps)

    def wait(self, step: Step, sources: Iterable[NodeId]) -> None:
        """Have the step wait for those of the nodes that are not finished; it is ready when there are none."""
        for source in sources:
            if source in self.steps:
                self._readers[source].append(step)
                step.waiting += 1
        if not step.waiting:
            self._make_ready(step)

    def next(self, *, only_coroutines: bool) -> Step | None:
        """The step to start now, with its resources taken; None when none may start."""
        while (step := self._pop(only_coroutines=only_coroutines)) is not None:
            busy = self._busy & step.definition.resources if self._busy else ()
            if not busy:
                self._busy |= step.definition.resources
                return step
            self._aside[min(busy)].append(step)
        return None

    def give_back(self, step: Step) -> None:
        """The step does not use its resources any more."""
        for resource in step.definition.resources:
            self._busy.discard(resource)
            if self._aside[resource]:
                self._make_ready(self._aside[resource].popleft())

    def finish(self, step: Step) -> None:
        """The step is done: what waited for it may start."""
        del self.steps[step.node_id]
        for reader in self._readers.pop(step.node_id, ()):
            reader.waiting -= 1
            if not reader.waiting:
                self._make_ready(reader)

    def stuck(self) -> list[NodeId]:
        """When nothing is ready or under way: a circle of steps that wait for each other, first and last the same.

        Empty when there is no such circle.
        """
        step = next(iter(self.steps.values()), None)
        path: dict[NodeId, None] = {}
        while step is not None and step.node_id not in path:
            path[step.node_id] = None
            step = next(self._awaited(step), None)
        if step is None:
            return []
        ids = list(path)
        return [*ids[ids.index(step.node_id) :], step.node_id]

    def _awaited(self, step: Step) -> Iterator[Step]:
        sources = step.sources if step.expansion is None else step.expansion.sources
        return (self.steps[source] for source in sorted(sources) if source in self.steps)

    def _make_ready(self, step: Step) -> None:
        heap = self._ready_coroutines if step.definition.is_async else self._ready
        heappush(heap, (step.order, step.node_id))

    def _pop(self, *, only_coroutines: bool) -> Step | None:
        for heap in (self._ready_coroutines,) if only_coroutines else (self._ready_coroutines, self._ready):
            if heap:
                return self.steps[heappop(heap)[1]]
        return None
