"""The autoencoders of Wan against diffusers' AutoencoderKLWan."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from graphengine.errors import ModelError
from graphengine_nodes.diffusion.vae.autoencoder import VAE
from graphengine_nodes.diffusion.vae.vae import load_vae_file
from graphengine_nodes.diffusion.vae.wan import wan_vae_name
from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

from . import tiny_vae
from .diffusers_oracle import converted, module, randn
from .ldm_layout import Shapes
from .tiny_dit import random_weights, write


def loaded(folder: Path, shapes: Shapes) -> VAE:
    return load_vae_file(open_checkpoint(write(folder / "vae.safetensors", shapes)), "cpu")


SIZES: dict[str, Any] = {"base_dim": 4, "dim_mult": [1, 2, 4, 4]}


def reference(shapes: Shapes, *, residual: bool) -> Any:
    weights = random_weights(shapes)
    if residual:
        state = {wan_vae_name(name): value for name, value in weights.items()}
        more = {"is_residual": True, "z_dim": 48, "in_channels": 12, "out_channels": 12, "patch_size": 2}
        return module("AutoencoderKLWan", state, **SIZES, **more)
    return module("AutoencoderKLWan", converted("convert_wan_vae_to_diffusers", weights), **SIZES)


def close(ours: Tensor, expected: Tensor) -> bool:
    return bool((ours - expected).abs().max() <= 1e-4)


@pytest.mark.parametrize("residual", [False, True])
def test_a_video_is_encoded_and_decoded_as_diffusers_does_it(residual: bool, tmp_path: Path) -> None:
    channels, cell = (48, 16) if residual else (16, 8)
    shapes = tiny_vae.wan(channels, residual=residual)
    vae = loaded(tmp_path, shapes)
    expected = reference(shapes, residual=residual)
    video = torch.rand(5, 2 * cell, 3 * cell, 3, generator=torch.Generator().manual_seed(1))
    latent = randn(1, channels, 2, 2, 3)
    with torch.no_grad():
        mean = expected.encode(video.movedim(-1, 0)[None] * 2 - 1).latent_dist.mean
        frames = expected.decode(latent).sample
    assert close(vae.encode(video), mean)
    assert close(vae.decode(latent), (frames / 2 + 0.5).movedim(1, -1))
    assert vae.latent_channels == channels
    assert vae.downscale == cell


def test_one_picture_is_a_video_of_one_frame(tmp_path: Path) -> None:
    vae = loaded(tmp_path, tiny_vae.wan())
    latent = vae.encode(torch.rand(1, 16, 16, 3))
    assert latent.shape == (1, 16, 1, 2, 2)
    assert vae.decode(latent).shape == (1, 1, 16, 16, 3)


def test_frames_that_make_no_group_of_four_are_left_out(tmp_path: Path) -> None:
    vae = loaded(tmp_path, tiny_vae.wan())
    video = torch.rand(8, 16, 16, 3)
    assert torch.equal(vae.encode(video), vae.encode(video[:5]))


def test_a_wan_vae_that_lacks_a_tensor_names_it(tmp_path: Path) -> None:
    shapes = {name: shape for name, shape in tiny_vae.wan().items() if name != "decoder.middle.2.residual.6.bias"}
    with pytest.raises(ModelError, match=r"lacks tensor decoder.mid_block.resnets.1.conv2.bias"):
        loaded(tmp_path, shapes)
