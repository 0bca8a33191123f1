"""Expansion: nodes that a node puts in its place while it runs."""

import json

import pytest

from graphengine.errors import NodeExecutionError
from graphengine.execution.events import Expanded, NodeCached, NodeFailed, NodeFinished, NodeStarted
from graphengine.execution.expansion import DependencyCycleError, DuplicateNodeError, as_link
from graphengine.workflow.models import Link, NodeId
from tests.execution.flow import Flow, Nodes


def test_a_node_gives_what_the_nodes_in_its_place_give(flow: Flow) -> None:
    assert flow.value({"7": ("FlowExpand", {"value": 5})}, "7") == 16
    assert flow.called() == ["FlowExpand", "FlowAdd", "FlowAdd"]


def test_events_tell_whose_place_a_node_takes(flow: Flow) -> None:
    flow.value({"7": ("FlowExpand", {"value": 5})}, "7")
    started = {event.node_id: event.expanded for event in flow.of_kind(NodeStarted)}
    place = Expanded(NodeId("7"), NodeId("7"), NodeId("7"))
    assert list(started.values()) == [None, place, place]
    assert all(node_id.startswith("7.") for node_id in list(started)[1:])
    assert flow.of_kind(NodeFinished)[-1].node_id == "7"


def test_an_expanded_node_comes_from_the_cache_as_a_whole(flow: Flow) -> None:
    flow.value({"7": ("FlowExpand", {"value": 5})}, "7")
    assert flow.value({"7": ("FlowExpand", {"value": 5})}, "7") == 16
    assert flow.called() == []


def test_nodes_in_its_place_come_from_the_cache_when_the_node_runs_again(flow: Flow) -> None:
    nodes: Nodes = {"1": ("FlowAdd", {"a": 5, "b": 1}), "2": ("FlowAdd", {"a": ["1", 0], "b": 10})}
    flow.value(nodes, "2")
    assert flow.value({"7": ("FlowExpand", {"value": 5})}, "7") == 16
    assert flow.called() == ["FlowExpand"]
    assert len(flow.of_kind(NodeCached)) == 1


def test_each_item_of_a_list_expands_or_not(flow: Flow) -> None:
    nodes: Nodes = {
        "1": ("FlowList", {"start": 1, "count": 4}),
        "2": ("FlowExpandOver", {"value": ["1", 0], "limit": 2}),
    }
    assert flow.value(nodes, "2") == (1, 2, 103, 104)


@pytest.mark.parametrize("times", [0, 1, 3, 200])
def test_recursion_by_expansion_is_as_deep_as_it_must_be(flow: Flow, times: int) -> None:
    assert flow.value({"1": ("FlowCountDown", {"value": 5, "times": times})}, "1") == 5 + times


def loop(limit: int) -> Nodes:
    return {
        "1": ("FlowWhileOpen", {"value": 0}),
        "2": ("FlowAdd", {"a": ["1", 1], "b": 2}),
        "3": ("FlowWhile", {"value": ["2", 0], "limit": limit}),
        "4": ("FlowWhileClose", {"flow": ["1", 0], "again": ["3", 0], "value": ["2", 0]}),
        "5": ("FlowShow", {"value": ["4", 0]}),
    }


@pytest.mark.parametrize(("limit", "reached", "rounds"), [(1, 2, 1), (6, 6, 3), (7, 8, 4)])
def test_a_loop_repeats_what_stands_in_it(flow: Flow, limit: int, reached: int, rounds: int) -> None:
    assert flow.run(loop(limit)).ui == {"5": {"value": [reached]}}
    assert len(flow.calls("FlowAdd")) == rounds


def test_nodes_of_a_later_round_are_shown_in_the_place_of_those_of_the_first(flow: Flow) -> None:
    flow.run(loop(6))
    shown = {event.expanded.display for event in flow.of_kind(NodeStarted) if event.expanded is not None}
    assert shown == {"1", "2", "3", "4"}
    assert {event.expanded.real for event in flow.of_kind(NodeStarted) if event.expanded is not None} == {"4"}


