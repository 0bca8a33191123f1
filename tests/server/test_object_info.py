"""`/object_info` describes every node that can be described."""

import json
import logging

import pytest

from graphengine.engine import Engine
from graphengine.node.definition import InputSpec, NodeDefinition
from graphengine.node.folders import Folders
from graphengine.node.object_info import definition_to_object_info
from graphengine.server.object_info import ListedOnce
from tests.server.asking import Server


def test_every_node_is_described_as_the_command_line_does(server: Server, engine: Engine) -> None:
    described = server.get("/object_info").json
    expected = {name: definition_to_object_info(node, engine.folders) for name, node in engine.registry.items()}
    assert described == json.loads(json.dumps(expected))


def test_one_node_is_described_by_its_class(server: Server) -> None:
    assert list(server.get("/api/object_info/Add").json) == ["Add"]
    assert server.get("/object_info/Add").json == {"Add": server.get("/object_info").json["Add"]}


def test_an_unknown_class_has_an_empty_answer(server: Server) -> None:
    answer = server.get("/object_info/Nothing")
    assert (answer.status, answer.json) == (200, {})


def test_a_broken_node_is_logged_once_and_left_out(
    server: Server, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    broken = NodeDefinition(class_type="Broken", inputs={"a": 5}, outputs=())  # type: ignore[dict-item]  # broken
    engine.registry.add(broken)
    with caplog.at_level(logging.WARNING):
        for address in ("/object_info", "/object_info/Broken", "/object_info"):
            answer = server.get(address)
            assert (answer.status, "Broken" in answer.json) == (200, False)
    assert len([record for record in caplog.records if "'Broken'" in record.getMessage()]) == 1


def test_numbers_that_json_has_not_are_null(server: Server, engine: Engine) -> None:
    limits = InputSpec(name="a", type="FLOAT", options={"max": float("inf"), "default": float("nan")})
    engine.registry.add(NodeDefinition(class_type="Wide", inputs={"a": limits}, outputs=()))
    described = server.get("/object_info/Wide").json
    assert described["Wide"]["input"]["required"]["a"] == ["FLOAT", {"max": None, "default": None}]


@pytest.mark.parametrize(
    ("module", "told"),
    [
        ("custom_nodes.pack", "custom_nodes.pack"),
        ("graphengine_nodes.image", "comfy_extras.graphengine_nodes.image"),
    ],
)
def test_nodes_are_grouped_as_the_editor_knows_it(module: str, told: str, server: Server, engine: Engine) -> None:
    engine.registry.add(NodeDefinition(class_type="Placed", inputs={}, outputs=(), module=module))
    assert server.get("/object_info/Placed").json["Placed"]["python_module"] == told


def test_a_folder_is_read_once_for_all_nodes(folders: Folders) -> None:
    (folders.input[0] / "a.png").write_bytes(b"")
    listed = ListedOnce(folders.input, folders.output, folders.temp, folders.models)
    assert listed.files("input") == ["a.png"]
    (folders.input[0] / "b.png").write_bytes(b"")
    assert listed.files("input") == ["a.png"]
    assert listed.files("input", {".png"}) == ["a.png", "b.png"]
