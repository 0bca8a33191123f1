"""API documents: what is read, what is written, and that both agree."""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine.errors import WorkflowFormatError
from graphengine.workflow.api_format import api_to_workflow, parse_api, workflow_to_api
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode
from tests.workflow.properties import PATIENT

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("ab1"),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab") | st.just("__value__"), inner, max_size=2)
    ),
    max_leaves=6,
)
IDS = st.sampled_from([NodeId(text) for text in ("1", "2", "3", "12:3", "a")])
NODES = st.builds(
    WorkflowNode,
    class_type=st.sampled_from(["Add", "Load Image", "é"]),
    inputs=st.dictionaries(st.text("xy", min_size=1), JSON | st.builds(Link, IDS, st.integers(0, 5)), max_size=3),
    title=st.none() | st.text("ab "),
)
WORKFLOWS = st.builds(Workflow, nodes=st.dictionaries(IDS, NODES, max_size=4))


def inputs_of(raw: Any) -> Any:
    workflow = api_to_workflow(parse_api({"1": {"class_type": "A", "inputs": raw}, "4": {"class_type": "B"}}))
    return workflow.nodes[NodeId("1")].inputs


def refusal(raw: Any) -> str:
    with pytest.raises(WorkflowFormatError) as caught:
        parse_api(raw)
    return caught.value.message


@PATIENT
@given(WORKFLOWS)
def test_a_workflow_that_is_written_and_read_is_the_same(workflow: Workflow) -> None:
    text = json.dumps(workflow_to_api(workflow))
    assert api_to_workflow(parse_api(json.loads(text))) == workflow


@PATIENT
@given(WORKFLOWS, st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_matter(workflow: Workflow, chance: random.Random) -> None:
    def shuffled(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        keys = list(value)
        chance.shuffle(keys)
        return {key: shuffled(value[key]) for key in keys}

    assert api_to_workflow(parse_api(shuffled(workflow_to_api(workflow)))) == workflow


@PATIENT
@given(
    st.dictionaries(st.text("12"), st.fixed_dictionaries({"class_type": st.text("A"), "note": JSON}), max_size=3),
    JSON,
)
def test_a_document_is_written_back_with_all_it_said(nodes: Any, extra: Any) -> None:
    assert parse_api(nodes).to_json() == nodes
    sent = {"prompt": nodes, "client_id": "c", "extra_data": extra}
    assert parse_api(sent).to_json() == sent


def test_a_list_of_an_id_and_a_number_is_a_link() -> None:
    assert inputs_of({"x": ["4", 0], "y": ["9", 1]}) == {"x": Link(NodeId("4"), 0), "y": Link(NodeId("9"), 1)}


def test_a_number_is_an_id_only_where_such_a_node_is() -> None:
    assert inputs_of({"x": [4, 0], "size": [512, 512]}) == {"x": Link(NodeId("4"), 0), "size": [512, 512]}


@pytest.mark.parametrize(
    "literal", [["4"], ["4", 0, 1], ["4", "0"], ["4", True], ["4", 0.5], [True, 0], [[4], 0], {}]
)
def test_anything_else_is_a_literal(literal: object) -> None:
    assert inputs_of({"x": literal}) == {"x": literal}


def test_a_wrapped_list_is_a_literal_and_is_wrapped_when_written() -> None:
    inputs = inputs_of({"x": {"__value__": ["4", 0]}})
    assert inputs == {"x": ["4", 0]}
    written = workflow_to_api(Workflow({NodeId("1"): WorkflowNode("A", inputs)}))
    assert written == {"1": {"class_type": "A", "inputs": {"x": {"__value__": ["4", 0]}}}}


def test_the_title_is_read_from_meta_and_written_there() -> None:
    raw: Any = {"1": {"class_type": "A", "inputs": {}, "_meta": {"title": "First"}}}
    workflow = api_to_workflow(parse_api(raw))
    assert workflow.nodes[NodeId("1")].title == "First"
    assert workflow_to_api(workflow) == raw


def test_a_title_that_is_no_text_is_none() -> None:
    assert (
        api_to_workflow(parse_api({"1": {"class_type": "A", "_meta": {"title": 3}}})).nodes[NodeId("1")].title
        is None
    )


def test_the_editors_document_is_taken_from_the_envelope() -> None:
    raw: Any = {"prompt": {"1": {"class_type": "A"}}, "extra_data": {"extra_pnginfo": {"workflow": {"nodes": []}}}}
    assert api_to_workflow(parse_api(raw)).ui == {"nodes": []}


def test_a_node_called_prompt_is_no_envelope() -> None:
    assert list(parse_api({"prompt": {"class_type": "A"}}).nodes) == ["prompt"]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ([1], "an API document is an object of nodes by id"),
        ({"1": {"class_type": "A"}, "2": 5}, "node 2 is not an object"),
        ({"7": {"inputs": {}}}, "node 7: 'class_type' is missing"),
        ({"7": {"class_type": None}}, "node 7: 'class_type' is not a text"),
        ({"7": {"class_type": "A", "inputs": []}}, "node 7 (A): 'inputs' is not an object"),
        ({"7": {"class_type": "A", "_meta": "x"}}, "node 7 (A): '_meta' is not an object"),
        ({"prompt": {"7": {"inputs": {}}}}, "node 7: 'class_type' is missing"),
    ],
)
def test_a_document_that_cannot_be_read_names_node_and_key(raw: Any, message: str) -> None:
    assert refusal(raw) == message
