"""Which nodes of a run are asked for: worked out backwards, from the targets and from what comes up later."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from graphengine.cache.store import Entry
from graphengine.execution.digests import NodeDigests
from graphengine.execution.held import HeldOutputs
from graphengine.execution.known import KnownNodes
from graphengine.execution.recall import Recall
from graphengine.execution.steps import Agenda, Step
from graphengine.workflow.models import NodeId


@dataclass(slots=True)
class Demand:
    """The nodes asked for: those the store has are in `cached` and announced, the others are on the agenda."""

    known: KnownNodes
    recall: Recall
    digests: NodeDigests
    held: HeldOutputs
    agenda: Agenda
    announce: Callable[[NodeId, Mapping[str, object]], None]
    cached: dict[NodeId, Entry] = field(default_factory=dict)
    _asked: set[NodeId] = field(default_factory=set)

    def ask(self, wanted: Iterable[NodeId]) -> tuple[list[NodeId], list[Step]]:
        """Ask for nodes and what they need; gives the new ones that the store has, and steps for the others."""
        cached: list[NodeId] = []
        steps: list[Step] = []
        waiting = list(wanted)
        while waiting:
            node_id = waiting.pop()
            if node_id in self._asked:
                continue
            self._asked.add(node_id)
            entry = self.recall.by_recipe(node_id)
            if entry is not None:
                self.cached[node_id] = entry
                self.digests.settle(node_id, entry.digests)
                cached.append(node_id)
                continue
            step = self.known.step(node_id)
            steps.append(step)
            waiting.extend(step.sources)
            for recipe in step.recipes:
                waiting.extend(self.digests.grounds(recipe))
                # what another node has loaded stays until it is certain that this one does not need it
                step.reserved |= {recipe} if step.definition.is_recipe else self.digests.loaders(recipe)
            self.held.expect(self.known.keys.of[source] for source in (*step.sources, *step.reserved))
        return cached, steps

    def take_in(self, cached: Iterable[NodeId], steps: list[Step]) -> None:
        """Tell of what comes from the store; have steps wait for what they read, or must know of it."""
        for node_id in cached:
            self.announce(node_id, self.cached[node_id].ui)
        self.agenda.add(steps)
        for step in steps:
            grounds = {ground for recipe in step.recipes for ground in self.digests.grounds(recipe)}
            self.agenda.wait(step, step.sources | grounds)

    def need(self, step: Step, sources: Iterable[NodeId]) -> None:
        """Have a step wait for more nodes."""
        more = set(sources)
        self.held.expect(self.known.keys.of[source] for source in more)
        self.take_in(*self.ask(more))
        self.agenda.wait(step, more)

    def again(self, step: Step, lost: NodeId) -> None:
        """Have a step wait for a node to be computed again whose outputs are gone."""
        self.recall.forget(lost)
        self.cached.pop(lost, None)
        self._asked.discard(lost)
        self.take_in(*self.ask([lost]))
        self.agenda.wait(step, [lost])

    def expected(self, steps: Iterable[Step]) -> tuple[NodeId, ...]:
        """The nodes that run if none gives what it gave before: the steps, and loaders that are not in memory."""
        expected = {step.node_id: step for step in steps}
        waiting = [recipe for step in expected.values() for recipe in step.recipes]
        while waiting:
            node_id = waiting.pop()
            if node_id not in expected and not self.recall.has(node_id):
                expected[node_id] = step = self.known.step(node_id)
                waiting.extend(step.recipes)
        return tuple(step.node_id for step in sorted(expected.values(), key=lambda step: step.order))
