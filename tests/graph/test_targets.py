"""Targets of which some cannot run: which ones can, and which are lost through which node."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine.errors import Problem
from graphengine.graph import validate as validation
from graphengine.graph.graph import build_graph
from graphengine.graph.links import needed_nodes
from graphengine.graph.plan import make_plan
from graphengine.graph.validate import lost_targets, output_nodes, runnable_targets, validate
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode
from tests.workflows import workflow

Nodes = dict[str, tuple[str, dict[str, object]]]

#: 1 -> 2 -> 8 (shown) and 1 -> 9 (shown); 4 -> 7 (shown)
TWO_BRANCHES: Nodes = {
    "1": ("Number", {"value": 1}),
    "2": ("Add", {"a": ["1", 0], "b": 1}),
    "4": ("Number", {"value": 4}),
    "7": ("Show", {"value": ["4", 0]}),
    "8": ("Show", {"value": ["2", 0]}),
    "9": ("Show", {"value": ["1", 0]}),
}


def error(node_id: str) -> Problem:
    return Problem("wrong_type", "wrong", node_id)


def ids(*names: str) -> tuple[NodeId, ...]:
    return tuple(NodeId(name) for name in names)


@pytest.mark.parametrize(
    ("broken", "runnable"),
    [
        ([], ids("7", "8", "9")),
        (["2"], ids("7", "9")),
        (["1"], ids("7")),
        (["8", "7"], ids("9")),
        (["1", "4"], ()),
    ],
)
def test_a_target_runs_when_no_node_it_needs_has_an_error(broken: list[str], runnable: tuple[NodeId, ...]) -> None:
    found = runnable_targets(workflow(TWO_BRANCHES), ids("7", "8", "9"), [error(name) for name in broken])
    assert found == runnable


def test_warnings_and_problems_of_no_node_keep_no_target_from_running() -> None:
    harmless = [Problem("not_in_list", "?", "4", severity="warning"), Problem("broken_pack", "?")]
    assert runnable_targets(workflow(TWO_BRANCHES), ids("7"), harmless) == ids("7")


def test_a_target_that_is_no_node_cannot_run() -> None:
    assert runnable_targets(workflow(TWO_BRANCHES), ids("77", "7"), []) == ids("7")


def test_each_node_with_an_error_tells_the_targets_lost_through_it() -> None:
    lost = lost_targets(
        workflow(TWO_BRANCHES), ids("9", "8", "7"), [error("2"), error("1"), error("8"), error("1")]
    )
    assert lost == {"2": ids("8"), "1": ids("9", "8"), "8": ids("8")}


def test_an_error_that_costs_no_target_is_listed_with_none() -> None:
    assert lost_targets(workflow(TWO_BRANCHES), ids("7"), [error("2")]) == {"2": ()}
    assert lost_targets(workflow(TWO_BRANCHES), ids("7"), []) == {}


def test_a_target_that_is_no_node_is_lost_through_itself() -> None:
    assert lost_targets(workflow(TWO_BRANCHES), ids("77"), [error("77")]) == {"77": ids("77")}


def test_the_nodes_of_a_cycle_lose_what_the_cycle_feeds() -> None:
    circle = workflow(
        {
            "1": ("Add", {"a": ["2", 0], "b": 1}),
            "2": ("Add", {"a": ["1", 0], "b": 1}),
            "3": ("Show", {"value": ["2", 0]}),
        }
    )
    assert lost_targets(circle, ids("3"), [error("1"), error("2")]) == {"1": ids("3"), "2": ids("3")}
    assert runnable_targets(circle, ids("3"), [error("1")]) == ()


@st.composite
def workflows(draw: st.DrawFn) -> Workflow:
    """Up to nine nodes with any links between them, cycles included."""
    count = draw(st.integers(1, 9))
    source = st.integers(0, count - 1).map(lambda n: Link(NodeId(str(n)), 0))
    return Workflow(
        {
            NodeId(str(n)): WorkflowNode("Add", dict(zip("ab", draw(st.lists(source, max_size=2)), strict=False)))
            for n in range(count)
        }
    )


@given(workflows(), st.data())
def test_both_agree_with_what_each_target_needs(some: Workflow, data: st.DataObject) -> None:
    names = st.lists(st.sampled_from(list(some.nodes)), unique=True)
    targets, broken = data.draw(names), data.draw(names)
    problems = [error(name) for name in broken]
    needs = {target: needed_nodes(some, [target]) for target in targets}
    assert runnable_targets(some, targets, problems) == tuple(
        target for target in targets if needs[target].isdisjoint(broken)
    )
    assert lost_targets(some, targets, problems) == {
        name: tuple(target for target in targets if name in needs[target]) for name in broken
    }


def ladder(count: int) -> Workflow:
    """A chain of `count` nodes, each of which is shown as well."""
    chain = {str(n): ("Add", {"a": [str(n - 1), 0] if n else 0, "b": 1}) for n in range(count)}
    return workflow({**chain, **{f"s{n}": ("Show", {"value": [str(n), 0]}) for n in range(count)}})


def test_ten_thousand_nodes_that_are_all_wrong_are_told_of_in_bounded_time_and_space() -> None:
    wrong = ladder(5_000)
    targets = [node_id for node_id in wrong.nodes if node_id.startswith("s")]
    begun = time.process_time()
    lost = lost_targets(wrong, targets, [error(node_id) for node_id in wrong.nodes])
    assert time.process_time() - begun < 5
    assert len(lost) == 10_000
    assert lost[NodeId("0")][:2] == ids("s0", "s1")
    assert lost[NodeId("s4999")] == ids("s4999")
    assert sum(map(len, lost.values())) <= 2**22


def test_one_error_before_ten_thousand_targets_lists_them_all() -> None:
    shows = {f"s{n}": ("Show", {"value": ["1", 0]}) for n in range(10_000)}
    fan = workflow({"1": ("Number", {"value": 1}), **shows})
    assert len(lost_targets(fan, [NodeId(name) for name in shows], [error("1")])[NodeId("1")]) == 10_000


def test_beyond_the_bounds_each_node_lists_the_first_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "_MOST_LISTED", 0)
    wrong = ladder(100)
    targets = [node_id for node_id in wrong.nodes if node_id.startswith("s")]
    lost = lost_targets(wrong, targets, [error("0"), error("90")])
    assert lost == {"0": tuple(targets[:64]), "90": tuple(targets[90:])}


#: The two branches, an unknown node, a cycle and a wrong value beside them.
BROKEN: Nodes = {
    **TWO_BRANCHES,
    "20": ("Nowhere", {"value": ["21", 0]}),
    "21": ("Add", {"a": ["22", 0], "b": 1}),
    "22": ("Add", {"a": ["21", 0], "b": 1}),
    "23": ("Show", {"value": ["20", 0]}),
    "24": ("Number", {"value": "many"}),
}


class TestAGraphIsBuilt:
    """For targets whose nodes are fine, whatever is wrong elsewhere in the document."""

    def test_with_the_nodes_of_the_good_targets_alone(self, registry: NodeRegistry, folders: Folders) -> None:
        broken = workflow(BROKEN)
        targets = output_nodes(broken, registry)
        good = runnable_targets(broken, targets, validate(broken, registry, folders))
        assert good == ids("7", "8", "9")
        plan = make_plan(build_graph(broken, registry, folders, good))
        assert plan.steps == ids("1", "9", "2", "8", "4", "7")

    def test_and_tells_what_is_wrong_elsewhere_as_warnings(self, registry: NodeRegistry, folders: Folders) -> None:
        graph = build_graph(workflow(BROKEN), registry, folders, ids("7"))
        assert [(p.code, p.node_id, p.severity) for p in graph.warnings] == [
            ("unknown_node", "20", "warning"),
            ("wrong_type", "24", "warning"),
            ("cycle", "21", "warning"),
        ]
