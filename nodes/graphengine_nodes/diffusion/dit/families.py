"""Every family of diffusion transformers that runs, and the MODEL of the tensors of one of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

import torch

from graphengine_nodes.diffusion.model.model import DiffusionModel
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint, TensorInfo

from .architecture import Architecture, TransformerNetwork
from .aura_flow import AuraFlow
from .chroma import Chroma
from .cosmos import CosmosPredict2
from .flux import Flux
from .hidream import HiDream
from .hunyuan_video import HunyuanVideo
from .layout import Reader
from .loading import load_component, weights_of
from .ltx_video import LTXVideo
from .lumina2 import Lumina2
from .mochi import Mochi
from .omnigen2 import OmniGen2
from .qwen_image import QwenImage
from .sd3 import SD3
from .stable_cascade import StageB, StageC
from .wan import Wan
from .z_image import ZImage

ARCHITECTURES: tuple[Architecture, ...] = (
    SD3(),
    Flux(),
    QwenImage(),
    Wan(),
    ZImage(),
    HiDream(),
    HunyuanVideo(),
    Chroma(),
    Mochi(),
    LTXVideo(),
    Lumina2(),
    AuraFlow(),
    CosmosPredict2(),
    OmniGen2(),
    StageC(),
    StageB(),
)
"""The first that matches is taken."""

_OWN_PREFIX = "net."  # of NVIDIA's models, beside the prefixes that every checkpoint may have


def own_names(part: Mapping[str, TensorInfo]) -> dict[str, TensorInfo]:
    """The tensors of a diffusion network without the prefix that some families keep."""
    return {name.removeprefix(_OWN_PREFIX): info for name, info in part.items()}


def find_architecture(names: Collection[str]) -> Architecture | None:
    """The family of a diffusion network with tensors of these names; None when it is no known transformer."""
    own = frozenset(name.removeprefix(_OWN_PREFIX) for name in names)
    return next((architecture for architecture in ARCHITECTURES if architecture.matches(own)), None)


def load_transformer(
    architecture: Architecture,
    checkpoint: Checkpoint,
    part: Mapping[str, TensorInfo],
    device: str,
    rounded: torch.dtype | None = None,
) -> DiffusionModel:
    """The MODEL of a diffusion network of the family.

    part: its tensors, without the prefix of the checkpoint. rounded: a dtype that the weights are rounded to.

    Raises:
        ModelError: the network is incomplete or of impossible sizes.
    """
    part = own_names(part)
    shapes = {name: info.shape for name, info in weights_of(part, architecture.ignored).items()}
    read = Reader(checkpoint.path.name, shapes, checkpoint.metadata)
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
    return DiffusionModel(
        network,
        architecture.sampling(config),
        architecture.latent_format(config),
        device,
        shows_kept=architecture.shows_kept(config),
    )