def test_an_output_node_in_its_place_runs_and_is_shown_again_from_the_cache(flow: Flow) -> None:
    nodes: Nodes = {"1": ("FlowExpandOutput", {"value": 3}), "2": ("FlowShow", {"value": ["1", 0]})}
    first = flow.run(nodes)
    [inner] = first.ui.keys() - {"2"}
    assert first.ui[inner] == {"value": [4]}
    again = flow.run({**nodes, "2": ("FlowShow", {"value": ["3", 0]}), "3": ("FlowAdd", {"a": ["1", 0], "b": 1})})
    assert again.ui == {"2": {"value": [5]}, inner: {"value": [4]}}
    assert flow.called() == ["FlowExpandOutput", "FlowAdd", "FlowShow"]


def test_a_node_may_be_shown_in_the_place_of_another(flow: Flow) -> None:
    flow.value({"1": ("FlowExpandShown", {"value": 3, "shown_as": "12"})}, "1")
    [place] = [event.expanded for event in flow.of_kind(NodeStarted) if event.expanded is not None]
    assert place == Expanded(parent=NodeId("1"), display=NodeId("12"), real=NodeId("1"))


def test_a_plain_result_stands_and_nodes_that_nothing_reads_do_not_run(flow: Flow) -> None:
    assert flow.value({"1": ("FlowExpandConstant", {"value": 3})}, "1") == 3
    assert flow.called() == ["FlowExpandConstant"]


def test_an_error_in_its_place_is_booked_on_the_node_that_the_user_sees(flow: Flow) -> None:
    with pytest.raises(NodeExecutionError, match=r"node 1 \(FlowExpandFailing\): in 1\.\S* \(FlowFail\).*ouch"):
        flow.value({"1": ("FlowExpandFailing", {"message": "ouch"})}, "1")
    [failed] = flow.of_kind(NodeFailed)
    assert (failed.node_id, failed.exception_type, failed.exception_message) == ("1", "ValueError", "ouch")
    assert failed.expanded is not None


def test_an_id_that_is_taken_is_refused(flow: Flow) -> None:
    nodes: Nodes = {"1": ("FlowExpandDuplicate", {"id": "2"}), "2": ("FlowShow", {"value": ["1", 0]})}
    with pytest.raises(
        NodeExecutionError, match=r"node 1 .*adds a node '2', but there is one of that id"
    ) as caught:
        flow.run(nodes)
    assert isinstance(caught.value.__cause__, DuplicateNodeError)


def test_a_cycle_among_new_nodes_names_its_path(flow: Flow) -> None:
    with pytest.raises(NodeExecutionError, match=r"node 1 .*in a circle: (1\.\S+) → (1\.\S+) → \1") as caught:
        flow.value({"1": ("FlowExpandCycle", {"value": 1})}, "1")
    assert isinstance(caught.value.__cause__, DependencyCycleError)


def test_a_new_node_that_reads_the_node_it_stands_for_is_a_cycle(flow: Flow) -> None:
    with pytest.raises(NodeExecutionError, match=r"wait for each other in a circle: .*1") as caught:
        flow.value({"1": ("FlowExpandOntoItself", {"value": 1})}, "1")
    assert isinstance(caught.value.__cause__, DependencyCycleError)


def test_an_unknown_class_is_named(flow: Flow) -> None:
    with pytest.raises(NodeExecutionError, match=r"node 1 .*type 'FlowThatNobodyWrote', which is unknown"):
        flow.value({"1": ("FlowExpandUnknown", {"value": 1})}, "1")


def test_a_node_can_ask_where_it_stands(flow: Flow) -> None:
    facts = flow.value({"1": ("FlowInt", {"value": 1}), "2": ("FlowDynamicPrompt", {"value": ["1", 0]})}, "2")
    assert json.loads(str(facts)) == {
        "id": "2",
        "class": "FlowDynamicPrompt",
        "parent": None,
        "display": "2",
        "real": "2",
        "original": True,
    }


@pytest.mark.parametrize(
    ("value", "link"),
    [
        (["4", 0], Link(NodeId("4"), 0)),
        (["4", 1.0], Link(NodeId("4"), 1)),
        (("4", 0), None),
        ([4, 0], None),
        (["4", True], None),
        (["4"], None),
        (["4", 0, 0], None),
        ("4", None),
    ],
)
def test_a_link_is_a_list_of_an_id_and_an_output(value: object, link: Link | None) -> None:
    assert as_link(value) == link
