"""What nodes are told and may say: hidden inputs, raw links, IS_CHANGED, instances, undeclared inputs."""

import json

import pytest

from graphengine.execution.hidden import RunExtra
from graphengine.workflow.models import NodeId
from tests.execution.flow import Flow, Nodes


def test_hidden_inputs_are_given_by_type(flow: Flow) -> None:
    flow.extra = RunExtra(
        "p", {"workflow": {"id": "w"}}, {"AUTH_TOKEN_COMFY_ORG": "secret", "API_KEY_COMFY_ORG": "k"}
    )
    ui = flow.run({"4": ("FlowHidden", {})}).ui[NodeId("4")]
    assert ui == {
        "id": ["4"],
        "nodes": ["4"],
        "extra": [{"workflow": {"id": "w"}}],
        "tokens": [True, True],
        "known": [True],
    }
    assert flow.calls("FlowHidden") == [("4", "secret", "k")]


def test_tokens_do_not_reach_events_or_texts(flow: Flow) -> None:
    flow.extra = RunExtra(secrets={"AUTH_TOKEN_COMFY_ORG": "s3cret"})
    result = flow.run({"4": ("FlowHidden", {})})
    assert "s3cret" not in repr([flow.events, flow.extra, result])


def test_without_tokens_nodes_get_none(flow: Flow) -> None:
    flow.run({"4": ("FlowHidden", {})})
    assert flow.calls("FlowHidden") == [("4", None, None)]


def test_a_raw_link_is_given_as_it_is_and_its_node_still_runs_first(flow: Flow) -> None:
    nodes: Nodes = {"1": ("FlowInt", {"value": 1}), "2": ("FlowRawLink", {"value": ["1", 0]})}
    assert json.loads(str(flow.value(nodes, "2"))) == ["1", 0]
    assert flow.called() == ["FlowInt", "FlowRawLink"]


def test_undeclared_links_reach_the_node(flow: Flow) -> None:
    nodes: Nodes = {
        "1": ("FlowInt", {"value": 1}),
        "2": ("FlowUndeclared", {"value": 5, "more": ["1", 0], "dropped": 3}),
    }
    assert json.loads(str(flow.value(nodes, "2"))) == {"value": 5, "more": 1}


def test_a_node_runs_again_when_what_is_changed_answers_differs(flow: Flow) -> None:
    nodes: Nodes = {"1": ("FlowChangedBy", {"value": 1, "version": "v"})}
    flow.value(nodes, "1")
    flow.value(nodes, "1")
    assert flow.called() == []
    flow.module.FlowChangedBy.VERSIONS["v"] += 1
    flow.value(nodes, "1")
    assert flow.called() == ["FlowChangedBy"]


@pytest.mark.parametrize("kind", ["FlowChangedAlways", "FlowChangedRaises"])
def test_a_node_that_always_changes_runs_every_time(flow: Flow, kind: str) -> None:
    nodes: Nodes = {"1": (kind, {"value": 1}), "2": ("FlowAdd", {"a": ["1", 0], "b": 1})}
    for called in ([kind, "FlowAdd"], [kind], [kind]):
        assert flow.value(nodes, "2") == 2
        assert flow.called() == called


def test_is_changed_may_be_a_coroutine(flow: Flow) -> None:
    nodes: Nodes = {"1": ("FlowChangedAsync", {"value": 1})}
    flow.value(nodes, "1")
    flow.value(nodes, "1")
    assert flow.called() == []


def test_nodes_that_are_not_idempotent_do_not_share_a_call(flow: Flow) -> None:
    nodes: Nodes = {
        "1": ("FlowNotIdempotent", {"value": 1}),
        "2": ("FlowNotIdempotent", {"value": 1}),
        "3": ("FlowAdd", {"a": ["1", 0], "b": ["2", 0]}),
    }
    flow.value(nodes, "3")
    assert len(flow.calls("FlowNotIdempotent")) == 2


def test_a_node_keeps_its_object_while_its_id_is_in_use(flow: Flow) -> None:
    assert flow.value({"1": ("FlowRemembers", {"value": 1})}, "1") == 1
    assert flow.value({"1": ("FlowRemembers", {"value": 2})}, "1") == 2
    flow.value({"2": ("FlowRemembers", {"value": 3})}, "2")
    assert flow.value({"1": ("FlowRemembers", {"value": 4})}, "1") == 1


def test_an_empty_list_calls_nothing_that_depends_on_its_items(flow: Flow) -> None:
    nodes: Nodes = {"1": ("FlowEmptyList", {}), "2": ("FlowShowList", {"value": ["1", 0]})}
    assert flow.run(nodes).ui[NodeId("2")] == {"value": []}
