"""One run of one plan: the only mutable object of the engine.

Policy. A run works backwards first: from the targets, a node whose outputs the store holds is taken from there and
nothing before it is looked at; any other node becomes a step and asks for the nodes it reads. So a cached branch
costs nothing, whatever feeds it. Then steps run when what they read is finished, in the order of the plan where
there is a choice, as many at once as the executor takes. While the run goes on, more nodes are asked for in the
same way: lazy inputs that a node wants, nodes that a node puts in its place, and nodes whose outputs the store
promised and cannot give.

State. `known` has all nodes with their keys, the plan's and those that expansion adds. `_entries` is what the
store says it holds of them, `_asked` are those that a step or a target reads. `_agenda` has the steps that are not
done, `_flights` the calls under way. `_owners` names the node that computes a key now: equal nodes share a key and
run once. `_held` has outputs until their last reader has run. `_expanding` counts nodes with others in place.
`_told` are nodes left out for a blocker with a message; they are not stored, so that the next run tells it.

Only the thread that called `execute` changes any of this. Nodes in other threads report progress, under a lock.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Literal, NoReturn

from graphengine.cache.content import slot_digests
from graphengine.cache.store import CacheStore, Entry, Outputs
from graphengine.errors import GraphEngineError, RunCancelled
from graphengine.execution.answers import Expanding, Finished, Items, Outcome, Wanting
from graphengine.execution.call import NodeCall
from graphengine.execution.calls import CallMaker
from graphengine.execution.digests import NodeDigests
from graphengine.execution.events import (
    Event,
    NodeBlocked,
    NodeCached,
    NodeFinished,
    NodeRetried,
    NodeStarted,
    RunFinished,
    RunInterrupted,
    RunStarted,
)
from graphengine.execution.executor import Executor
from graphengine.execution.expansion import DependencyCycleError, Expansion, new_nodes, resolved, result_links
from graphengine.execution.failures import describe_briefly, failed_event, failure, is_out_of_memory
from graphengine.execution.flight import Flight, Flights
from graphengine.execution.held import HeldOutputs, OutputsLost
from graphengine.execution.hidden import HiddenValues, RunExtra
from graphengine.execution.hooks import RunHooks
from graphengine.execution.known import KnownNodes
from graphengine.execution.policy import RunOptions
from graphengine.execution.result import RunResult
from graphengine.execution.shown import shown_files_exist
from graphengine.execution.steps import Agenda, Step
from graphengine.node.folders import Folders
from graphengine.workflow.collector import collector_paused
from graphengine.workflow.models import Link, NodeId


@dataclass(slots=True)
class Run:
    """State of a run; callers see it through events and the result."""

    known: KnownNodes
    store: CacheStore
    executor: Executor
    folders: Folders
    options: RunOptions = field(default_factory=RunOptions)
    extra: RunExtra = field(default_factory=RunExtra)
    hooks: RunHooks = field(default_factory=RunHooks)
    _entries: dict[str, Entry] = field(default_factory=dict)
    _asked: set[NodeId] = field(default_factory=set)
    _agenda: Agenda = field(default_factory=Agenda)
    _owners: dict[str, NodeId] = field(default_factory=dict)
    _executed: dict[NodeId, float] = field(default_factory=dict)
    _cached: dict[NodeId, Entry] = field(default_factory=dict)
    _damaged: set[str] = field(default_factory=set)
    _told: set[NodeId] = field(default_factory=set)
    _ui: dict[NodeId, Mapping[str, object]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)
    _stopping: bool = False
    _current: Step | None = None
    _expanding: int = 0
    _flights: Flights = field(init=False)
    _held: HeldOutputs = field(init=False)
    _digests: NodeDigests = field(init=False)
    _calls: CallMaker = field(init=False)

    def __post_init__(self) -> None:
        self._flights = Flights(self.executor)
        self._held = HeldOutputs(self.store)
        self._digests = NodeDigests(self.known, self._held)
        hidden = HiddenValues(self.known.prompt, self.extra)
        self._calls = CallMaker(self.folders, hidden, self.hooks.choose_device, self._is_stopping, self._emit)

    def execute(self) -> RunResult:
        """Run what the targets need.

        Raises:
            NodeExecutionError: a node raised; later nodes are not run, finished ones stay in the store.
            RunCancelled: the run was asked to stop.
        """
        started = time.perf_counter()
        status: Literal["success", "error", "cancelled"] = "error"
        try:
            with collector_paused():
                self._start()
            self._work()
            status = "success"
        except (RunCancelled, KeyboardInterrupt):
            status = "cancelled"
            if self._current is not None:
                self._emit(RunInterrupted(self._current.node_id, self._current.node.class_type))
            raise
        finally:
            self._settle()
            seconds = time.perf_counter() - started
            self._emit(RunFinished(status, seconds, len(self._executed), len(self._cached)))
        return RunResult(self._executed, tuple(self._cached), self._ui, self.known.keys.of, self._held)

    def _start(self) -> None:
        """Work backwards from the targets."""
        self.known.take_plan()
        keys, targets = self.known.keys.of, self.known.plan.graph.targets
        self._entries = self.store.peek_many(keys.values())
        self._held.keep(keys[target] for target in targets)
        cached, steps = self._ask(targets)
        found = tuple(node_id for node_id, key in keys.items() if key in self._entries)
        execute = self._expected(steps)
        cached.sort(key={node_id: index for index, node_id in enumerate(self.known.plan.steps)}.__getitem__)
        self._emit(RunStarted(execute, tuple(cached), found))
        self._announce(cached)
        self._add(steps)

    def _add(self, steps: list[Step]) -> None:
        """Have steps wait for what they read, and for what the digests of loaders depend on."""
        self._agenda.add(steps)
        for step in steps:
            grounds = {ground for recipe in step.recipes for ground in self._digests.grounds(recipe)}
            self._agenda.wait(step, step.sources | grounds)

    def _work(self) -> None:
        """Start what is ready and take in what is done, until nothing is left."""
        while self._agenda:
            if self.hooks.is_cancelled():
                raise RunCancelled
            step = self._agenda.next(only_coroutines=self._flights.is_full)
            if step is not None:
                self._current = step
                self._begin(step)
            elif self._flights:
                self._wait()
            else:
                self._give_up()

    # Asking for nodes

    def _ask(self, wanted: Iterable[NodeId]) -> tuple[list[NodeId], list[Step]]:
        """Have nodes computed that are not yet asked for: those the store holds, and steps for the others."""
        cached: list[NodeId] = []
        steps: list[Step] = []
        waiting = list(wanted)
        while waiting:
            node_id = waiting.pop()
            if node_id in self._asked:
                continue
            self._asked.add(node_id)
            entry = self._entries.get(self.known.keys.of[node_id])
            if entry is not None and self._is_good(node_id, entry):
                self._cached[node_id] = entry
                self._digests.settle(node_id, entry.digests)
                cached.append(node_id)
                continue
            step = self.known.step(node_id)
            steps.append(step)
            self._held.expect(self.known.keys.of[source] for source in step.sources)
            waiting.extend(step.sources)
            for recipe in step.recipes:
                waiting.extend(self._digests.grounds(recipe))
        return cached, steps

    def _expected(self, steps: Iterable[Step]) -> tuple[NodeId, ...]:
        """The nodes that will run if none gives what it gave before: the steps, and loaders not in memory."""
        expected = {step.node_id: step for step in steps}
        waiting = [recipe for step in expected.values() for recipe in step.recipes]
        while waiting:
            node_id = waiting.pop()
            if node_id not in expected and self.known.keys.of[node_id] not in self._entries:
                expected[node_id] = step = self.known.step(node_id)
                waiting.extend(step.recipes)
        return tuple(step.node_id for step in sorted(expected.values(), key=lambda step: step.order))

    def _is_good(self, node_id: NodeId, entry: Entry) -> bool:
        """Whether an entry still stands: what an output node saved must still be there."""
        return not self.known.definitions[node_id].is_output or shown_files_exist(entry.ui, self.folders)

    def _announce(self, cached: Iterable[NodeId]) -> None:
        for node_id in cached:
            self._take_cached(node_id, self._cached[node_id].ui)

    def _take_cached(self, node_id: NodeId, ui: Mapping[str, object]) -> None:
        node = self.known.nodes[node_id]
        if ui:
            self._ui[node_id] = ui
        place = self.known.places.get(node_id)
        self._emit(NodeCached(node_id, node.class_type, node.title, node.origin, ui, place))  # type: ignore[arg-type]  # JSON

    def _need(self, step: Step, sources: Iterable[NodeId]) -> None:
        """Have a step wait for more nodes, which are asked for."""
        more = set(sources)
        self._held.expect(self.known.keys.of[source] for source in more)
        cached, steps = self._ask(more)
        self._announce(cached)
        self._add(steps)
        self._agenda.wait(step, more)

    def _find_again(self, step: Step, lost: NodeId) -> None:
        """Compute a node once more whose outputs were promised and are gone, and have the step wait for it."""
        key = self.known.keys.of[lost]
        self._entries.pop(key, None)
        self._damaged.add(key)
        self._cached.pop(lost, None)
        self._asked.discard(lost)
        cached, steps = self._ask([lost])
        self._announce(cached)
        self._add(steps)
        self._agenda.wait(step, [lost])

    # One step

    def _begin(self, step: Step) -> None:
        """Call a step's node, unless an equal node has run or is running."""
        owner = self._owners.get(step.key)
        if owner is not None and owner != step.node_id:
            self._agenda.give_back(step)
            self._agenda.wait(step, [owner])
        elif step.expansion is None and step.key in self._held:
            self._share(step)
        else:
            self._owners[step.key] = step.node_id
            if step.expansion is None and not step.is_looked_for and self._is_found(step):
                return
            if step.recipes:
                self._ask_for_recipes(step)
            else:
                self._proceed(step)

    def _is_found(self, step: Step) -> bool:
        """Whether the store has the outputs under the content key; then the step is done."""
        step.is_looked_for = True
        step.content = content = self._digests.content_key(step.node_id)
        if content is None or step.key in self._damaged:
            return False
        entry = self.store.peek(content)
        if entry is None or not self._is_good(step.node_id, entry):
            return False
        keys = self.known.keys
        if step.key in keys.volatile:
            keys.of[step.node_id] = content
        elif not self.store.alias(step.key, content):
            return False
        self._entries[keys.of[step.node_id]] = entry
        self._cached[step.node_id] = entry
        self._digests.settle(step.node_id, entry.digests)
        self._take_cached(step.node_id, entry.ui)
        self._let_go(step)
        return True

    def _ask_for_recipes(self, step: Step) -> None:
        """The node must be called: have the loaders run that it reads."""
        recipes, step.recipes = step.recipes, set()
        step.sources |= recipes
        self._agenda.give_back(step)
        self._need(step, recipes)

    def _share(self, step: Step) -> None:
        """Take the outputs of an equal node that has run."""
        outputs = self._held[step.key]
        self._cached[step.node_id] = Entry(outputs.ui)
        self._take_cached(step.node_id, outputs.ui)
        self._let_go(step)

    def _proceed(self, step: Step) -> None:
        """Call the step's node, or give it the outputs of the nodes in its place."""
        try:
            ready = self._calls.make(step, self._items) if step.expansion is None else self._resolved(step)
        except OutputsLost as lost:
            self._agenda.give_back(step)
            self._find_again(step, lost.node_id)
            return
        except GraphEngineError as error:
            self._fail(step, error, None)
        if isinstance(ready, Finished):
            self._finish(step, ready)
            return
        node = step.node
        self._emit(NodeStarted(step.node_id, node.class_type, node.title, node.origin, step.expanded))
        self._submit(step, ready)

    def _resolved(self, step: Step) -> Finished:
        """What a node gives when the nodes in its place are done."""
        assert step.expansion is not None
        items = {link: self._items(link) for link in result_links(step.expansion.answers)}
        lists = [output.is_list for output in step.definition.outputs]
        return Finished(resolved(step.expansion, lists, items), step.expansion.blocked)

    def _submit(self, step: Step, call: NodeCall) -> None:
        flight = self._flights.start(step, call)
        if flight is not None:
            self._complete(flight)

    def _wait(self) -> None:
        """Take in the next call that is done, or see whether one takes too long."""
        flight = self._flights.wait()
        if flight is not None:
            self._complete(flight)
        elif (limit := self.options.node_timeout) is not None:
            late = self._flights.overdue(limit)
            if late is not None:
                error = GraphEngineError(f"it took longer than {limit:g} s", hint="raise --node-timeout")
                self._fail(late.step, error, late.call)

    def _complete(self, flight: Flight) -> None:
        step = flight.step
        step.seconds += flight.seconds
        try:
            outcome = flight.future.result()
        except (RunCancelled, KeyboardInterrupt):
            self._current = step
            raise
        except Exception as error:  # noqa: BLE001 (a node may raise anything)
            if not self._is_retried(step, error):
                self._fail(step, error, flight.call)
            self._submit(step, flight.call)
        else:
            self._take(step, outcome, flight.call)

    def _take(self, step: Step, outcome: Outcome, call: NodeCall) -> None:
        match outcome:
            case Finished():
                self._finish(step, outcome)
            case Wanting(names):
                self._agenda.give_back(step)
                sources = {step.lazy.pop(name).source for name in names}
                step.sources |= sources
                self._need(step, sources)
            case Expanding():
                self._agenda.give_back(step)
                try:
                    self._expand(step, outcome)
                except GraphEngineError as error:
                    self._fail(step, error, call)

    def _expand(self, step: Step, outcome: Expanding) -> None:
        """Put the nodes that a node answered with in its place, and have it wait for them."""
        added = new_nodes(outcome.answers, self.known)
        results = {link.source for link in result_links(outcome.answers)}
        new = self.known.add_expansion(step, added, results)
        keys = self.known.keys
        self._entries.update(self.store.peek_many([keys.of[node_id] for node_id in new]))
        shown = {node_id for node_id in added if self.known.definitions[node_id].is_output}
        # what nodes in its place show must be shown again, so the expansion is made again, from cached parts
        stable = not shown and not any(
            keys.of.get(node_id) in keys.volatile and node_id not in keys.unkeyed for node_id in added
        )
        step.expansion = Expansion(outcome.answers, frozenset(results | shown), stable, outcome.blocked)
        self._expanding += 1
        self._need(step, step.expansion.sources)

    def _finish(self, step: Step, done: Finished) -> None:
        node, expansion, outputs = step.node, step.expansion, done.outputs
        self._executed[step.node_id] = step.seconds
        stable = expansion is None or expansion.is_stable
        outputs = replace(outputs, digests=self._settle_digests(step, outputs))
        if done.blocked or (not self._told.isdisjoint(step.sources) and done.left_out):
            self._told.add(step.node_id)
            stable = False
        stored = stable and self._store(step, outputs)
        self._held.put(step.key, outputs)
        if outputs.ui:
            self._ui[step.node_id] = outputs.ui
        for message in done.blocked:
            self._emit(NodeBlocked(step.node_id, node.class_type, message, node.title, node.origin, step.expanded))
        self._let_go(step)
        self._emit(
            NodeFinished(
                step.node_id,
                node.class_type,
                step.seconds,
                node.title,
                node.origin,
                outputs.ui,
                stored,
                step.expanded,
            )
        )

    def _settle_digests(self, step: Step, outputs: Outputs) -> tuple[str, ...]:
        if not step.is_looked_for:
            step.content = self._digests.content_key(step.node_id)
        digests = slot_digests(outputs.slots, self._digests.recipe(step.node_id, step.content))
        self._digests.settle(step.node_id, digests)
        return digests

    def _store(self, step: Step, outputs: Outputs) -> bool:
        """Keep outputs under the recipe key and the content key, as far as they can be found again."""
        if step.key in self.known.keys.volatile:
            return step.content is not None and self.store.put(step.content, outputs)
        stored = self.store.put(step.key, outputs)
        if stored and step.content is not None:
            self.store.alias(step.content, step.key)
        return stored

    def _let_go(self, step: Step) -> None:
        """The step is done; forget the outputs that nothing else reads."""
        if self._owners.get(step.key) == step.node_id:
            del self._owners[step.key]
        self._agenda.give_back(step)
        keys = self.known.keys
        reads = [keys.of[source] for source in step.sources]
        if step.expansion is not None:
            self._expanding -= 1
            reads.extend(keys.of[source] for source in step.expansion.sources)
        # expansion may read any node again, and outputs that cannot be found again must be there then
        self._held.release(reads, keys.volatile if self._expanding else ())
        self._agenda.finish(step)

    def _items(self, link: Link) -> Items:
        outputs = self._held.find(self.known.keys.of[link.source])
        if outputs is None:
            raise OutputsLost(link.source)
        if not 0 <= link.output < len(outputs.slots):
            raise GraphEngineError(
                f"output {link.output} of node {link.source} is read, which gave {len(outputs.slots)}"
            )
        return outputs.slots[link.output]

    # Failing and stopping

    def _is_retried(self, step: Step, error: Exception) -> bool:
        """Whether a node that raised is called again: after memory was freed, or as often as the policy says."""
        if is_out_of_memory(error) and not step.freed:
            step.freed = True
            self.hooks.free_memory()
        elif isinstance(error, GraphEngineError) or step.tries > self.options.retries:
            return False
        self._emit(NodeRetried(step.node_id, step.node.class_type, step.tries, describe_briefly(error)))
        return True

    def _fail(self, step: Step, error: Exception, call: NodeCall | None) -> NoReturn:
        real = step.node_id if step.expanded is None else step.expanded.real
        failed = failure(error, step, self.known.nodes[real])
        self._emit(failed_event(failed, error, step, call))
        raise failed from error

    def _give_up(self) -> NoReturn:
        """Nothing is ready and nothing is under way: nodes wait for each other."""
        circle = self._agenda.stuck()
        step = self._agenda.steps[circle[0]] if circle else next(iter(self._agenda.steps.values()))
        path = " → ".join(reversed(circle)) or step.node_id
        self._fail(step, DependencyCycleError(f"nodes wait for each other in a circle: {path}"), None)

    def _settle(self) -> None:
        """Have the calls under way stop where they can, wait for them, and keep what they give."""
        self._stopping = True
        for step, finished in self._flights.settle():
            self._finish(step, finished)

    def _is_stopping(self) -> bool:
        return self._stopping or self.hooks.is_cancelled()

    def _emit(self, event: Event) -> None:
        with self._lock:
            self.hooks.on_event(event)
