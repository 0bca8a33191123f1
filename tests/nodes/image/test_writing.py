import json
import logging
import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from graphengine.errors import FileRefused, GraphEngineError, RunCancelled
from graphengine_nodes.image.writing import encode_png, save_images, to_bytes


def _grey(*values: float) -> Tensor:
    """One picture of one row: (1, 1, W, 3)."""
    return torch.tensor(values, dtype=torch.float32).reshape(1, 1, -1, 1).expand(-1, -1, -1, 3)


def _pixels(path: Path) -> list[int]:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))[0, :, 0].tolist()  # type: ignore[no-any-return]  # numpy


def test_brightness_is_cut_off_and_not_rounded(tmp_path: Path) -> None:
    (file,) = save_images(_grey(-1, 0, 0.5, 0.999, 1, 2), tmp_path, "x")
    assert file == {"filename": "x_00001_.png", "subfolder": ""}
    assert _pixels(tmp_path / "x_00001_.png") == [0, 0, 127, 254, 255, 255]


def test_eight_bit_pictures_survive_reading_and_writing() -> None:
    values = torch.arange(256, dtype=torch.float32) / 255
    assert to_bytes(values.reshape(1, 256, 1)).tolist() == [list(range(256))]


def test_values_that_are_not_numbers_are_black_and_reported(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert to_bytes(_grey(float("nan"), 1))[0, 0, :, 0].tolist() == [0, 255]
    assert "not numbers" in caplog.text


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_kind_of_number_can_be_saved(dtype: torch.dtype) -> None:
    assert to_bytes(_grey(0, 1).to(dtype))[0, 0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_pictures_may_have_one_three_or_four_channels(tmp_path: Path, channels: int, mode: str) -> None:
    save_images(torch.zeros(1, 2, 3, channels), tmp_path, "x")
    with Image.open(tmp_path / "x_00001_.png") as picture:
        assert (picture.mode, picture.size) == (mode, (3, 2))


@pytest.mark.parametrize("shape", [(2, 3, 3), (1, 2, 3, 2), (1, 2, 2, 3, 3)])
def test_what_is_no_picture_is_an_error_that_says_its_shape(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(GraphEngineError, match=re.escape(f"input 'images' has the shape {shape}")):
        save_images(torch.zeros(shape), tmp_path, "x")


def test_a_picture_carries_the_workflow(tmp_path: Path) -> None:
    prompt, workflow = {"1": {"class_type": "Ä"}}, {"version": 0.4}
    save_images(_grey(0), tmp_path, "x", prompt=prompt, extra={"workflow": workflow})
    with Image.open(tmp_path / "x_00001_.png") as picture:
        texts = {name: json.loads(text) for name, text in picture.text.items()}  # type: ignore[attr-defined]  # PNG
    assert texts == {"prompt": prompt, "workflow": workflow}


def test_without_a_workflow_nothing_is_carried(tmp_path: Path) -> None:
    save_images(_grey(0), tmp_path, "x")
    with Image.open(tmp_path / "x_00001_.png") as picture:
        assert picture.info == {}


def test_every_picture_of_a_batch_gets_a_file(tmp_path: Path) -> None:
    files = save_images(torch.cat([_grey(0), _grey(1)]), tmp_path, "a/%width%x%height%")
    assert files == [{"filename": f"1x1_0000{number}_.png", "subfolder": "a"} for number in (1, 2)]
    assert [_pixels(tmp_path / "a" / file["filename"]) for file in files] == [[0], [255]]


def test_a_cancelled_batch_keeps_what_was_finished(tmp_path: Path) -> None:
    pictures = iter(["first"])

    def between() -> None:
        if next(pictures, None) is None:
            raise RunCancelled

    with pytest.raises(RunCancelled):
        save_images(torch.cat([_grey(0)] * 3), tmp_path, "x", between=between)
    assert [path.name for path in tmp_path.iterdir()] == ["x_00001_.png"]


def test_a_prefix_that_leads_out_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match=r"'\.\./x' leads out"):
        save_images(_grey(0), tmp_path / "out", "../x")
    assert list(tmp_path.iterdir()) == []


def test_compression_makes_files_smaller_and_loses_nothing() -> None:
    pixels = np.tile(np.arange(64, dtype=np.uint8)[:, None, None], (1, 64, 3))
    loose, tight = encode_png(pixels, {}, 0), encode_png(pixels, {}, 9)
    assert len(tight) < len(loose)
    assert np.array_equal(np.asarray(Image.open(BytesIO(tight))), pixels)
