"""A small SD1 model with random weights, and questions to its UNet."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from graphengine_nodes.diffusion.families.families import load_model
from graphengine_nodes.diffusion.model.model import DiffusionModel, NetworkCall
from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

from . import ldm_layout

CONTEXT = 16


def small_model(path: Path) -> DiffusionModel:
    """A UNet of widths 32, 64, 128 with attention in the upper two, from a file that is written to the path."""
    shapes = ldm_layout.unet((32, 64, 128), (1, 1, 1), (True, True, False), CONTEXT)
    ldm_layout.write(path, {f"{ldm_layout.UNET}{name}": shape for name, shape in shapes.items()})
    return load_model(open_checkpoint(path), "cpu")


def told(model: DiffusionModel, x: Tensor, **options: Any) -> Tensor:
    """What the network says of x (B, 4, H, W) at sigma 2, with the patches of the model."""
    sigma = torch.full((len(x),), 2.0)
    given = {**model.model_options["transformer_options"], "sigmas": sigma, "memory": {}, **options}
    context = noise(len(x), 5, CONTEXT, seed=1)
    result: Tensor = model.network(NetworkCall(x, model.sampling.timestep(sigma), context, options=given))
    return result


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Normal numbers, the same at each call."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
