"""Parts of transformers that packs use in networks of their own."""

import math

import torch

from graphengine_comfy.comfy.ldm.common_dit import pad_to_patch_size, rms_norm
from graphengine_comfy.comfy.ldm.flux.layers import timestep_embedding
from graphengine_comfy.comfy.sampler_helpers import get_additional_models


def test_times_are_embedded_as_cosines_then_sines() -> None:
    (embedded,) = timestep_embedding(torch.tensor([0.5]), 5, max_period=100, time_factor=2.0)
    expected = [math.cos(1), math.cos(0.1), math.sin(1), math.sin(0.1), 0.0]
    assert torch.allclose(embedded, torch.tensor(expected))


def test_pictures_grow_to_whole_patches_at_their_ends() -> None:
    grown = pad_to_patch_size(torch.arange(6.0).reshape(1, 1, 2, 3), (2, 2))
    assert grown[0, 0].tolist() == [[0, 1, 2, 0], [3, 4, 5, 3]]
    assert pad_to_patch_size(grown) is grown
    assert pad_to_patch_size(torch.ones(1, 1, 3, 5, 5), (2, 4, 4), "constant").shape == (1, 1, 4, 8, 8)


def test_the_mean_square_becomes_one() -> None:
    assert torch.allclose(rms_norm(torch.tensor([3.0, 4.0]), eps=0.0).square().mean(), torch.tensor(1.0))
    assert torch.allclose(rms_norm(torch.tensor([1.0, -1.0]), torch.tensor([2.0, 3.0])), torch.tensor([2.0, -3.0]))


def test_conditions_bring_no_models_to_load() -> None:
    assert get_additional_models([], torch.float32) == ([], 0)
