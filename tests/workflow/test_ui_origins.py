"""Problems and errors speak of what the user sees: where a node stands, and what it is called there."""

from typing import Any

import pytest

from graphengine.cache.store import MemoryStore
from graphengine.engine import Engine
from graphengine.errors import NodeExecutionError, Problem, node_label
from graphengine.execution.events import Event, NodeFailed
from graphengine.execution.executor import LocalExecutor
from graphengine.node.folders import Folders
from graphengine.workflow.models import Workflow
from tests.sample_nodes import sample_registry
from tests.workflow.ui_documents import converted, document, node, subgraph, with_subgraphs

REFINE = "9f76cdf2-b272-41bd-8228-bd7850366c83"


def workflow_with(inner: dict[str, Any]) -> Workflow:
    """Show (9) of what the node inside of instance 12 gives."""
    inside = subgraph(REFINE, [inner], [(1, 3, 0, -20, 0, "INT")], outputs=["INT"])
    shown = node(9, "Show", inputs=[("value", "*", 90)], values=[""])
    raw = document([node(12, REFINE, outputs=["INT"]), shown], [(90, 12, 0, 9, 0, "INT")])
    conversion = converted(with_subgraphs(raw, inside), dict(sample_registry()))
    assert conversion.problems == ()
    return conversion.workflow


def engine() -> Engine:
    return Engine(sample_registry(), MemoryStore(), Folders(), LocalExecutor())


@pytest.mark.parametrize(
    ("inner", "text"),
    [
        (node(3, "Number", values=[500]), "node 3 'Number' inside subgraph 'Refine' (12:3): input 'value'"),
        (node(3, "Numbr"), "node 3 'Numbr' inside subgraph 'Refine' (12:3): no node type 'Numbr'"),
        (node(3, "Add", title="Sum"), "node 3 'Sum' inside subgraph 'Refine' (12:3): input 'a' is not set"),
    ],
)
def test_validation_says_where_a_node_stands(inner: dict[str, Any], text: str) -> None:
    first = engine().validate(workflow_with(inner))[0]
    assert str(first).startswith(text)
    assert first.node_id == "12:3"


def test_hints_say_where_the_other_end_of_a_link_stands() -> None:
    inside = node(3, "Show", outputs=["INT"], values=[""])
    problems = engine().validate(workflow_with(inside))
    found = [problem.message for problem in problems if problem.code == "missing_output"]
    assert found == [
        "input 'value' is linked to output 0 of node 3 'Show' inside subgraph 'Refine' (12:3), which has 0"
    ]


def test_a_node_that_refuses_or_fails_says_where_it_stands() -> None:
    events: list[Event] = []
    failing = workflow_with(node(3, "Fail", values=["no luck"]))
    with pytest.raises(NodeExecutionError) as caught:
        engine().run(failing, on_event=events.append)
    text = "node 3 'Fail' inside subgraph 'Refine' (12:3): ValueError: no luck"
    assert caught.value.message == text
    assert caught.value.origin == "node 3 'Fail' inside subgraph 'Refine'"
    assert [event.message for event in events if isinstance(event, NodeFailed)] == [text]


def test_nodes_of_the_document_itself_are_named_as_before() -> None:
    assert node_label("12", "KSampler") == "node 12 (KSampler)"
    assert node_label("12", None) == "node 12"
    assert node_label(None, "KSampler", "anything") == ""
    assert str(Problem("cycle", "goes round", "12", "KSampler")) == "node 12 (KSampler): goes round"
