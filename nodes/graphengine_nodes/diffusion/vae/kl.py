"""KL autoencoders, with or without convolutions around the latent, and tiny ones, from checkpoint tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from graphengine.node.api import ModelError
from graphengine_nodes.diffusion.weights import detect, keymaps
from graphengine_nodes.diffusion.weights.build import (
    Component,
    assign_weights,
    kl_module,
    module_shapes,
    taesd_module,
)
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint, TensorInfo
from graphengine_nodes.diffusion.weights.detect import KLConfig

from .autoencoder import VAE


def load_kl(checkpoint: Checkpoint, part: dict[str, TensorInfo], device: str) -> VAE:
    """The KL autoencoder (Rombach et al. 2022) whose tensors, without prefix, are `part`.

    Names are those of LDM or of diffusers. The models after SDXL have no 1x1 convolutions around the latent.

    Raises:
        ModelError: it is incomplete or of another layout.
    """
    names = keymaps.vae_names(part)
    config = detect.kl_config(checkpoint.path.name, module_shapes(part, names))
    around = any(name.startswith(("quant_conv.", "post_quant_conv.")) for name in part)
    module = assign_weights("the VAE", checkpoint, part, names, lambda: _kl(config, around))
    encoder = KLEncoder(_network(module, "encoder"), _network(module, "quant_conv"))
    decoder = nn.Sequential(_network(module, "post_quant_conv"), _network(module, "decoder"))
    return VAE(
        Component(encoder, checkpoint, device=device),
        Component(decoder, checkpoint, device=device),
        config.latent_channels,
        2 ** (len(config.widths) - 1),
        variational=True,
    )


def _kl(config: KLConfig, around: bool) -> nn.Module:
    module = kl_module(config)
    if not around:
        module.quant_conv, module.post_quant_conv = nn.Identity(), nn.Identity()
    return module


def _network(module: nn.Module, name: str) -> nn.Module:
    return cast("nn.Module", getattr(module, name))


class KLEncoder(nn.Module):
    """Pictures (B, 3, H, W) in -1..1 → mean and log-variance of the posterior, (B, 2 C, h, w)."""

    def __init__(self, encoder: nn.Module, quant_conv: nn.Module) -> None:
        super().__init__()
        self.encoder, self.quant_conv = encoder, quant_conv

    def forward(self, x: Tensor) -> Tensor:
        """Both, one after the other along the channels."""
        result: Tensor = self.quant_conv(self.encoder(x))
        return result


def is_taesd(part: Mapping[str, TensorInfo]) -> bool:
    """Whether the tensors are those of a tiny autoencoder."""
    return any(name.startswith("taesd_") for name in part)


def is_kl(part: Mapping[str, TensorInfo]) -> bool:
    """Whether the tensors are those of a KL autoencoder of LDM or diffusers: convolutions without time."""
    return any(name.startswith(("encoder.down", "decoder.up")) for name in part)


def load_taesd(checkpoint: Checkpoint, part: dict[str, TensorInfo], device: str) -> VAE:
    """The tiny autoencoder (madebyollin/taesd) whose tensors, without prefix, are `part`.

    Raises:
        ModelError: it is incomplete or of another layout.
    """
    names = keymaps.taesd_names(part)
    config = detect.taesd_config(checkpoint.path.name, module_shapes(part, names))
    module = assign_weights("the VAE", checkpoint, part, names, lambda: taesd_module(config))
    scale = _vae_scale(checkpoint, part)
    encoder = _Scaled(_network(module, "encoder"), after=1 / scale)
    decoder = _Scaled(_network(module, "decoder"), before=scale)
    return VAE(
        Component(encoder, checkpoint, device=device),
        Component(decoder, checkpoint, device=device),
        config.latent_channels,
        2 ** (len(config.encoder_widths) - 1),
    )


def _vae_scale(checkpoint: Checkpoint, part: Mapping[str, TensorInfo]) -> float:
    info = part.get("vae_scale")
    if info is None:
        return 1.0
    values = checkpoint.tensor(info).to(torch.float32).flatten().tolist()
    if len(values) != 1 or not 0 < values[0] < float("inf"):
        raise ModelError(
            f"model file {checkpoint.path.name!r} has a useless vae_scale: {values[:4]}",
            hint="it must be one number above 0",
        )
    return float(values[0])


class _Scaled(nn.Module):
    """A network with its input or output multiplied by a number."""

    def __init__(self, network: nn.Module, *, before: float = 1.0, after: float = 1.0) -> None:
        super().__init__()
        self.network, self.before, self.after = network, before, after

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.network(x * self.before)
        return result * self.after
