"""The video autoencoder of HunyuanVideo: a KL autoencoder whose convolutions are causal in time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from graphengine_nodes.diffusion.dit.layout import Destination, Reader
from graphengine_nodes.diffusion.dit.loading import load_module
from graphengine_nodes.diffusion.dit.modules import diffusers_class, on_meta
from graphengine_nodes.diffusion.weights import keymaps
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint, TensorInfo
from graphengine_nodes.diffusion.weights.weights import Component

from .autoencoder import VAE
from .kl import KLEncoder

_FRAMES = 4


def is_hunyuan_vae(part: Mapping[str, TensorInfo]) -> bool:
    """Whether the tensors are those of HunyuanVideo's autoencoder: LDM's names around convolutions in time."""
    return "decoder.conv_in.conv.weight" in part and "encoder.down.0.block.0.conv1.conv.weight" in part


def load_hunyuan_vae(checkpoint: Checkpoint, part: dict[str, TensorInfo], device: str) -> VAE:
    """The video autoencoder whose tensors, without prefix, are `part`.

    Raises:
        ModelError: it is incomplete or of another layout.
    """
    config = _config(Reader(checkpoint.path.name, {name: info.shape for name, info in part.items()}))
    names = keymaps.vae_names(part)
    places: dict[str, tuple[Destination, ...]] = {old: ((new, None),) for old, new in names.items()}
    module: Any = load_module("the VAE of HunyuanVideo", checkpoint, part, places, lambda: _module(config))
    return VAE(
        Component(KLEncoder(module.encoder, module.quant_conv), checkpoint, device=device),
        Component(nn.Sequential(module.post_quant_conv, module.decoder), checkpoint, device=device),
        config["latent_channels"],
        config["spatial_compression_ratio"],
        frames=_FRAMES,
        variational=True,
    )


def _config(read: Reader) -> dict[str, Any]:
    """Sizes of AutoencoderKLHunyuanVideo."""
    levels = read.count(r"encoder\.down\.(\d+)\.")
    widths = [read.shape(f"encoder.down.{level}.block.0.conv1.conv.weight", 5)[0] for level in range(levels)]
    return {
        "latent_channels": read.shape("decoder.conv_in.conv.weight", 5)[1],
        "down_block_types": ("HunyuanVideoDownBlock3D",) * levels,
        "up_block_types": ("HunyuanVideoUpBlock3D",) * levels,
        "block_out_channels": tuple(widths),
        "layers_per_block": read.count(r"encoder\.down\.0\.block\.(\d+)\."),
        "spatial_compression_ratio": 2 ** (levels - 1),
        "temporal_compression_ratio": _FRAMES,
    }


def _module(config: Mapping[str, Any]) -> nn.Module:
    module: nn.Module = on_meta(diffusers_class("AutoencoderKLHunyuanVideo"), **config)
    return module
