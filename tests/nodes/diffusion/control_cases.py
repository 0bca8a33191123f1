"""Small ControlNets: shapes in the original layout, and diffusers' own modules with the same weights."""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from graphengine_nodes.diffusion.families.families import load_model
from graphengine_nodes.diffusion.model.model import DiffusionModel
from graphengine_nodes.diffusion.model.model_sampling import DiscreteSampling
from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

from . import ldm_layout
from .ldm_layout import Shapes

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import diffusers
    from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint

WIDTHS, CONTEXT, HINT = (32, 32, 64, 64), 48, (16, 32, 96, 256)
BLOCKS, ATTENTION = (2, 2, 2, 2), (True, True, True, False)
MODEL_SAMPLING = DiscreteSampling.linear()
SIZES: dict[str, Any] = {
    "block_out_channels": WIDTHS,
    "down_block_types": (*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"),
    "cross_attention_dim": CONTEXT,
    "attention_head_dim": 8,
    "layers_per_block": 2,
}


def unet_shapes(widths: tuple[int, ...] = WIDTHS, context: int = CONTEXT) -> Shapes:
    """The UNet that the ControlNets here steer."""
    return ldm_layout.unet(widths, BLOCKS, ATTENTION, context)


def control_shapes(widths: tuple[int, ...] = WIDTHS, context: int = CONTEXT, colours: int = 3) -> Shapes:
    """A ControlNet in the original layout: the encoder of the UNet, the hint block and the zero convolutions."""
    encoder = re.compile(r"(time_embed|input_blocks|middle_block)\.")
    shapes = {name: shape for name, shape in unet_shapes(widths, context).items() if encoder.match(name)}
    layers = [colours, 16, 16, 32, 32, 96, 96, 256, widths[0]]
    for number, (before, after) in enumerate(itertools.pairwise(layers)):
        shapes |= _conv(f"input_hint_block.{2 * number}", after, before, 3)
    left = [widths[0]]
    for level, width in enumerate(widths):
        left += [width] * (BLOCKS[level] + (level < len(widths) - 1))
    for number, width in enumerate(left):
        shapes |= _conv(f"zero_convs.{number}.0", width, width, 1)
    return shapes | _conv("middle_block_out.0", widths[-1], widths[-1], 1)


def _conv(name: str, after: int, before: int, kernel: int) -> Shapes:
    return {f"{name}.weight": (after, before, kernel, kernel), f"{name}.bias": (after,)}


def weights(shapes: Shapes, seed: int = 7) -> dict[str, Tensor]:
    """Random weights; two seeds give two files."""
    torch.manual_seed(seed)  # read by nothing else
    made = ldm_layout.random_weights(shapes, torch.float32)
    return {name: value * (1 + (seed - 7) * 0.1) for name, value in made.items()}


def oracle(tensors: Mapping[str, Tensor], **config: Any) -> Any:
    """diffusers' ControlNetModel with weights in the original layout, converted by diffusers."""
    module = diffusers.ControlNetModel(**{**SIZES, **config})
    module.load_state_dict(convert_controlnet_checkpoint(dict(tensors), module.config))
    return module.eval()


def unet_weights() -> dict[str, Tensor]:
    """The weights of the UNet that `model` gives, in the original layout, without prefix."""
    shapes = {f"{ldm_layout.UNET}{name}": shape for name, shape in unet_shapes().items()}
    made = ldm_layout.random_weights(shapes, torch.float32)
    return {name.removeprefix(ldm_layout.UNET): value for name, value in made.items()}


def model(folder: Path, widths: tuple[int, ...] = WIDTHS, context: int = CONTEXT) -> DiffusionModel:
    """A MODEL of the UNet here, from a file."""
    shapes = {f"{ldm_layout.UNET}{name}": shape for name, shape in unet_shapes(widths, context).items()}
    path = ldm_layout.write(folder / "unet.safetensors", shapes, dtype=torch.float32)
    return load_model(open_checkpoint(path), "cpu")
