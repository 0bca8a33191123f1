"""The documents of a workflow without its secrets."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine.execution.open_documents import OpenDocuments
from graphengine.node.definition import NodeDefinition, OutputSpec
from graphengine.node.inputs import InputSpec
from graphengine.node.secrets import HIDDEN
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode

_INPUTS = (InputSpec("value", "INT", options={"password": True}), InputSpec("text", "STRING"))
DEFINITIONS = {
    "Pin": NodeDefinition("Pin", {spec.name: spec for spec in _INPUTS}, (OutputSpec("out", "STRING"),)),
    "Join": NodeDefinition(
        "Join",
        {"a": InputSpec("a", "STRING"), "b": InputSpec("b", "STRING"), "mode": InputSpec("mode", "COMBO")},
        (OutputSpec("out", "STRING"),),
    ),
}


def documents(nodes: dict[str, WorkflowNode], drawn: dict[str, Any] | None = None) -> OpenDocuments:
    return OpenDocuments(Workflow({NodeId(key): node for key, node in nodes.items()}, drawn), DEFINITIONS.get)


def test_a_number_that_is_declared_a_secret_is_one() -> None:
    found = documents({"1": WorkflowNode("Pin", {"value": 1234, "text": "1234 steps"})})
    assert found.api["1"]["inputs"] == {"value": HIDDEN, "text": "1234 steps"}


def test_texts_are_followed_back_over_the_nodes_that_join_them() -> None:
    nodes = {
        "1": WorkflowNode("Join", {"a": "first half", "b": Link(NodeId("2"), 0), "mode": "plain"}),
        "2": WorkflowNode("Join", {"a": "second", "b": "third", "mode": "plain"}),
        "3": WorkflowNode("Unknown", {"api_key": Link(NodeId("1"), 0), "text": "with third in it"}),
    }
    found = documents(nodes)
    assert found.api["1"]["inputs"] == {"a": HIDDEN, "b": ["2", 0], "mode": "plain"}
    assert found.api["2"]["inputs"] == {"a": HIDDEN, "b": HIDDEN, "mode": "plain"}
    assert found.givers == {"1", "2"}
    assert (
        found.api["3"]["inputs"]["text"] == "with third in it"
    )  # shorter than what is looked for inside of texts


def test_links_in_a_circle_and_to_nowhere_are_followed_to_an_end() -> None:
    nodes = {
        "1": WorkflowNode("Join", {"a": Link(NodeId("2"), 0), "b": "x" * 10}),
        "2": WorkflowNode("Join", {"a": Link(NodeId("1"), 0), "b": Link(NodeId("9"), 0)}),
        "3": WorkflowNode("Unknown", {"token": Link(NodeId("1"), 0)}),
    }
    assert documents(nodes).hidden == {"1": {"b"}, "3": {"token"}}


@pytest.mark.parametrize(
    ("node", "values"),
    [
        (
            {"type": "A", "widgets_values": {"api_key": "hidden one", "text": "a"}},
            {"api_key": HIDDEN, "text": "a"},
        ),
        (
            {"type": "A", "inputs": [{"name": "k", "widget": {"name": "api_key"}}], "widgets_values": ["one"]},
            [HIDDEN],
        ),
        ({"type": "A", "inputs": "broken", "widgets_values": ["one"]}, ["one"]),
        ({"type": "Pin", "id": [], "widgets_values": "broken"}, "broken"),
        ({"type": 5, "outputs": 7, "widgets_values": [None]}, [None]),
    ],
)
def test_values_of_drawn_nodes_are_named_as_far_as_that_is_possible(node: dict[str, Any], values: object) -> None:
    drawn = documents({}, {"nodes": [{"id": 1, **node}, None, "text"]}).drawn
    assert drawn is not None
    assert drawn["nodes"][0]["widgets_values"] == values


def test_nodes_in_subgraphs_are_looked_at_too() -> None:
    inner = {"id": 1, "type": "A", "widgets_values": {"password": "hunter"}}
    drawn = documents({}, {"nodes": [], "definitions": {"subgraphs": [{"nodes": [inner]}, "broken"]}}).drawn
    assert drawn is not None
    assert drawn["definitions"]["subgraphs"][0]["nodes"][0]["widgets_values"] == {"password": HIDDEN}
    assert inner["widgets_values"] == {"password": "hunter"}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["nodes", "type", "a", "inputs"]), inner)
    ),
)


@given(st.dictionaries(st.sampled_from(["nodes", "definitions", "extra", "widgets_values"]), _JSON))
def test_a_document_without_secrets_is_the_same_object(drawn: dict[str, Any]) -> None:
    assert documents({}, drawn).drawn is drawn


@given(st.text(min_size=6, max_size=30).filter(lambda text: text.strip() == text), _JSON)
def test_a_secret_is_nowhere_in_the_documents_whatever_these_hold(secret: str, other: Any) -> None:
    nodes = {
        "1": WorkflowNode("A", {"api_key": secret, "text": f"use {secret}!", "list": [{"deep": secret}, other]})
    }
    found = documents(nodes, {"nodes": [], "extra": {"remember": [secret, other]}})
    inputs = found.api["1"]["inputs"]
    assert inputs["api_key"] == inputs["list"]["__value__"][0]["deep"] == HIDDEN
    assert inputs["text"] == f"use {HIDDEN}!"
    assert found.drawn is not None
    assert found.drawn["extra"]["remember"][0] == HIDDEN
