"""One run of one plan: the only mutable object of the engine.

Policy. A run works backwards first: from the targets, a node whose outputs the store holds is taken from there and
nothing before it is looked at; any other node becomes a step and asks for the nodes it reads. So a cached branch
costs nothing, whatever feeds it. Then steps run when what they read is finished, in the order of the plan where
there is a choice, as many at once as the executor takes. While the run goes on, more nodes are asked for in the
same way: lazy inputs that a node wants, nodes that a node puts in its place, and nodes whose outputs the store
promised and cannot give.

There are two ways to find a node in the store. Its recipe key is known beforehand. When it is missing, and what
the node reads is known, its content key is tried: a node that ran again and gave the same leaves all after it
cached. Loaders, whose outputs are not stored, are asked for only when it is certain that a node must be called.

State. `known` has all nodes with their keys, the plan's and those that expansion adds. `_recall` knows what the
store has of them, `_digests` what they gave. `_demand` has those that are asked for; `_agenda` the steps that
are not done, `_flights` the calls under way. `_owners` names the node that computes a key now: equal nodes share
a key and run once. `_held` has outputs until their last reader has run. `_expanding` counts nodes with others in
their place. `_told` are nodes left out for a blocker with a message; they are not stored, so that the next run
tells it.

Only the thread that called `execute` changes any of this. Nodes in other threads report progress, under a lock.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Literal, NoReturn

from graphengine.cache.store import CacheStore, Entry
from graphengine.errors import GraphEngineError, RunCancelled
from graphengine.execution.account import Account
from graphengine.execution.answers import Expanding, Finished, Items, Outcome, Wanting
from graphengine.execution.call import NodeCall
from graphengine.execution.calls import CallMaker
from graphengine.execution.demand import Demand
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
from graphengine.execution.recall import Recall
from graphengine.execution.result import RunResult
from graphengine.execution.shown import SavedFiles
from graphengine.execution.steps import Agenda, Step
from graphengine.workflow.collector import collector_paused
from graphengine.workflow.models import Link, NodeId


@dataclass(slots=True)
class Run:
    """State of a run; callers see it through events and the result."""

    known: KnownNodes
    store: CacheStore
    executor: Executor
    saved: SavedFiles
    options: RunOptions = field(default_factory=RunOptions)
    extra: RunExtra = field(default_factory=RunExtra)
    hooks: RunHooks = field(default_factory=RunHooks)
    _agenda: Agenda = field(default_factory=Agenda)
    _owners: dict[str, NodeId] = field(default_factory=dict)
    _executed: dict[NodeId, float] = field(default_factory=dict)
    _told: set[NodeId] = field(default_factory=set)
    _ui: dict[NodeId, Mapping[str, object]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)
    _stopping: bool = False
    _current: Step | None = None
    _expanding: int = 0
    _flights: Flights = field(init=False)
    _held: HeldOutputs = field(init=False)
    _digests: NodeDigests = field(init=False)
    _recall: Recall = field(init=False)
    _demand: Demand = field(init=False)
    _calls: CallMaker = field(init=False)

    def __post_init__(self) -> None:
        self._flights = Flights(self.executor)
        self._held = HeldOutputs(self.store)
        self._digests = NodeDigests(self.known, self._held)
        self._recall = Recall(self.store, self.known, self._digests, self.saved)
        self._demand = Demand(self.known, self._recall, self._digests, self._held, self._agenda, self._take_cached)
        hidden = HiddenValues(self.known.prompt, self.extra)
        self._calls = CallMaker(
            self.saved.folders,
            hidden,
            self.hooks.choose_device,
            self._is_stopping,
            self._emit,
            self.hooks.numerics,
            self.options.previews,
            self.hooks.memory,
        )

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
            self._emit(RunFinished(status, seconds, len(self._executed), len(self._demand.cached)))
        return RunResult(self._executed, tuple(self._demand.cached), self._ui, self.known.keys.of, self._held)

    @property
    def account(self) -> Account:
        """What the run has come to, for its record."""
        return Account(self.known, self._recall, self._digests, self._executed, self._demand.cached, self._ui)

    def _start(self) -> None:
        """Work backwards from the targets."""
        self.known.take_plan()
        keys, targets = self.known.keys.of, self.known.plan.graph.targets
        self._recall.look_up(self.known.plan.steps)
        self._held.keep(keys[target] for target in targets)
        cached, steps = self._demand.ask(targets)
        found = tuple(node_id for node_id in self.known.plan.steps if self._recall.has(node_id))
        cached.sort(key=self.known.order_of)
        self._emit(RunStarted(self._demand.expected(steps), tuple(cached), found))
        self._demand.take_in(cached, steps)

    def _work(self) -> None:
        """Start what is ready and take in what is done, until nothing is left."""
        while self._agenda:
            if self.hooks.is_cancelled():
                raise RunCancelled
            self._check_time()
            step = self._agenda.next(only_coroutines=self._flights.is_full)
            if step is not None:
                self._current = step
                self._begin(step)
            elif self._flights:
                self._wait()
            else:
                self._give_up()

    def _take_cached(self, node_id: NodeId, ui: Mapping[str, object]) -> None:
        node = self.known.nodes[node_id]
        if ui:
            self._ui[node_id] = ui
        place = self.known.places.get(node_id)
        self._emit(NodeCached(node_id, node.class_type, node.title, node.origin, ui, place))  # type: ignore[arg-type]  # JSON

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
        entry = self._recall.by_content(step)
        if entry is None:
            return False
        self._demand.cached[step.node_id] = entry
        self._digests.settle(step.node_id, entry.digests)
        self._take_cached(step.node_id, entry.ui)
        self._let_go(step)
        return True

    def _ask_for_recipes(self, step: Step) -> None:
        """The node must be called: have the loaders run that it reads."""
        recipes, step.recipes = step.recipes, set()
        step.sources |= recipes
        self._agenda.give_back(step)
        self._demand.need(step, recipes)

    def _share(self, step: Step) -> None:
        """Take the outputs of an equal node that has run."""
        outputs = self._held[step.key]
        self._demand.cached[step.node_id] = Entry(outputs.ui, outputs.digests)
        self._digests.settle(step.node_id, outputs.digests)
        self._take_cached(step.node_id, outputs.ui)
        self._let_go(step)

    def _proceed(self, step: Step) -> None:
        """Call the step's node, or give it the outputs of the nodes in its place."""
        try:
            ready = self._calls.make(step, self._items) if step.expansion is None else self._resolved(step)
        except OutputsLost as lost:
            self._agenda.give_back(step)
            self._demand.again(step, lost.node_id)
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
        """Take in the next call that is done, if one is within a moment."""
        flight = self._flights.wait()
        if flight is not None:
            self._complete(flight)

    def _check_time(self) -> None:
        """Fail when a call takes too long, also while others come and go."""
        limit = self.options.node_timeout
        late = self._flights.overdue(limit) if limit is not None else None
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
            # a context of its own, so that ids that are made per call begin anew
            self._submit(step, replace(flight.call, context=replace(flight.call.context)))
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
                self._demand.need(step, sources)
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
        self._recall.look_up(new)
        shown = {node_id for node_id in added if self.known.definitions[node_id].is_output}
        # what nodes in its place show must be shown again, so the expansion is made again, from cached parts
        stable = not shown and not any(
            keys.of.get(node_id) in keys.volatile and node_id not in keys.unkeyed for node_id in added
        )
        step.expansion = Expansion(outcome.answers, frozenset(results | shown), stable, outcome.blocked)
        self._expanding += 1
        self._demand.need(step, step.expansion.sources)

    def _finish(self, step: Step, done: Finished) -> None:
        node, expansion, outputs = step.node, step.expansion, done.outputs
        self._executed[step.node_id] = step.seconds
        stable = expansion is None or expansion.is_stable
        outputs = self._recall.with_digests(step, outputs)
        if done.blocked or (not self._told.isdisjoint(step.sources) and done.left_out):
            self._told.add(step.node_id)
            stable = False
        stored = stable and self._recall.keep(step, outputs)
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

    def _let_go(self, step: Step) -> None:
        """The step is done; forget the outputs that nothing else reads."""
        if self._owners.get(step.key) == step.node_id:
            del self._owners[step.key]
        self._agenda.give_back(step)
        keys = self.known.keys
        reads = [keys.of[source] for source in (*step.sources, *step.reserved)]
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
        told = describe_briefly(error, self.known.prompt.open)
        self._emit(NodeRetried(step.node_id, step.node.class_type, step.tries, told))
        return True

    def _fail(self, step: Step, error: Exception, call: NodeCall | None) -> NoReturn:
        real = step.node_id if step.expanded is None else step.expanded.real
        failed = failure(error, step, self.known.nodes[real], self.known.prompt.open)
        self._emit(failed_event(failed, error, step, call, self.known.prompt.open))
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
