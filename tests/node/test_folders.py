from pathlib import Path

import pytest

from graphengine.errors import FileRefused
from graphengine.node.folders import Folders


def test_files_are_listed_below_all_folders_sorted_and_without_hidden_ones(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for path in (
        first / "z.safetensors",
        first / "sub" / "y.ckpt",
        second / "x.pt",
        first / "notes.txt",
        first / ".h.pt",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    folders = Folders(models={"vae": (first, second)})
    assert folders.files("vae") == ["sub/y.ckpt", "x.pt", "z.safetensors"]
    assert folders.files("nothing") == []


def test_the_first_folder_that_has_the_file_wins(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "m.pt").touch()
    assert Folders(models={"vae": (tmp_path / "a", tmp_path / "b")}).path("vae", "m.pt") == tmp_path / "a" / "m.pt"


@pytest.mark.parametrize("name", ["../x.png", "/etc/passwd", "a/../../x.png", "C:/x.png", "..\\x.png", "", "a\0b"])
def test_a_name_that_leads_out_is_refused(name: str, folders: Folders) -> None:
    with pytest.raises(FileRefused, match="leads out of its folder"):
        folders.find("input", name)


def test_a_link_that_leads_out_of_the_input_folder_is_refused(folders: Folders, tmp_path: Path) -> None:
    (tmp_path / "secret.png").touch()
    (folders.input[0] / "link.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(FileRefused, match="is a link that leads out of the input folder"):
        folders.find("input", "link.png")


def test_a_model_folder_may_hold_links_to_another_disk(folders: Folders, tmp_path: Path) -> None:
    (tmp_path / "big.safetensors").touch()
    link = folders.models["checkpoints"][0] / "big.safetensors"
    link.symlink_to(tmp_path / "big.safetensors")
    assert folders.find("checkpoints", "big.safetensors") == link


def test_a_circle_of_links_ends(folders: Folders) -> None:
    root = folders.models["checkpoints"][0]
    (root / "m.pt").touch()
    (root / "again").symlink_to(root)
    assert folders.files("checkpoints") == ["m.pt"]


def test_an_annotated_name_chooses_the_folder(folders: Folders) -> None:
    (folders.output / "a.png").touch()
    assert folders.find("input", "a.png [output]") == folders.output / "a.png"
    assert folders.find("input", "a.png") is None


def test_an_absent_file_says_the_nearest_name_or_where_to_put_it(folders: Folders) -> None:
    (folders.input[0] / "apple.png").touch()
    with pytest.raises(FileRefused) as near:
        folders.path("input", "aple.png")
    assert near.value.hint == "did you mean 'apple.png'?"
    with pytest.raises(FileRefused) as far:
        folders.path("checkpoints", "sd15.safetensors")
    assert str(folders.models["checkpoints"][0]) in (far.value.hint or "")


def test_suffixes_limit_what_is_listed_and_not_what_is_found(folders: Folders) -> None:
    for name in ("a.png", "b.latent"):
        (folders.input[0] / name).touch()
    assert folders.files("input", (".latent",)) == ["b.latent"]
    assert folders.files("input") == ["a.png", "b.latent"]
    assert folders.path("input", "a.png").is_file()
