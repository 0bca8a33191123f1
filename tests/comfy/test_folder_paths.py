import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from graphengine.node.api import FileRefused, NodeContext
from graphengine.node.files import FileNames
from graphengine.node.folders import Folders
from graphengine.packs.stand_ins import Surroundings
from graphengine_comfy import _surroundings, folder_paths

Called = Callable[[NodeContext], AbstractContextManager[None]]


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    """A ComfyUI folder with two checkpoints, one of them elsewhere, that the stand-ins are connected to."""
    for name in (
        "models/checkpoints/sd/one.safetensors",
        "models/checkpoints/notes.txt",
        "elsewhere/two.ckpt",
        "input/a.png",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    before = dict(folder_paths.folder_names_and_paths)
    folder_paths.folder_names_and_paths.clear()
    checkpoints = (tmp_path / "models" / "checkpoints", tmp_path / "elsewhere")
    folders = Folders((tmp_path / "input",), tmp_path / "output", tmp_path / "temp", {"checkpoints": checkpoints})
    _surroundings.connect(Surroundings(folders))
    yield tmp_path
    _surroundings.connect(Surroundings())
    folder_paths.folder_names_and_paths.clear()
    folder_paths.folder_names_and_paths.update(before)


def test_folders_are_those_of_the_engine_and_exist(base: Path) -> None:
    assert folder_paths.get_output_directory() == folder_paths.output_directory == str(base / "output")
    assert folder_paths.get_temp_directory() == str(base / "temp")
    assert folder_paths.get_input_directory() == folder_paths.get_directory_by_type("input") == str(base / "input")
    assert folder_paths.get_user_directory() == str(base / "user")
    assert (folder_paths.base_path, folder_paths.models_dir) == (str(base), str(base / "models"))
    assert all((base / name).is_dir() for name in ("output", "temp", "input", "user"))
    assert folder_paths.get_directory_by_type("elsewhere") is None


def test_in_a_call_they_are_those_of_the_run(base: Path, called: Called) -> None:
    with called(NodeContext(folders=Folders(output=base / "of this run"))):
        assert folder_paths.get_output_directory() == str(base / "of this run")


def test_models_of_all_folders_are_listed_and_found(base: Path) -> None:
    assert folder_paths.get_filename_list("checkpoints") == [os.path.join("sd", "one.safetensors"), "two.ckpt"]
    assert folder_paths.get_full_path("checkpoints", "two.ckpt") == str(base / "elsewhere" / "two.ckpt")
    assert folder_paths.get_full_path("checkpoints", "three.ckpt") is None
    assert folder_paths.get_full_path("no such kind", "two.ckpt") is None
    with pytest.raises(FileNotFoundError, match=r"'three\.ckpt'"):
        folder_paths.get_full_path_or_raise("checkpoints", "three.ckpt")
    with pytest.raises(KeyError):
        folder_paths.get_filename_list("no such kind")


@pytest.mark.parametrize("name", ["../input/a.png", "/etc/hostname", "sd/../../../x", "C:\\a.ckpt", "a\0b"])
def test_names_cannot_leave_a_folder_of_models(base: Path, name: str) -> None:
    with pytest.raises(FileRefused, match="leads out of its folder"):
        folder_paths.get_full_path("checkpoints", name)


def test_a_pack_adds_folders_which_stay_when_the_engine_changes(base: Path) -> None:
    folder_paths.add_model_folder_path("brushes", str(base / "elsewhere"))
    folder_paths.add_model_folder_path("checkpoints", str(base / "first"), is_default=True)
    folder_paths.folder_names_and_paths["mine"] = ([str(base / "input")], {".png"})
    _surroundings.connect(Surroundings(Folders(output=base / "other" / "output")))
    assert folder_paths.get_filename_list("brushes") == ["two.ckpt"]
    assert folder_paths.get_filename_list("mine") == ["a.png"]
    assert folder_paths.get_folder_paths("checkpoints")[0] == str(base / "first")
    assert folder_paths.get_folder_paths("loras")[-1] == str(base / "other" / "models" / "loras")


def test_former_names_of_kinds_are_known(base: Path) -> None:
    assert folder_paths.get_folder_paths("unet") == [str(base / "models" / "diffusion_models")]


def test_a_name_may_say_which_folder_it_means(base: Path) -> None:
    assert folder_paths.annotated_filepath("b.png [output]") == ("b.png", str(base / "output"))
    assert folder_paths.annotated_filepath("b.png") == ("b.png", None)
    assert folder_paths.get_annotated_filepath("a.png") == str(base / "input" / "a.png")
    assert folder_paths.get_annotated_filepath("b.png [temp]") == str(base / "temp" / "b.png")
    assert folder_paths.get_annotated_filepath("b.png", str(base / "user")) == str(base / "user" / "b.png")
    assert folder_paths.exists_annotated_filepath("a.png")
    assert not folder_paths.exists_annotated_filepath("b.png")


def test_an_annotated_name_cannot_leave_its_folder(base: Path) -> None:
    (base / "output").mkdir()
    (base / "output" / "out").symlink_to(base / "elsewhere")
    for name in ("../elsewhere/two.ckpt", "out/two.ckpt [output]", "../input/a.png [output]"):
        with pytest.raises(FileRefused, match=r"leads out of"):
            folder_paths.get_annotated_filepath(name)
        assert not folder_paths.exists_annotated_filepath(name)


def test_files_are_numbered_after_those_that_are_there(base: Path) -> None:
    output = folder_paths.get_output_directory()
    assert folder_paths.get_save_image_path("dogs/%width%", output, 64, 32) == (
        str(base / "output" / "dogs"),
        "64",
        1,
        "dogs",
        "dogs/64",
    )
    for name in ("64_00007_.png", "64_draft.png", "640_00009_.png"):
        (base / "output" / "dogs" / name).touch()
    assert folder_paths.get_save_image_path("dogs/%width%", output, 64)[2] == 8
    with pytest.raises(FileRefused):
        folder_paths.get_save_image_path("../outside", output)


def test_a_loop_of_links_ends(base: Path) -> None:
    (base / "elsewhere" / "again").symlink_to(base / "elsewhere")
    assert folder_paths.recursive_search(str(base / "elsewhere"))[0] == ["two.ckpt"]


def test_files_are_chosen_by_what_they_hold() -> None:
    files = ["a.png", "b.mp4", "c.flac", "d.glb", "e.txt"]
    assert folder_paths.filter_files_content_types(files, ["image", "audio"]) == ["a.png", "c.flac"]
    assert folder_paths.filter_files_content_types(files, ["model", "video"]) == ["b.mp4", "d.glb"]


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(AttributeError, match="no attribute 'cloud_directory'"):
        _ = folder_paths.cloud_directory


def test_the_folders_of_the_engine_before_are_not_searched_any_more(base: Path) -> None:
    other = Folders(output=base / "output", models={"checkpoints": (base / "elsewhere",)})
    _surroundings.connect(Surroundings(other))
    assert folder_paths.get_folder_paths("checkpoints") == [str(base / "elsewhere")]
    assert isinstance(folder_paths.get_filename_list("checkpoints"), FileNames)
