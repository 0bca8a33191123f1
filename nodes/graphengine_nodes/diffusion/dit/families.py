"""Every family of diffusion transformers that runs, and the MODEL of a file of one of them."""

from __future__ import annotations

from collections.abc import Collection
from types import MappingProxyType

import torch

from graphengine_nodes.diffusion.checkpoint import Checkpoint, TensorInfo
from graphengine_nodes.diffusion.model import DiffusionModel

from .architecture import Architecture, TransformerNetwork
from .flux import Flux
from .layout import Reader
from .loading import load_component, weights_of
from .qwen_image import QwenImage
from .sd3 import SD3
from .wan import Wan

#: What files put before the names of the diffusion model, the longest first; "" for files that hold nothing else.
PREFIXES = ("model.diffusion_model.", "diffusion_model.", "model.", "net.", "")

ARCHITECTURES: tuple[Architecture, ...] = (SD3(), Flux(), QwenImage(), Wan())
"""The first that matches is taken."""


def find_architecture(names: Collection[str]) -> tuple[Architecture, str] | None:
    """The family of a file with these tensors, and the prefix of its diffusion model; None for other files."""
    for prefix in PREFIXES:
        own = frozenset(name.removeprefix(prefix) for name in names if name.startswith(prefix))
        for architecture in ARCHITECTURES:
            if own and architecture.matches(own):
                return architecture, prefix
    return None


def load_transformer(
    checkpoint: Checkpoint, device: str, rounded: torch.dtype | None = None
) -> DiffusionModel | None:
    """The MODEL of a file with a diffusion transformer; None when it holds no known one.

    rounded: a dtype that the weights are rounded to.

    Raises:
        ModelError: the network is incomplete or of impossible sizes.
    """
    found = find_architecture(checkpoint.entries)
    if found is None:
        return None
    architecture, prefix = found
    part = {
        name.removeprefix(prefix): info for name, info in checkpoint.entries.items() if name.startswith(prefix)
    }
    return _model(architecture, checkpoint, part, device, rounded)


def _model(
    architecture: Architecture,
    checkpoint: Checkpoint,
    part: dict[str, TensorInfo],
    device: str,
    rounded: torch.dtype | None,
) -> DiffusionModel:
    shapes = {name: info.shape for name, info in weights_of(part, architecture.ignored).items()}
    read = Reader(checkpoint.path.name, shapes)
    config = MappingProxyType(dict(architecture.config(read)))
    component = load_component(
        architecture.title,
        checkpoint,
        part,
        architecture.destinations(read, config),
        lambda: architecture.module(config),
        device,
        rounded=rounded,
    )
    network = TransformerNetwork(architecture, config, component)
    return DiffusionModel(network, architecture.sampling(config), architecture.latent_format(config), device)
