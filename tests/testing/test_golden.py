"""Outputs are compared with what was kept; whatever is wrong with the file is told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graphengine.testing import fakes
from graphengine.testing.golden import Golden, GoldenMismatch, GoldenUnusable
from graphengine.testing.golden_pictures import GoldenPictureDamaged, read_picture

Compare = Callable[..., None]


@pytest.fixture
def kept(tmp_path: Path) -> Golden:
    return Golden(tmp_path / "golden", tmp_path / "failures", update=True)


@pytest.fixture
def compared(tmp_path: Path) -> Golden:
    return Golden(tmp_path / "golden", tmp_path / "failures")


@pytest.mark.parametrize(
    "output",
    [
        fakes.image(9, 5),
        fakes.image(4, 4, batch=3, channels=4),
        fakes.mask(3, 7),
        fakes.latent(),
        fakes.conditioning(),
        fakes.audio(),
        fakes.sigmas(),
        [1, 2.5, "text", None, True],
    ],
    ids=["image", "batch", "mask", "latent", "conditioning", "audio", "sigmas", "plain"],
)
def test_what_was_kept_is_found_again(kept: Golden, compared: Golden, output: Any) -> None:
    kept(output, "thing")
    compared(output, "thing")
    assert not compared.failures.exists()


def test_without_a_file_the_message_says_how_to_make_one(compared: Golden) -> None:
    with pytest.raises(GoldenUnusable, match=r"no golden file .*thing\.png") as raised:
        compared(fakes.image(), "thing")
    assert "--update-golden" in str(raised.value)  # which is what pytest shows


def test_a_picture_that_differs_is_shown_beside_the_expected_one(kept: Golden, compared: Golden) -> None:
    picture = fakes.image(6, 4)
    kept(picture, "thing")
    with pytest.raises(GoldenMismatch, match=r"agree to \d+\.\d dB, 50 are wanted"):
        compared(1.0 - picture, "thing")
    names = {file.name for file in compared.failures.iterdir()}
    kinds = ("expected", "actual", "difference", "side_by_side")
    assert names == {"thing.html", *(f"thing_{kind}.png" for kind in kinds)}
    page = (compared.failures / "thing.html").read_text()
    assert "50 are wanted" in page
    assert [f'src="thing_{kind}.png"' in page for kind in kinds] == [True, True, True, False]
    assert read_picture(compared.failures / "thing_side_by_side.png").shape == (4, 18, 3)


def test_the_wanted_agreement_decides(kept: Golden, compared: Golden) -> None:
    picture = fakes.image(8, 8)
    kept(picture, "thing")
    nearly = (picture + 0.02).clamp(0, 1)
    compared(nearly, "thing", psnr=30)
    with pytest.raises(GoldenMismatch):
        compared(nearly, "thing", psnr=40)


def test_another_size_and_another_number_of_pictures_are_told(kept: Golden, compared: Golden) -> None:
    kept(fakes.image(6, 4, batch=2), "thing")
    with pytest.raises(GoldenMismatch, match=r"is 5.4 with 3 channels, the golden one 6.4"):
        compared(fakes.image(5, 4, batch=2), "thing")
    kept(fakes.image(6, 4, batch=3), "more")
    with pytest.raises(GoldenMismatch, match="the golden files are more"):
        compared(fakes.image(6, 4, batch=2), "more")


@pytest.mark.parametrize("batch", [1, 2])
def test_a_batch_that_became_smaller_is_kept_whole(kept: Golden, compared: Golden, batch: int) -> None:
    kept(fakes.image(6, 4, batch=4), "thing")
    with pytest.raises(GoldenMismatch, match="the golden files are more"):
        compared(fakes.image(6, 4, batch=batch), "thing")
    kept(fakes.image(6, 4, batch=batch), "thing")
    compared(fakes.image(6, 4, batch=batch), "thing")
    kept(fakes.image(6, 4, batch=3 - batch), "thing")
    kept(fakes.image(6, 4, batch=batch), "thing")
    assert len([*kept.folder.iterdir()]) == batch


def test_names_that_end_in_numbers_are_names_of_their_own(kept: Golden, compared: Golden) -> None:
    pictures = {"step": fakes.image(4, 4), "step_0": fakes.image(5, 4), "step_1": fakes.image(6, 4, batch=2)}
    for save in (kept, kept, compared):
        for name, picture in pictures.items():
            save(picture, name)


def test_numbers_may_differ_by_the_tolerance_and_no_more(kept: Golden, compared: Golden) -> None:
    latent = fakes.latent()
    kept(latent, "thing")
    compared({"samples": latent["samples"] * (1 + 1e-7)}, "thing")
    with pytest.raises(GoldenMismatch, match=r"value\.samples: \d+ of 256 numbers differ"):
        compared({"samples": latent["samples"] * 1.01}, "thing")
    compared({"samples": latent["samples"] * 1.01}, "thing", rtol=0.1)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (fakes.latent(7), "the golden one torch.float32"),
        ({"samples": fakes.latent()["samples"], "batch_index": [0]}, "batch_index is new"),
        ({}, "dict of"),
        ("text", "value is 'text'"),
    ],
)
def test_another_form_is_told(kept: Golden, compared: Golden, other: Any, told: str) -> None:
    kept(fakes.latent(), "thing")
    with pytest.raises(GoldenMismatch, match=told.replace("(", r"\(")):
        compared(other, "thing")


def test_damaged_files_are_told_as_such(kept: Golden, compared: Golden) -> None:
    kept(fakes.latent(), "thing")
    (kept.folder / "thing.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    with pytest.raises(GoldenUnusable, match="is damaged"):
        compared(fakes.latent(), "thing")
    kept(fakes.image(), "thing")
    content = (kept.folder / "thing.png").read_bytes()
    (kept.folder / "thing.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(GoldenPictureDamaged, match="is damaged"):
        compared(fakes.image(), "thing")


@pytest.mark.parametrize("name", ["", "../out", "a/b", "x" * 101])
def test_a_name_that_leads_elsewhere_is_refused(kept: Golden, name: str) -> None:
    with pytest.raises(GoldenUnusable, match="is no name"):
        kept(fakes.image(), name)


def test_an_object_cannot_be_kept(kept: Golden) -> None:
    with pytest.raises(GoldenUnusable, match=r"value\[1\] is object"):
        kept([1, object()], "thing")
