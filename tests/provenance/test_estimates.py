"""How long nodes will take, from what past runs took."""

from dataclasses import replace

from graphengine.provenance.estimates import Estimate, Estimates, largest_at_once
from graphengine.provenance.record import NodeEntry, Snapshot
from graphengine.workflow.models import NodeId, WorkflowNode
from tests.provenance.bench import Bench
from tests.provenance.test_foresee import CHAIN, SAMPLED
from tests.workflows import workflow


def with_seconds(run: Snapshot, seconds: dict[str, float], sizes: dict[str, int] | None = None) -> Snapshot:
    nodes = {
        each: NodeEntry(entry.key, "executed", seconds.get(each), bytes=(sizes or {}).get(each))
        for each, entry in run.record.nodes.items()
    }
    return Snapshot(replace(run.record, nodes=nodes), run.nodes)


def test_the_median_of_runs_with_the_same_values_counts(bench: Bench) -> None:
    now = bench.foresee(CHAIN).now
    past = [with_seconds(now, {"1": seconds}, {"1": 400}) for seconds in (3.0, 1.0, 50.0)]
    assert Estimates(now, past).of(NodeId("1")) == Estimate(3.0, 400, 3, is_alike=True)


def test_seeds_do_not_make_runs_different(bench: Bench) -> None:
    now = bench.foresee(CHAIN).now
    seeded = {NodeId("1"): WorkflowNode("Half", {"value": 6, "seed": 1})}
    other = {NodeId("1"): WorkflowNode("Half", {"value": 6, "seed": 2})}
    past = with_seconds(now, {"1": 2.0})
    estimates = Estimates(Snapshot(now.record, seeded), [Snapshot(past.record, {**past.nodes, **other})])
    assert estimates.of(NodeId("1")).is_alike


def test_another_value_is_estimated_by_the_class(bench: Bench) -> None:
    changed = bench.foresee({**CHAIN, "1": ("Half", {"value": 600})}).now
    past = with_seconds(bench.foresee(CHAIN).now, {"1": 2.0})
    assert Estimates(changed, [past]).of(NodeId("1")) == Estimate(2.0, None, 1, is_alike=False)


def test_a_class_that_never_ran_here_is_estimated_by_other_workflows(bench: Bench) -> None:
    now, other = bench.foresee(SAMPLED).now, with_seconds(bench.foresee(CHAIN).now, {"1": 4.0, "3": 1.0})
    estimates = Estimates(now, [], [other])
    assert estimates.of(NodeId("2")) == Estimate(4.0, None, 1, is_alike=True)
    assert estimates.of(NodeId("3")) == Estimate()


def test_outputs_are_held_until_their_last_reader_ran(bench: Bench) -> None:
    nodes = workflow(
        {
            "1": ("Half", {}),
            "2": ("Half", {"a": ["1", 0]}),
            "3": ("Half", {"a": ["2", 0]}),
            "4": ("Half", {"a": ["3", 0]}),
        }
    ).nodes
    now = Snapshot(bench.foresee(CHAIN).now.record, nodes)
    sizes = {NodeId(each): 100 for each in "1234"}
    assert largest_at_once(map(NodeId, "1234"), now, sizes) == 200
