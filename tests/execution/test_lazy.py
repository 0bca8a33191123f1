"""Lazy inputs: a node says at run time which of them it needs."""

import pytest

from graphengine.errors import NodeExecutionError
from graphengine.workflow.models import NodeId
from tests.execution.flow import Flow, Nodes


def switch(on: bool, kind: str = "FlowSwitch") -> Nodes:
    return {
        "1": ("FlowInt", {"value": 1}),
        "2": ("FlowInt", {"value": 2}),
        "3": (kind, {"on": on, "on_true": ["1", 0], "on_false": ["2", 0]}),
        "4": ("FlowShow", {"value": ["3", 0]}),
    }


@pytest.mark.parametrize("kind", ["FlowSwitch", "FlowSwitchAsync"])
@pytest.mark.parametrize(("on", "needed", "given"), [(True, "1", 1), (False, "2", 2)])
def test_only_the_branch_that_is_asked_for_runs(flow: Flow, kind: str, on: bool, needed: str, given: int) -> None:
    result = flow.run(switch(on, kind))
    assert result.ui[NodeId("4")] == {"value": [given]}
    assert set(result.executed) == {needed, "3", "4"}


def test_a_node_that_waits_for_a_lazy_input_is_started_again(flow: Flow) -> None:
    flow.run(switch(True))
    assert flow.started() == ["3", "1", "3", "4"]
    assert flow.calls("FlowSwitch") == [(True, 1, None)]


def test_what_is_not_asked_for_is_given_as_none(flow: Flow) -> None:
    nodes: Nodes = {
        "1": ("FlowInt", {"value": 10}),
        "2": ("FlowInt", {"value": 20}),
        "3": ("FlowMix", {"mask": 0.0, "low": ["1", 0], "high": ["2", 0]}),
    }
    assert flow.value(nodes, "3") == 10
    assert flow.calls("FlowMix") == [(0.0, 10, None)]


def test_several_inputs_may_be_asked_for_at_once(flow: Flow) -> None:
    nodes: Nodes = {
        "1": ("FlowInt", {"value": 10}),
        "2": ("FlowInt", {"value": 20}),
        "3": ("FlowMix", {"mask": 0.5, "low": ["1", 0], "high": ["2", 0]}),
    }
    assert flow.value(nodes, "3") == 15
    assert flow.started() == ["3", "1", "2", "3"]


def test_a_node_may_ask_in_several_rounds(flow: Flow) -> None:
    sources: Nodes = {name: ("FlowInt", {"value": value}) for value, name in enumerate("abcd", start=3)}
    nodes: Nodes = {**sources, "u": ("FlowUntil", {"limit": 10, **{name: [name, 0] for name in "abcd"}})}
    assert flow.value(nodes, "u") == 12
    assert flow.started() == ["u", "a", "u", "b", "u", "c", "u"]


def test_a_lazy_branch_in_the_cache_is_not_run_again(flow: Flow) -> None:
    flow.run({"1": ("FlowInt", {"value": 1}), "9": ("FlowShow", {"value": ["1", 0]})})
    flow.run(switch(True))
    assert flow.called() == ["FlowSwitch"]


def test_a_branch_that_lies_behind_a_lazy_input_runs_as_a_whole(flow: Flow) -> None:
    nodes = dict(switch(False))
    nodes["2"] = ("FlowAdd", {"a": ["5", 0], "b": ["6", 0]})
    nodes["5"] = ("FlowInt", {"value": 30})
    nodes["6"] = ("FlowInt", {"value": 12})
    assert flow.run(nodes).ui[NodeId("4")] == {"value": [42]}


def test_an_input_that_something_else_needs_anyway_is_read_once(flow: Flow) -> None:
    nodes = dict(switch(True))
    nodes["5"] = ("FlowShow", {"value": ["1", 0]})
    assert flow.run(nodes).ui == {"4": {"value": [1]}, "5": {"value": [1]}}
    assert len(flow.calls("FlowInt")) == 1


def test_items_of_a_list_may_need_different_inputs(flow: Flow) -> None:
    nodes: Nodes = {
        "0": ("FlowAnything", {"value": ["00", 0]}),
        "00": ("FlowList", {"start": 0, "count": 2}),
        "1": ("FlowInt", {"value": 10}),
        "2": ("FlowInt", {"value": 20}),
        "3": ("FlowSwitch", {"on": ["0", 0], "on_true": ["1", 0], "on_false": ["2", 0]}),
    }
    assert flow.value(nodes, "3") == (20, 10)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [("missing", "there is no input to that node at all"), ("name", "that value is a constant")],
)
def test_asking_for_what_cannot_be_given_fails(flow: Flow, name: str, complaint: str) -> None:
    nodes: Nodes = {
        "1": ("FlowInt", {"value": 1}),
        "2": ("FlowAsksFor", {"name": name, "value": ["1", 0]}),
    }
    with pytest.raises(NodeExecutionError, match=rf"node 2 \(FlowAsksFor\).*{name}.*{complaint}"):
        flow.value(nodes, "2")


def test_the_cache_key_covers_inputs_that_were_not_asked_for(flow: Flow) -> None:
    flow.run(switch(True))
    nodes = dict(switch(True))
    nodes["2"] = ("FlowInt", {"value": 3})
    result = flow.run(nodes)
    assert set(result.executed) == {"3"}
    assert NodeId("1") in result.cached
