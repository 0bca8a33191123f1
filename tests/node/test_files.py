from pathlib import Path
from typing import Any

import pytest

from graphengine.graph.values import check_value
from graphengine.node.comfy_classes import define
from graphengine.node.files import FileNames, Files
from graphengine.node.folders import Folders
from graphengine.node.inputs import read_input
from graphengine.node.object_info import definition_to_object_info


def names() -> FileNames:
    return FileNames(["a.safetensors", "b.safetensors"], Files("loras"))


def choices(declared: Any) -> object:
    return read_input("lora", declared, required=True).choices


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    (tmp_path / "new.safetensors").write_bytes(b"")
    return Folders(models={"loras": (tmp_path,)})


def test_a_list_of_files_stands_for_the_files() -> None:
    assert choices((names(),)) == Files("loras")


def test_the_list_in_the_options_of_a_combo_stands_for_the_files() -> None:
    spec = read_input("lora", ("COMBO", {"options": names(), "tooltip": "which"}), required=True)
    assert (spec.choices, spec.type, dict(spec.options)) == (Files("loras"), "COMBO", {"tooltip": "which"})


def test_a_choice_before_the_files_is_kept() -> None:
    assert choices((["None"] + names(),)) == Files("loras", also=("None",))  # noqa: RUF005 (what authors write)


def test_a_choice_behind_the_files_is_kept() -> None:
    assert choices((names() + ["auto"],)) == Files("loras", also=("auto",), also_last=True)  # noqa: RUF005 (likewise)


def test_a_list_that_its_author_adds_to_is_still_one_of_files() -> None:
    listed = names()
    listed.insert(0, "None")
    assert choices((listed,)) == Files("loras", also=("None",))


def test_without_files_an_added_choice_comes_first() -> None:
    nothing = FileNames([], Files("loras"))
    assert choices((["None"] + nothing,)) == Files("loras", also=("None",))  # noqa: RUF005 (likewise)


@pytest.mark.parametrize(
    ("listed", "plain"),
    [
        (names()[1:], ("b.safetensors",)),
        (names() + FileNames(["c.ckpt"], Files("vae")), ("a.safetensors", "b.safetensors", "c.ckpt")),
        ([name for name in names() if name.startswith("a")], ("a.safetensors",)),
        (sorted(names(), reverse=True), ("b.safetensors", "a.safetensors")),
    ],
)
def test_what_is_picked_out_or_put_together_means_todays_names(listed: list[str], plain: tuple[str, ...]) -> None:
    assert choices((listed,)) == plain


def test_a_list_with_a_name_taken_out_means_todays_names() -> None:
    listed = names()
    listed.remove("a.safetensors")
    assert choices((listed,)) == ("b.safetensors",)


def test_a_further_choice_is_valid_without_a_file(folders: Folders) -> None:
    spec = read_input("lora", (Files("loras", also=("None",)),), required=True)
    assert check_value(spec, "None", folders, by_node=False) is None
    assert check_value(spec, "new.safetensors", folders, by_node=False) is None
    assert (check_value(spec, "none", folders, by_node=False) or ("",))[0] == "missing_model"


def test_further_choices_are_described_in_their_place(folders: Folders) -> None:
    class Node:
        RETURN_TYPES = ("INT",)
        FUNCTION = "run"

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            behind = Files("loras", also=("auto",), also_last=True)
            return {"required": {"first": (Files("loras", also=("None",)),), "last": (behind,)}}

        def run(self) -> tuple[int]:
            return (1,)

    required = definition_to_object_info(define("Node", Node), folders)["input"]["required"]
    assert required == {"first": [["None", "new.safetensors"]], "last": [["new.safetensors", "auto"]]}
