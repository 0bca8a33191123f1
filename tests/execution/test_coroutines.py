"""Nodes that are coroutines overlap, whatever the number of jobs."""

import pytest

from graphengine.errors import NodeExecutionError
from graphengine.execution.events import NodeFinished, NodeStarted
from graphengine.workflow.models import NodeId
from tests.execution.flow import Flow, Nodes


def meeting(group: str, size: int) -> Nodes:
    members: Nodes = {str(n): ("FlowMeet", {"value": n, "group": group, "size": size}) for n in range(1, size + 1)}
    shown: Nodes = {str(10 + n): ("FlowShow", {"value": [str(n), 0]}) for n in range(1, size + 1)}
    return {**members, **shown}


def test_coroutines_that_wait_for_each_other_finish(flow: Flow) -> None:
    result = flow.run(meeting("overlap", 5))
    assert {node_id: ui["value"] for node_id, ui in result.ui.items()} == {str(10 + n): [n] for n in range(1, 6)}


def test_the_calls_for_the_items_of_a_list_overlap(flow: Flow) -> None:
    nodes: Nodes = {
        "1": ("FlowList", {"start": 1, "count": 3}),
        "2": ("FlowMeet", {"value": ["1", 0], "group": "items", "size": 3}),
    }
    assert flow.value(nodes, "2") == (1, 2, 3)


def test_other_nodes_run_while_a_coroutine_waits(flow: Flow) -> None:
    nodes = {**meeting("between", 2), "5": ("FlowInt", {"value": 5}), "6": ("FlowShow", {"value": ["5", 0]})}
    assert flow.run(nodes).ui[NodeId("6")] == {"value": [5]}
    finished = [event.node_id for event in flow.of_kind(NodeFinished)]
    assert set(finished) == set(nodes)


def test_every_node_starts_once_and_before_it_finishes(flow: Flow) -> None:
    flow.run(meeting("order", 3))
    order = [
        (event.kind, str(event.node_id)) for event in flow.events if isinstance(event, NodeStarted | NodeFinished)
    ]
    for node_id in meeting("order", 3):
        assert order.index(("node_started", node_id)) < order.index(("node_finished", node_id))
    assert len(order) == 2 * 6


def test_an_error_in_a_coroutine_is_the_nodes_error(flow: Flow) -> None:
    with pytest.raises(NodeExecutionError, match=r"node 1 \(FlowAsyncFail\): ValueError: late") as caught:
        flow.value({"1": ("FlowAsyncFail", {"message": "late"})}, "1")
    assert isinstance(caught.value.__cause__, ValueError)


def test_the_failure_of_one_coroutine_ends_those_that_wait(flow: Flow) -> None:
    nodes: Nodes = {
        "1": ("FlowMeet", {"value": 1, "group": "nobody else comes", "size": 2}),
        "2": ("FlowAsyncFail", {"message": "alone"}),
        "3": ("FlowShow", {"value": ["1", 0]}),
        "4": ("FlowShow", {"value": ["2", 0]}),
    }
    with pytest.raises(NodeExecutionError, match="alone"):
        flow.run(nodes)
