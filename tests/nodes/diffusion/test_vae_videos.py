"""Autoencoders of other video models against those of diffusers."""

from pathlib import Path

import torch
from torch import Tensor

from graphengine_nodes.diffusion.autoencoder import VAE
from graphengine_nodes.diffusion.checkpoint import open_checkpoint
from graphengine_nodes.diffusion.vae import load_vae_file

from . import tiny_vae
from .diffusers_oracle import converted_ldm_vae, module, randn
from .ldm_layout import Shapes
from .tiny_dit import random_weights, write


def loaded(folder: Path, shapes: Shapes) -> VAE:
    return load_vae_file(open_checkpoint(write(folder / "vae.safetensors", shapes)), "cpu")


def close(ours: Tensor, expected: Tensor) -> bool:
    return bool((ours - expected).abs().max() <= 1e-4)


def test_the_vae_of_hunyuan_video_computes_what_diffusers_computes(tmp_path: Path) -> None:
    shapes = tiny_vae.hunyuan()
    vae = loaded(tmp_path, shapes)
    # LDM's converter knows the names without the causal convolutions around
    flat = {
        name.replace("_conv.", "_CONV.").replace(".conv.", ".", 1).replace("_CONV.", "_conv."): value
        for name, value in random_weights(shapes).items()
    }
    config = {"block_out_channels": (32, 32, 64, 64), "layers_per_block": 1}
    state = converted_ldm_vae(flat, "AutoencoderKLHunyuanVideo", config)
    reference = module("AutoencoderKLHunyuanVideo", state, **config)
    video, latent = torch.rand(5, 16, 24, 3), randn(1, 16, 2, 2, 3)
    with torch.no_grad():
        mean = reference.encode(video.movedim(-1, 0)[None] * 2 - 1).latent_dist.mean
        frames = reference.decode(latent).sample
    assert close(vae.encode(video), mean)
    assert close(vae.decode(latent), (frames / 2 + 0.5).clamp(0, 1).movedim(1, -1))
    assert (vae.latent_channels, vae.downscale, vae.frames) == (16, 8, 4)
