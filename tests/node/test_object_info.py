import pytest

from graphengine.errors import GraphEngineError
from graphengine.node.folders import Folders
from graphengine.node.object_info import definition_to_object_info, read_object_info
from graphengine.node.registry import NodeRegistry

SAVED = {
    "Add": {
        "input": {"required": {"b": ["INT", {"min": 0}], "a": ["INT"]}, "optional": {"mode": [["x", "y"]]}},
        "input_order": {"required": ["a", "b"], "optional": ["mode"]},
        "output": ["INT", ["x", "y"]],
        "output_is_list": [False, True],
        "output_name": ["sum", "mode"],
        "display_name": "Add numbers",
        "category": "math",
        "output_node": True,
    }
}


def test_a_saved_object_info_gives_definitions_in_its_input_order() -> None:
    add = read_object_info(SAVED)["Add"]
    assert list(add.inputs) == ["a", "b", "mode"]
    assert (add.inputs["mode"].choices, add.inputs["mode"].required) == (("x", "y"), False)
    assert [(o.name, o.type, o.is_list) for o in add.outputs] == [("sum", "INT", False), ("mode", "COMBO", True)]
    assert (add.display_name, add.is_output, add.load) == ("Add numbers", True, None)


def test_an_entry_that_cannot_be_read_hurts_no_other() -> None:
    assert list(read_object_info({**SAVED, "Odd": {"input": 5}, "None": None})) == ["Add"]


@pytest.mark.parametrize("document", [[], "text", {"a": 1}, {"nodes": []}])
def test_a_document_of_another_kind_is_refused(document: object) -> None:
    with pytest.raises(GraphEngineError):
        read_object_info(document)


def test_writing_and_reading_definitions_is_the_identity(registry: NodeRegistry, folders: Folders) -> None:
    written = {name: definition_to_object_info(node, folders) for name, node in registry.items()}
    again = {name: definition_to_object_info(node, folders) for name, node in read_object_info(written).items()}
    assert again == written


def test_file_choices_are_filled_in_and_the_context_stays_inside(registry: NodeRegistry, folders: Folders) -> None:
    (folders.models["checkpoints"][0] / "m.safetensors").touch()
    choose = definition_to_object_info(registry["Choose"], folders)
    assert choose["input"]["required"]["ckpt_name"] == [["m.safetensors"]]
    assert "hidden" not in definition_to_object_info(registry["Count"])["input"]
