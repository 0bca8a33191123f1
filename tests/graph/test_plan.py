from hypothesis import given
from hypothesis import strategies as st

from graphengine.graph.graph import build_graph
from graphengine.graph.plan import Plan, make_plan
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from graphengine.workflow.models import Link, NodeId
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


def test_ready_nodes_run_in_the_order_people_count(registry: NodeRegistry) -> None:
    numbers = {name: ("Number", {"value": 1}) for name in ("10", "9", "12:3", "12:20", "b", "2")}
    shows = {f"show {name}": ("Show", {"value": [name, 0]}) for name in numbers}
    plan = make_plan(build_graph(workflow({**numbers, **shows}), registry, Folders()))
    assert plan.steps[:6] == ("2", "9", "10", "12:3", "12:20", "b")


def test_named_targets_need_not_be_output_nodes(registry: NodeRegistry) -> None:
    graph = workflow(
        {"1": ("Number", {"value": 1}), "2": ("Number", {"value": 2}), "3": ("Show", {"value": ["2", 0]})}
    )
    assert make_plan(build_graph(graph, registry, Folders(), targets=[NodeId("1")])).steps == ("1",)
