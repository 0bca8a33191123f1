from collections.abc import Mapping
from dataclasses import replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from graphengine.graph.graph import build_graph
from graphengine.graph.plan import Plan, make_plan
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from graphengine.workflow.models import Link, NodeId, Workflow
from tests.sample_nodes import sample_registry
from tests.workflows import workflow


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Random acyclic Add graphs: node n links only to smaller ids."""
    nodes: dict[str, tuple[str, dict[str, object]]] = {"0": ("Number", {"value": 1})}
    for n in range(1, draw(st.integers(2, 12))):
        link = st.integers(0, n - 1).map(lambda i: [str(i), 0])
        nodes[str(n)] = ("Add", {name: draw(st.integers(-9, 9) | link) for name in "ab"})
    nodes["last"] = ("Show", {"value": [draw(st.sampled_from(list(nodes))), 0]})
    return make_plan(build_graph(workflow(nodes), sample_registry(), Folders()))


@given(plans())
def test_every_node_runs_after_the_nodes_it_reads(plan: Plan) -> None:
    position = {node_id: index for index, node_id in enumerate(plan.steps)}
    for node_id in plan.steps:
        for value in plan.graph.nodes[node_id].inputs.values():
            if isinstance(value, Link):
                assert position[value.source] < position[node_id]


@given(plans())
def test_a_plan_holds_the_targets_and_nothing_they_do_not_need(plan: Plan) -> None:
    read = {
        link.source
        for node in plan.graph.nodes.values()
        for link in node.inputs.values()
        if isinstance(link, Link)
    }
    assert set(plan.steps) == read | set(plan.graph.targets)


def order(nodes: Mapping[str, tuple[str, dict[str, object]]], registry: NodeRegistry) -> str:
    return " ".join(make_plan(build_graph(workflow(nodes), registry, Folders())).steps)


def test_ready_nodes_run_in_the_order_people_count(registry: NodeRegistry) -> None:
    r"""All nodes stand at the same distance from the output:

    2, 9, 10, 12:3, 12:20, b -> All -> shown
    """
    ids = ("10", "9", "12:3", "12:20", "b", "2")
    nodes: dict[str, tuple[str, dict[str, object]]] = {name: ("Number", {"value": 1}) for name in ids}
    nodes["all"] = ("Total", {"values": 1, **{f"more {name}": [name, 0] for name in ids}})
    nodes["shown"] = ("Show", {"value": ["all", 0]})
    assert order(nodes, registry) == "2 9 10 12:3 12:20 b all shown"


def test_an_output_is_shown_before_the_next_branch_begins(registry: NodeRegistry) -> None:
    """1 -> 9 (shown), 2 -> 8 (shown)"""
    nodes: dict[str, tuple[str, dict[str, object]]] = {
        "1": ("Number", {"value": 1}),
        "2": ("Number", {"value": 2}),
        "8": ("Show", {"value": ["2", 0]}),
        "9": ("Show", {"value": ["1", 0]}),
    }
    assert order(nodes, registry) == "1 9 2 8"


def test_the_nodes_nearest_to_an_output_go_first(registry: NodeRegistry) -> None:
    """1 -> 2 -> 3 -> 4 (shown), 5 -> 6 -> 7 (shown), 8 -> 9 (shown): at distance 3, 2 and 1"""
    nodes: dict[str, tuple[str, dict[str, object]]] = {
        "1": ("Number", {"value": 1}),
        "2": ("Add", {"a": ["1", 0], "b": 1}),
        "3": ("Add", {"a": ["2", 0], "b": 1}),
        "4": ("Show", {"value": ["3", 0]}),
        "5": ("Number", {"value": 1}),
        "6": ("Add", {"a": ["5", 0], "b": 1}),
        "7": ("Show", {"value": ["6", 0]}),
        "8": ("Number", {"value": 1}),
        "9": ("Show", {"value": ["8", 0]}),
    }
    assert order(nodes, registry) == "8 9 5 6 7 1 2 3 4"


def test_further_than_two_links_from_an_output_ids_decide_alone(registry: NodeRegistry) -> None:
    """1 -> 4 -> 5 -> 6 -> 9 (shown) and 2 -> 5: 1 and 2 are 4 and 3 links away, 3 feeds 6 from 2 away"""
    nodes: dict[str, tuple[str, dict[str, object]]] = {
        "1": ("Number", {"value": 1}),
        "2": ("Number", {"value": 2}),
        "3": ("Number", {"value": 3}),
        "4": ("Add", {"a": ["1", 0], "b": 1}),
        "5": ("Add", {"a": ["4", 0], "b": ["2", 0]}),
        "6": ("Add", {"a": ["5", 0], "b": ["3", 0]}),
        "9": ("Show", {"value": ["6", 0]}),
    }
    assert order(nodes, registry) == "3 1 2 4 5 6 9"


def test_a_coroutine_starts_before_nodes_that_feed_an_output(registry: NodeRegistry) -> None:
    """1 -> 8 (shown), 5 (a coroutine) -> 6 -> 7 -> 9 (shown)"""
    registry.add(replace(registry["Number"], class_type="Later", is_async=True))
    nodes: dict[str, tuple[str, dict[str, object]]] = {
        "1": ("Number", {"value": 1}),
        "5": ("Later", {"value": 1}),
        "6": ("Add", {"a": ["5", 0], "b": 1}),
        "7": ("Add", {"a": ["6", 0], "b": 1}),
        "8": ("Show", {"value": ["1", 0]}),
        "9": ("Show", {"value": ["7", 0]}),
    }
    assert order(nodes, registry) == "5 1 8 6 7 9"


def test_a_chain_runs_from_its_start_whatever_its_ids(registry: NodeRegistry) -> None:
    """1 -> 3 -> 2 (shown)"""
    nodes: dict[str, tuple[str, dict[str, object]]] = {
        "2": ("Show", {"value": ["3", 0]}),
        "3": ("Add", {"a": ["1", 0], "b": 1}),
        "1": ("Number", {"value": 1}),
    }
    assert order(nodes, registry) == "1 3 2"


@given(plans(), st.randoms(use_true_random=False))
def test_a_plan_does_not_depend_on_the_order_of_the_document(plan: Plan, random: Random) -> None:
    given_workflow = plan.graph.workflow
    shuffled = list(given_workflow.nodes.items())
    random.shuffle(shuffled)
    again = make_plan(build_graph(Workflow(dict(shuffled)), sample_registry(), Folders()))
    assert again.steps == plan.steps


def test_named_targets_need_not_be_output_nodes(registry: NodeRegistry) -> None:
    graph = workflow(
        {"1": ("Number", {"value": 1}), "2": ("Number", {"value": 2}), "3": ("Show", {"value": ["2", 0]})}
    )
    assert make_plan(build_graph(graph, registry, Folders(), targets=[NodeId("1")])).steps == ("1",)
