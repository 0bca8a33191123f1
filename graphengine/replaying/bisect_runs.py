"""Which difference between two runs changed an output: of their documents, or of what they ran with.

The documents are tried first: delta debugging over their semantic difference. Where they give the same now, or say
the same, the records tell what else was another one: models, code, versions; narrowed down to what the first node
uses whose output differs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from graphengine.errors import GraphEngineError, SettingsError
from graphengine.execution.hooks import never
from graphengine.graph.validate import output_nodes
from graphengine.provenance.history.past_run import PastRun
from graphengine.replaying.departures import Departure, between, changed_files, suspects
from graphengine.replaying.digests import Earlier, with_known_digests
from graphengine.replaying.edits import Edit, Edits, edits_between
from graphengine.replaying.judging import Judge, Measure, Metric, Observation, SameAs, judge_by, observe
from graphengine.replaying.minimal import Minimizer, Verdict
from graphengine.replaying.replay import refuse_unreplayable
from graphengine.replaying.stage import Performance, Stage
from graphengine.replaying.subject import Subject
from graphengine.replaying.walk import walk
from graphengine.workflow.models import Link, NodeId, Workflow

#: Hears of each trial: its number, the edits, what it showed, how many are left.
Told = Callable[[int, Sequence[Edit], Verdict, int], None]


@dataclass(frozen=True, slots=True)
class Found:
    """What changed an output.

    `causes` are minimal sets of edits, each of which alone changes it; `harmless` are the other edits. Where no
    edit does, `departures` are what else was another one and may be why; `first` is the first node of the bad run
    whose recorded output differs. `trials` counts the runs.
    """

    targets: tuple[str, ...]
    causes: tuple[tuple[Edit, ...], ...] = ()
    harmless: tuple[Edit, ...] = ()
    departures: tuple[Departure, ...] = ()
    first: str | None = None
    trials: int = 0


@dataclass(slots=True)
class RunBisection:
    """Two runs, `then` a good one and `now` a bad one, and the stage on which their differences are tried."""

    stage: Stage
    then: PastRun
    now: PastRun
    good: Subject
    bad: Subject
    metric: Metric | None = None
    output: str | None = None
    tell: Told = lambda number, tried, verdict, left: None
    is_cancelled: Callable[[], bool] = never
    earlier: Earlier = lambda key: None
    _trials: int = field(default=0, init=False)

    def find(self) -> Found:
        """What changed the output.

        Raises:
            NotReplayable: a run cannot be made again.
            GraphEngineError: the runs have no output in common, or both give the same.
            RunCancelled: somebody asked to stop.
        """
        refuse_unreplayable(self.good)
        refuse_unreplayable(self.bad)
        edits = edits_between(self.good.workflow, self.bad.workflow)
        targets = self._targets(edits)
        good, good_measure = self._tried(self.good.workflow, targets)
        if good is None:
            raise GraphEngineError(f"run {self.good.name} cannot be made again", hint="see graphengine replay")
        bad, bad_measure = self._tried(edits.applied(edits.all), targets) if edits.all else (good, good_measure)
        if bad is None:
            raise GraphEngineError(f"run {self.bad.name} cannot be made again", hint="see graphengine replay")
        if bad.same(good):
            return self._by_records(targets, edits)
        judge: Judge = SameAs(good)
        if self.metric is not None and good_measure is not None and bad_measure is not None:
            judge = judge_by(self.metric, good_measure, bad_measure)
        minimizer = Minimizer(
            edits.all, lambda some: judge(self._observed(edits.applied(some), targets)), self.tell
        )
        causes = tuple(minimizer.causes())
        blamed = [edit for cause in causes for edit in cause]
        harmless = tuple(edit for edit in edits.all if edit not in blamed)
        return Found(targets, causes, harmless, trials=self._trials)

    def _targets(self, edits: Edits) -> tuple[NodeId, ...]:
        """The output nodes to look at, which both runs have."""
        later = {edits.ids.get(node_id, node_id) for node_id in self._outputs(self.bad)}
        common = tuple(node_id for node_id in self._outputs(self.good) if node_id in later)
        if self.output is not None:
            common = tuple(node_id for node_id in common if node_id == self.output)
            if not common:
                raise SettingsError(
                    f"node {self.output} is no output of both runs",
                    hint="name an output node, or leave out --output",
                )
        if not common:
            raise GraphEngineError("the runs have no output in common", hint="name two runs of one workflow")
        return common

    def _outputs(self, subject: Subject) -> tuple[NodeId, ...]:
        if subject.targets is not None:
            return subject.targets
        return tuple(output_nodes(subject.workflow, self.stage.engine.registry))

    def _observed(self, workflow: Workflow, targets: tuple[NodeId, ...]) -> Observation | None:
        self._trials += 1
        return observe(self._performed(workflow, targets), targets)

    def _performed(self, workflow: Workflow, targets: tuple[NodeId, ...]) -> Performance:
        return self.stage.like(self.now).run(workflow, targets, None, self.is_cancelled)

    def _tried(self, workflow: Workflow, targets: tuple[NodeId, ...]) -> tuple[Observation | None, Measure | None]:
        """What a workflow gives, and what the metric says of it."""
        observed = self._observed(workflow, targets)
        measured = self.metric.measure(observed) if self.metric is not None and observed is not None else None
        return observed, measured

    def _by_records(self, targets: tuple[NodeId, ...], edits: Edits) -> Found:
        """What the records say, where the documents give the same now."""
        found = between(self.then, self.now)
        before = with_known_digests(self.then.nodes, self.earlier)
        later = with_known_digests(self.now.nodes, self.earlier)
        same_ids = {str(edits.ids.get(NodeId(node_id), node_id)): node for node_id, node in later.items()}
        with_others = {str(edits.ids.get(NodeId(node_id), node_id)) for node_id in changed_files(found)}
        walked = walk(before, same_ids, self.stage.engine.registry, with_others)
        read = {source for target in targets for source in _sources(self.good.workflow, target)}
        if read <= {*walked.same} or (walked.first is None and _saved(self.then) == _saved(self.now)):
            raise GraphEngineError(
                "both runs gave the same, and give the same now", hint="name runs whose outputs differ"
            )
        names = {str(old): str(new) for new, old in edits.ids.items()}
        first = names.get(walked.first, walked.first) if walked.first is not None else None
        return Found(targets, (), edits.all, tuple(self._narrowed(found, first)), first, self._trials)

    def _narrowed(self, found: list[Departure], first: str | None) -> list[Departure]:
        """What the first node that differs uses of what was another one; all of it where that is nothing."""
        node = self.now.nodes.get(first) if first is not None else None
        if node is None:
            return suspects(found)
        definition = self.stage.engine.registry.get(node.class_type)
        pack = definition.module.removeprefix("custom_nodes.") if definition is not None else ""
        used = [each for each in found if first in each.nodes or (each.part, each.name) == ("pack", pack)]
        return used or suspects(found)


def _sources(workflow: Workflow, target: NodeId) -> list[str]:
    """The nodes that an output node reads; itself when it reads none, of which no digest is known."""
    values = workflow.nodes[target].inputs.values() if target in workflow.nodes else ()
    return [value.source for value in values if isinstance(value, Link)] or [target]


def _saved(run: PastRun) -> list[tuple[str, str]]:
    return [(output.node_id, output.sha256) for output in run.outputs]
