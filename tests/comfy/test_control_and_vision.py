"""comfy.controlnet and comfy.clip_vision: what packs import, and what they do with a CONTROL_NET."""

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from graphengine.errors import ModelError
from graphengine_nodes.diffusion.control.control import Control, ControlNet, T2IAdapter
from graphengine_nodes.diffusion.model.control_network import StrengthType
from graphengine_nodes.diffusion.vision.vision import ClipVision, VisionOutput
from tests.nodes.diffusion import control_cases as cases

controlnet: Any = importlib.import_module("graphengine_comfy.comfy.controlnet")
clip_vision: Any = importlib.import_module("graphengine_comfy.comfy.clip_vision")


def test_the_types_are_those_of_our_values() -> None:
    assert (controlnet.ControlBase, controlnet.ControlNet, controlnet.T2IAdapter) == (
        Control,
        ControlNet,
        T2IAdapter,
    )
    assert (controlnet.StrengthType, clip_vision.Output) == (StrengthType, VisionOutput)
    assert clip_vision.ClipVisionModel is ClipVision


def test_a_pack_loads_a_control_and_sets_it_up_in_steps(tmp_path: Path) -> None:
    path = tmp_path / "canny.safetensors"
    save_file(cases.weights(cases.control_shapes()), path)
    loaded = controlnet.load_controlnet(str(path))
    picture = torch.rand(1, 3, 8, 8)
    first = loaded.copy().set_cond_hint(picture, 0.5, (0.0, 0.5))
    second = loaded.copy().set_cond_hint(picture, 0.7, (0.0, 1.0), vae=None)
    second.set_previous_controlnet(first)
    assert isinstance(second, controlnet.ControlNet)
    assert second.previous_controlnet is first
    assert (first.strength, first.timestep_percent_range, loaded.cond_hint_original) == (0.5, (0.0, 0.5), None)


def test_a_file_without_a_control_or_an_encoder_is_named(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(2)}, path)
    for load in (controlnet.load_controlnet, clip_vision.load):
        with pytest.raises(ModelError, match=r"'other\.safetensors' holds no"):
            load(str(path))


def test_pictures_go_round_in_each_group_of_a_batch() -> None:
    pictures = torch.arange(3.0).reshape(3, 1)
    assert controlnet.broadcast_image_to(pictures, 4, 2).flatten().tolist() == [0, 1, 0, 1]
    assert controlnet.broadcast_image_to(pictures, 8, 2).flatten().tolist() == [0, 1, 2, 0, 0, 1, 2, 0]
    assert controlnet.broadcast_image_to(pictures[:1], 8, 2).flatten().tolist() == [0]


def test_a_picture_is_preprocessed_for_clip() -> None:
    pixels = clip_vision.clip_preprocess(torch.ones(1, 4, 8, 3), size=4)
    assert pixels.shape == (1, 3, 4, 4)
    torch.testing.assert_close(
        pixels[0, :, 0, 0], (1 - torch.tensor(clip_vision._MEAN)) / torch.tensor(clip_vision._DEVIATION)
    )
