"""Blockers: values that keep the nodes which read them from being called."""

from graphengine.execution.events import NodeBlocked, RunFinished
from graphengine.node.api import ExecutionBlocker
from graphengine.workflow.models import NodeId
from tests.execution.flow import Flow, Nodes


def blocked(message: str = "") -> Nodes:
    return {
        "1": ("FlowInt", {"value": 1}),
        "2": ("FlowBlock", {"value": ["1", 0], "block": True, "message": message}),
        "3": ("FlowAdd", {"a": ["2", 0], "b": 1}),
        "4": ("FlowShow", {"value": ["3", 0]}),
        "5": ("FlowShow", {"value": ["1", 0]}),
    }


def test_nodes_behind_a_blocker_are_not_called_and_others_are(flow: Flow) -> None:
    result = flow.run(blocked())
    assert sorted(flow.called()) == ["FlowBlock", "FlowInt", "FlowShow"]
    assert result.ui == {"5": {"value": [1]}}
    assert flow.of_kind(NodeBlocked) == []


def test_a_message_is_told_once_by_the_first_node_that_reads_it(flow: Flow) -> None:
    flow.run(blocked("not today"))
    assert [(event.node_id, event.message) for event in flow.of_kind(NodeBlocked)] == [("3", "not today")]
    assert flow.of_kind(RunFinished)[0].status == "success"


def test_a_message_is_told_again_by_the_next_run(flow: Flow) -> None:
    flow.run(blocked("not today"))
    flow.run(blocked("not today"))
    assert [event.message for event in flow.of_kind(NodeBlocked)] == ["not today"]


def test_a_blocker_that_does_not_block_hands_its_value_on(flow: Flow) -> None:
    nodes = dict(blocked())
    nodes["2"] = ("FlowBlock", {"value": ["1", 0], "block": False})
    assert flow.run(nodes).ui[NodeId("4")] == {"value": [2]}


def test_a_whole_result_that_is_a_blocker_blocks_every_output(flow: Flow) -> None:
    nodes: Nodes = {
        "1": ("FlowBlockAll", {"value": 0}),
        "2": ("FlowShow", {"value": ["1", 0]}),
        "3": ("FlowShow", {"value": ["1", 1]}),
    }
    assert flow.run(nodes).ui == {}
    assert flow.called() == ["FlowBlockAll"]


def test_in_a_list_only_the_blocked_items_are_left_out(flow: Flow) -> None:
    nodes: Nodes = {
        "1": ("FlowBlockOdd", {"count": 4}),
        "2": ("FlowAdd", {"a": ["1", 0], "b": 10}),
        "3": ("FlowShow", {"value": ["2", 0]}),
    }
    assert flow.run(nodes).ui == {"3": {"value": [10, 12]}}
    assert flow.calls("FlowAdd") == [(0, 10), (2, 10)]


def test_a_node_that_takes_whole_lists_is_blocked_by_any_item(flow: Flow) -> None:
    nodes: Nodes = {
        "1": ("FlowBlockOdd", {"count": 3}),
        "2": ("FlowSum", {"values": ["1", 0], "factor": 1}),
    }
    assert flow.value(nodes, "2") == ExecutionBlocker()
    assert flow.calls("FlowSum") == []


def test_a_blocked_branch_stays_blocked_when_it_comes_from_the_cache(flow: Flow) -> None:
    flow.run(blocked())
    result = flow.run(blocked())
    assert result.executed == {}
    assert result.ui == {"5": {"value": [1]}}
