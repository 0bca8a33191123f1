"""What the document says about what is missing, and what could not be checked."""

from pathlib import Path
from typing import Any

from graphengine.errors import Problem
from graphengine.graph.advice import unchecked, with_sources
from graphengine.node.definition import InputSpec, NodeDefinition
from graphengine.node.folders import Folders
from graphengine.workflow.models import NodeId, Workflow, WorkflowNode

MODEL = {"name": "moon.safetensors", "directory": "moons", "url": "https://example.com/moon"}


def workflow(ui: dict[str, Any] | None = None, /, **inputs: Any) -> Workflow:
    return Workflow({NodeId("1"): WorkflowNode("Moon", inputs)}, ui)


def drawn(**properties: Any) -> dict[str, Any]:
    return {"nodes": [{"id": 1, "type": "Moon", "properties": properties}]}


UNKNOWN = Problem("unknown_node", "no node type 'Moon'", "1", "Moon", hint="old")


def test_without_a_document_of_the_editor_nothing_changes() -> None:
    assert with_sources([UNKNOWN], workflow(), Folders()) == [UNKNOWN]


def test_a_pack_that_the_document_does_not_name_leaves_the_hint() -> None:
    assert with_sources([UNKNOWN], workflow(drawn()), Folders()) == [UNKNOWN]


def test_a_node_of_comfyui_itself_is_no_pack_to_install() -> None:
    (problem,) = with_sources([UNKNOWN], workflow(drawn(cnr_id="comfy-core", ver="0.9")), Folders())
    assert problem.hint == (
        "it is a node of ComfyUI itself (version 0.9); the definitions at hand have none of that type"
    )


def test_a_missing_model_of_a_known_node_gets_its_source() -> None:
    missing = Problem("missing_model", "no file", "1", "Moon", "name", hint="old")
    given = workflow(drawn(models=[MODEL]), name="moon.safetensors")
    (problem,) = with_sources([missing], given, Folders(models={"moons": (Path("/m/moons"),)}))
    assert problem.hint == "put it into /m/moons; get it from https://example.com/moon"


def test_a_model_of_an_unknown_kind_names_the_kind() -> None:
    missing = Problem("missing_model", "no file", "1", "Moon", "name")
    (problem,) = with_sources([missing], workflow(drawn(models=[MODEL]), name="moon.safetensors"), Folders())
    assert problem.hint == "it belongs into a folder of the kind 'moons'; get it from https://example.com/moon"


def test_a_model_of_an_unknown_node_is_looked_for(tmp_path: Path) -> None:
    folders = Folders(models={"moons": (tmp_path,)})
    given = workflow(drawn(models=[MODEL]), name="moon.safetensors", count=3)
    _, missing = with_sources([UNKNOWN], given, folders)
    assert (missing.code, missing.severity, missing.input_name) == ("missing_model", "warning", "name")
    (tmp_path / "moon.safetensors").touch()
    assert len(with_sources([UNKNOWN], given, folders)) == 1


def test_a_model_outside_its_folder_counts_as_absent(tmp_path: Path) -> None:
    given = workflow(drawn(models=[MODEL]), name="../moon.safetensors")
    (tmp_path / "moon.safetensors").touch()
    folders = Folders(models={"moons": (tmp_path / "moons",)})
    assert [problem.code for problem in with_sources([UNKNOWN], given, folders)] == [
        "unknown_node",
        "missing_model",
    ]


def test_nodes_without_a_definition_are_not_checked() -> None:
    many = Workflow({NodeId(str(n)): WorkflowNode("Moon") for n in range(20)})
    (found,) = unchecked(many, {}, [])
    assert len(found.node_ids) == 20
    assert str(found) == (
        "nodes 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, … (Moon): "
        "its inputs and links, because no definition of its type is known"
    )


def test_inputs_that_a_node_checks_itself_are_not_checked() -> None:
    specs = {"a": InputSpec("a", "INT")}
    known = {"Moon": NodeDefinition("Moon", specs, (), checked_by_node=frozenset({"a", "input_types"}))}
    (found,) = unchecked(workflow(a=1), known, [])
    assert str(found) == "node 1 (Moon): the node checks a itself, and only in a run"
    known = {"Moon": NodeDefinition("Moon", specs, (), checked_by_node=frozenset({"*"}))}
    assert "checks all inputs itself" in str(unchecked(workflow(a=1), known, [])[0])


def test_nodes_whose_definition_says_all_are_checked() -> None:
    known = {"Moon": NodeDefinition("Moon", {"a": InputSpec("a", "INT")}, ())}
    assert unchecked(workflow(a=1), known, []) == []
