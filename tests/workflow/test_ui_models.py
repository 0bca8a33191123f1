"""The editor's document reads and writes back unchanged, in both versions."""

import json
from typing import Any

import pytest

from graphengine.errors import WorkflowFormatError
from graphengine.workflow.ui_models import parse_ui
from tests.workflow.ui_documents import document, node

LINKS = [(7, 1, 0, 2, 0, "MODEL")]
NODES = [
    node(1, "Load", outputs=["MODEL"], values=["a.safetensors"], flags={"collapsed": True}, title="Start"),
    node(
        "2", "Sharpen", inputs=[("model", "MODEL", 7), ("amount", "FLOAT", None, "widget")], values={"amount": 1}
    ),
    node(3, "Note", values=None, size={"0": 210, "1": 46.5}, color="#432"),
]


@pytest.mark.parametrize("version", [0.4, 1])
def test_a_document_is_written_back_with_all_it_said(version: float) -> None:
    raw = {
        **document(NODES, LINKS, version),
        "definitions": {"subgraphs": [{"id": "u-1", "name": "S", "nodes": [], "state": {"lastNodeId": 3}}]},
        "state": {"lastNodeId": 3},
        "floatingLinks": [],
    }
    assert json.dumps(parse_ui(raw).to_json(), sort_keys=True) == json.dumps(raw, sort_keys=True)


def test_a_removed_link_of_an_old_editor_may_be_null() -> None:
    raw = {**document(NODES), "links": [None, [7, 1, 0, 2, 0, "MODEL"]]}
    assert parse_ui(raw).to_json() == raw


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"nodes": {}}, "nodes is not a list"),
        ({"nodes": [{"id": 1}]}, "nodes.0.type is missing"),
        ({"nodes": [{"id": True, "type": "A"}]}, "nodes.0.id is not a whole number"),
        ({"nodes": [{"id": 1, "type": "A"}, 5]}, "nodes.1 is not an object"),
        ({"nodes": [{"id": 1, "type": "A", "inputs": [{"link": 3}]}]}, "nodes.0.inputs.0.name is missing"),
        ({"nodes": [], "links": [[1, 2]]}, "links.0 is too short"),
    ],
)
def test_a_document_that_cannot_be_read_names_the_place(raw: dict[str, Any], message: str) -> None:
    with pytest.raises(WorkflowFormatError) as caught:
        parse_ui(raw)
    assert caught.value.message == message
