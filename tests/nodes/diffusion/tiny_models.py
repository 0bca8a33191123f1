"""Checkpoints of every Stable Diffusion family with random weights, a few megabytes each.

Each function writes a file in the layout that the family's files have, and gives its path. Text states are 64 wide
for SD1 and SD2, 64 + 128 for SDXL; heads have 64 channels but in SD1.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from . import ldm_layout
from .ldm_layout import Shapes

SDXL_L, SDXL_G = "conditioner.embedders.0.transformer.text_model.", "conditioner.embedders.1.model."
REFINER_G, SD2_H = "conditioner.embedders.0.model.", "cond_stage_model.model."
POOLED = 128
"""Width of the pooled state of the tiny CLIP-G."""


def sd1_unet(in_channels: int = 4) -> Shapes:
    """Three levels, attention in two; text states 64 wide."""
    return ldm_layout.unet((32, 64, 96), (1, 1, 1), (True, True, False), 64, in_channels=in_channels)


def sd2_unet(in_channels: int = 4) -> Shapes:
    """Three levels, attention in two, linear projections; text states 64 wide."""
    return ldm_layout.unet((64, 64, 128), (1, 1, 1), (True, True, False), 64, linear=True, in_channels=in_channels)


def sdxl_unet(in_channels: int = 4) -> Shapes:
    """Three levels, attention in the lower two, the lowest two deep; text states 64 + 128 wide, a vector."""
    return ldm_layout.unet(
        (32, 64, 128),
        (2, 2, 2),
        (False, True, True),
        64 + POOLED,
        depth=(0, 1, 2),
        linear=True,
        in_channels=in_channels,
        label=POOLED + 6 * 256,
    )


def refiner_unet() -> Shapes:
    """Four levels, attention in the middle two; text states 128 wide, a vector."""
    return ldm_layout.unet(
        (32, 64, 64, 64),
        (1, 1, 1, 1),
        (False, True, True, False),
        POOLED,
        depth=2,
        linear=True,
        label=POOLED + 5 * 256,
    )


def sd1_checkpoint(path: Path, *, in_channels: int = 4) -> Path:
    """SD1.x; 9 input channels for inpainting, 8 for InstructPix2Pix."""
    parts = {"cond_stage_model.transformer.text_model.": ldm_layout.clip(64, 2)}
    return _write(path, sd1_unet(in_channels), parts)


def sd2_checkpoint(path: Path, *, velocity: bool = False, in_channels: int = 4) -> Path:
    """SD2.x; velocity: of the kind that predicts it."""
    last = f"{ldm_layout.UNET}output_blocks.5.1.transformer_blocks.0.norm1.bias"
    bias = torch.linspace(-1, 1, 64) * (0.5 if velocity else 0.05)
    return _write(path, sd2_unet(in_channels), {SD2_H: ldm_layout.open_clip(64, 3)}, {last: bias})


def sdxl_checkpoint(path: Path, more: Mapping[str, Tensor] | None = None, *, in_channels: int = 4) -> Path:
    """SDXL base, and more tensors as they are given."""
    parts = {SDXL_L: ldm_layout.clip(64, 2), SDXL_G: ldm_layout.open_clip(POOLED, 2)}
    return _write(path, sdxl_unet(in_channels), parts, more)


def refiner_checkpoint(path: Path) -> Path:
    """SDXL's refiner."""
    return _write(path, refiner_unet(), {REFINER_G: ldm_layout.open_clip(POOLED, 2)})


def unclip_checkpoint(path: Path) -> Path:
    """SD2.1-unCLIP for image embeddings 64 wide, whose mean is 0.25 and deviation 0.5 in every number."""
    unet = ldm_layout.unet((64, 64, 128), (1, 1, 1), (True, True, False), 64, linear=True, label=128)
    statistics = {
        "noise_augmentor.data_mean": torch.full((1, 64), 0.25),
        "noise_augmentor.data_std": torch.full((1, 64), 0.5),
    }
    return _write(path, unet, {SD2_H: ldm_layout.open_clip(64, 3)}, statistics)


def upscaler_checkpoint(path: Path) -> Path:
    """The x4 upscaler: attentions look at the text alone but on the lowest level; a VAE of three levels."""
    unet = ldm_layout.unet(
        (32, 64, 128), (1, 1, 1), (False, True, True), 192, linear=True, in_channels=7, only_cross=True
    )
    unet["label_emb.weight"] = (1000, 128)
    shapes = prefixed(ldm_layout.UNET, unet) | prefixed(ldm_layout.VAE, ldm_layout.kl((32, 32, 64), 1))
    return ldm_layout.write(path, shapes | prefixed(SD2_H, ldm_layout.open_clip(192, 3)))


def clip_l_file(path: Path) -> Path:
    """A CLIP-L tower alone, in the layout of transformers."""
    return ldm_layout.write(path, prefixed("text_model.", ldm_layout.clip(64, 2)))


def clip_g_file(path: Path, *, open_clip: bool = False) -> Path:
    """A CLIP-G tower alone: 32 layers, by which loaders know it."""
    if open_clip:
        return ldm_layout.write(path, ldm_layout.open_clip(POOLED, 32))
    shapes = prefixed("text_model.", ldm_layout.clip(POOLED, 32))
    return ldm_layout.write(path, shapes | {"text_projection.weight": (POOLED, POOLED)})


def clip_h_file(path: Path) -> Path:
    """A CLIP-H tower alone: 24 layers, by which loaders know it."""
    shapes = prefixed("text_model.", ldm_layout.clip(64, 24))
    return ldm_layout.write(path, shapes | {"text_projection.weight": (64, 64)})


def prefixed(prefix: str, shapes: Shapes) -> Shapes:
    """The shapes under names that begin so."""
    return {prefix + name: shape for name, shape in shapes.items()}


def _write(
    path: Path, unet: Shapes, towers: Mapping[str, Shapes], more: Mapping[str, Tensor] | None = None
) -> Path:
    shapes = prefixed(ldm_layout.UNET, unet) | prefixed(ldm_layout.VAE, ldm_layout.kl((32, 32, 64, 64), 1))
    for prefix, tower in towers.items():
        shapes |= prefixed(prefix, tower)
    return ldm_layout.write(path, shapes, more)
