"""torchvision for packs where it is not installed."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from graphengine.errors import GraphEngineError
from graphengine.packs.discover import Pack
from graphengine.packs.load import load_pack
from graphengine_comfy._torchvision import ops
from graphengine_comfy._torchvision.transforms import functional as tf
from graphengine_comfy._torchvision.transforms import v2

CROPPER = """
import torchvision.transforms.v2 as T
from torchvision import transforms
from torchvision.ops.boxes import box_area
from torchvision.models import resnet50
import torchvision, torchaudio, model_management

class Crop:
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",)}}
    def run(self, image):
        return (transforms.CenterCrop(2)(image.permute(0, 3, 1, 2)).permute(0, 2, 3, 1),)
    def network(self):
        return resnet50()

NODE_CLASS_MAPPINGS = {"Crop": Crop}
"""
ramp = torch.arange(24, dtype=torch.float32).reshape(1, 1, 4, 6)


def test_a_pack_that_imports_torchvision_loads_and_crops_without_it(tmp_path: Path) -> None:
    (tmp_path / "cropper.py").write_text(CROPPER)
    loaded = load_pack(Pack("cropper", "graphengine_pack_cropper", tmp_path / "cropper.py"))
    assert loaded.problems == ()
    (cut,) = loaded.classes["Crop"]().run(ramp.permute(0, 2, 3, 1))
    assert cut.flatten().tolist() == [8.0, 9.0, 14.0, 15.0]
    assert "torchvision" not in sys.modules  # libraries are not told that it is there
    with pytest.raises(GraphEngineError, match=r"torchvision\.models\.resnet50 is needed, and torchvision is not"):
        loaded.classes["Crop"]().network()


def test_libraries_do_not_get_it(tmp_path: Path) -> None:
    library = tmp_path / "site-packages" / "asking.py"
    library.parent.mkdir()
    library.write_text("try:\n    import torchvision\n    found = True\nexcept ImportError:\n    found = False\n")
    script = f"import sys, graphengine_comfy\nsys.path.insert(0, {str(library.parent)!r})\nimport asking\n"
    done = subprocess.run([sys.executable, "-c", script + "print(asking.found)"], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


def test_an_installed_one_is_not_hidden_and_gets_the_operators_that_it_lacks(tmp_path: Path) -> None:
    installed = tmp_path / "torchvision"
    installed.mkdir()
    (installed / "__init__.py").write_text("import torch\nfrom . import parts\nIS_REAL = True\n")
    (installed / "parts.py").write_text(
        "import torch\n"
        "if not hasattr(torch.ops.torchvision, 'nms'):\n"
        "    raise RuntimeError('operator torchvision::nms does not exist')\n"
    )
    script = (
        f"import sys, graphengine_comfy\nsys.path.insert(0, {str(tmp_path)!r})\nimport torch, torchvision\n"
        "print(torchvision.IS_REAL)\ntry:\n    torch.ops.torchvision.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)\n"
        "except Exception as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "True",
        "torchvision's nms is not here: this torchvision was built for another torch",
    ], done.stderr


def test_the_smaller_edge_gets_the_size() -> None:
    assert tf.resize(ramp, 8).shape == (1, 1, 8, 12)
    assert tf.resize(ramp, [8], max_size=10).shape == (1, 1, 6, 10)
    assert tf.resize(Image.new("RGB", (6, 4)), 8).size == (12, 8)


def test_bytes_stay_bytes() -> None:
    small = tf.resize(torch.full((3, 8, 8), 255, dtype=torch.uint8), [4, 4], tf.InterpolationMode.BICUBIC)
    assert small.dtype == torch.uint8
    assert small.min() == 255


def test_a_picture_smaller_than_its_crop_gets_a_border() -> None:
    cut = tf.center_crop(ramp, [6, 2])
    assert cut[0, 0, :, 0].tolist() == [0.0, 2.0, 8.0, 14.0, 20.0, 0.0]


def test_a_crop_beyond_the_edges_is_black_there() -> None:
    assert tf.crop(ramp, -1, 4, 3, 3)[0, 0].tolist() == [[0, 0, 0], [4, 5, 0], [10, 11, 0]]
    assert tf.crop(ramp, 9, 9, 2, 2).sum() == 0


def test_a_quarter_turn_goes_counter_clockwise() -> None:
    square = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    assert tf.rotate(square, 90)[0, 0].tolist() == [[2.0, 4.0], [1.0, 3.0]]
    assert tf.rotate(ramp, 90, expand=True)[0, 0].tolist() == ramp[0, 0].rot90().tolist()


def test_what_a_turn_uncovers_has_the_fill() -> None:
    turned = tf.rotate(torch.zeros(1, 3, 5, 5), 45, fill=[1.0, 0.5, 0.0])
    assert turned[0, :, 0, 0].tolist() == [1.0, 0.5, 0.0]
    assert turned[0, :, 2, 2].tolist() == [0.0, 0.0, 0.0]


def test_a_blur_keeps_the_sum_of_a_point() -> None:
    point = torch.zeros(1, 1, 9, 9)
    point[..., 4, 4] = 1
    blurred = tf.gaussian_blur(point, 5, 1.0)
    assert blurred.sum().item() == pytest.approx(1.0)
    weights = np.exp(-0.5 * np.arange(-2, 3) ** 2)
    expected = (weights / weights.sum())[2] ** 2
    assert blurred[0, 0, 4, 4].item() == pytest.approx(expected)


def test_pictures_and_tensors_become_each_other() -> None:
    picture = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(2, 4, 3))
    tensor = tf.to_tensor(picture)
    assert tensor.shape == (3, 2, 4)
    assert tensor[2, 1, 3].item() == pytest.approx(23 / 255)
    assert np.array(tf.to_pil_image(tensor)).tolist() == np.array(picture).tolist()
    assert v2.ToDtype(torch.float32, scale=True)(v2.ToImage()(picture)).equal(tensor)


def test_channels_are_normalized_and_a_deviation_of_0_is_refused() -> None:
    assert tf.normalize(torch.ones(2, 1, 1), [0.5, 0.0], [0.5, 2.0]).flatten().tolist() == [1.0, 0.5]
    with pytest.raises(ValueError, match="has a 0"):
        tf.normalize(torch.ones(1, 1, 1), [0.0], [0.0])


def test_a_border_has_four_sides() -> None:
    assert tf.pad(ramp, [1, 2, 3, 4], fill=9).shape == (1, 1, 10, 10)
    assert tf.pad(ramp, 1, padding_mode="edge")[0, 0, 0, 0] == 0
    assert tf.pad(Image.new("L", (2, 2)), [1, 0]).size == (4, 2)
    with pytest.raises(ValueError, match="1, 2 or 4 numbers"):
        tf.pad(ramp, [1, 2, 3])


def test_boxes_hold_masks_and_the_best_of_those_that_overlap_stays() -> None:
    mask = torch.zeros(1, 5, 5)
    mask[0, 1:3, 2:5] = 1
    assert ops.masks_to_boxes(mask).tolist() == [[2.0, 1.0, 4.0, 2.0]]
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]])
    scores = torch.tensor([0.5, 0.9, 0.1])
    assert ops.nms(boxes, scores, 0.5).tolist() == [1, 2]
    assert ops.batched_nms(boxes, scores, torch.tensor([0, 1, 0]), 0.5).tolist() == [1, 0, 2]


def test_a_grey_picture_has_the_brightness_of_its_colours() -> None:
    red = torch.tensor([1.0, 0.0, 0.0]).view(3, 1, 1)
    assert tf.rgb_to_grayscale(red, 3).flatten().tolist() == pytest.approx([0.2989] * 3)
