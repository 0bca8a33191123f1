"""The VAE value: pictures ↔ latents, with a KL or a tiny autoencoder.

LATENT values between nodes have the scale of the VAE; a MODEL multiplies by its latent format's factor (0.18215
for every SD1.x model). A tiny autoencoder works in a scale of its own: `vae_scale` in the file, a single number,
divides what its encoder gives and multiplies what its decoder takes. A file without it means 1. So the network
of a checkpoint with a tiny autoencoder sees encoder output * 0.18215 / vae_scale; it sees the plain output when
vae_scale is 0.18215.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graphengine.node.api import GraphEngineError, ModelError

from . import detect, keymaps
from .build import Component, assign_weights, kl_module, module_shapes, taesd_module
from .checkpoint import Checkpoint, TensorInfo
from .model import Latent


def _never_stop() -> None:
    """The default check between pictures."""


@dataclass(frozen=True, slots=True, eq=False)
class VAE:
    """An encoder, (1, 3, H, W) in -1..1 → (1, C, h, w), and a decoder, the other way; `downscale` is H / h."""

    encoder: Component
    decoder: Component
    latent_channels: int = 4
    downscale: int = 8

    @torch.no_grad()
    def encode(self, pixels: Tensor, check: Callable[[], None] = _never_stop) -> Tensor:
        """Latents (B, C, H/8, W/8) of pictures (B, H, W, 3 or more) in 0..1; float32 on the CPU.

        Pictures are cropped in the middle to multiples of 8, the latent is the mean of the posterior, not a
        sample. check is called before each picture and may raise.

        Raises:
            GraphEngineError: the pictures are smaller than one latent pixel, or not of that shape.
        """
        if pixels.ndim != 4 or pixels.shape[-1] < 3:
            raise GraphEngineError(f"a VAE encodes pictures of shape (B, H, W, 3), not {list(pixels.shape)}")
        pixels = crop(pixels[..., :3], self.downscale)
        return self._each(self.encoder, pixels.movedim(-1, 1) * 2 - 1, check)

    @torch.no_grad()
    def decode(self, samples: Tensor, check: Callable[[], None] = _never_stop) -> Tensor:
        """Pictures (B, 8 h, 8 w, 3) in 0..1 of latents (B, C, h, w); float32 on the CPU.

        check is called before each picture and may raise.

        Raises:
            GraphEngineError: the latents do not belong to this VAE.
        """
        if samples.ndim != 4 or samples.shape[1] != self.latent_channels:
            raise GraphEngineError(
                f"this VAE decodes latents of shape (B, {self.latent_channels}, H, W), not {list(samples.shape)}",
                hint="use the VAE that belongs to the model that made the latent",
            )
        return ((self._each(self.decoder, samples, check) + 1) / 2).clamp(0, 1).movedim(1, -1).contiguous()

    @staticmethod
    def _each(component: Component, batch: Tensor, check: Callable[[], None]) -> Tensor:
        """One sample at a time: memory stays that of one, and a run can stop in between."""
        results = []
        for index in range(len(batch)):
            check()
            network = component.ready()
            results.append(network(batch[index : index + 1].to(component.device, component.dtype)).float().cpu())
        return torch.cat(results)


def crop(pixels: Tensor, multiple: int = 8) -> Tensor:
    """Pictures (B, H, W, …) cropped in the middle to multiples of a number of pixels.

    Raises:
        GraphEngineError: nothing would be left.
    """
    height, width = (size // multiple * multiple for size in pixels.shape[1:3])
    if not height or not width:
        raise GraphEngineError(
            f"a picture of {pixels.shape[2]}x{pixels.shape[1]} is too small to encode",
            hint=f"use a picture of at least {multiple}x{multiple}",
        )
    top, left = (size % multiple // 2 for size in pixels.shape[1:3])
    return pixels[:, top : top + height, left : left + width]


def encode_for_inpaint(
    vae: VAE, pixels: Tensor, mask: Tensor, grow: int, check: Callable[[], None] = _never_stop
) -> Latent:
    """The latent of pictures with the masked part greyed out, and the mask, grown, as its noise mask.

    pixels: (B, H, W, 3) in 0..1. mask: (H, W) or (B, H, W) in 0..1, any resolution, 1 is painted anew. grow: by
    how many pixels the mask of the noise is wider than the grey, so that the seam vanishes. The noise mask has
    shape (B, 1, H, W), values 0 and 1.
    """
    mask = mask.reshape(-1, 1, *mask.shape[-2:])
    mask = F.interpolate(mask, size=pixels.shape[1:3], mode="bilinear")
    pixels, mask = crop(pixels, vae.downscale), crop(mask.movedim(1, -1), vae.downscale).movedim(-1, 1)
    hard = mask.round()
    grown = hard if grow else mask
    if grow:
        spread = F.max_pool2d(hard, grow, stride=1, padding=grow // 2)
        grown = spread[..., : mask.shape[-2], : mask.shape[-1]]
    keep = 1 - hard.movedim(1, -1)
    greyed = (pixels[..., :3] - 0.5) * keep + 0.5
    return {"samples": vae.encode(greyed, check), "noise_mask": grown.round()}


def load_vae(checkpoint: Checkpoint, device: str) -> VAE | None:
    """The VAE of an SD1.x checkpoint; None when the file holds none.

    Raises:
        ModelError: the VAE is incomplete or of an unknown kind.
    """
    part = checkpoint.part(detect.VAE_PREFIX)
    return _vae(checkpoint, part, device) if part else None


def load_vae_file(checkpoint: Checkpoint, device: str) -> VAE:
    """The VAE of a file of its own, in the layout of LDM, of diffusers or of the tiny autoencoder.

    Raises:
        ModelError: the file is no VAE, or incomplete.
    """
    return _vae(checkpoint, checkpoint.part(detect.VAE_PREFIX) or dict(checkpoint.entries), device)


def _vae(checkpoint: Checkpoint, part: dict[str, TensorInfo], device: str) -> VAE:
    detect.check_vae(checkpoint.path.name, part)
    make = _load_taesd if any(name.startswith("taesd_") for name in part) else _load_kl
    return make(checkpoint, part, device)


def _load_kl(checkpoint: Checkpoint, part: dict[str, TensorInfo], device: str) -> VAE:
    names = keymaps.vae_names(part)
    config = detect.kl_config(checkpoint.path.name, module_shapes(part, names))
    module = assign_weights("the VAE", checkpoint, part, names, lambda: kl_module(config))
    encoder = _KLEncoder(cast("nn.Module", module.encoder), cast("nn.Module", module.quant_conv))
    decoder = nn.Sequential(cast("nn.Module", module.post_quant_conv), cast("nn.Module", module.decoder))
    return VAE(
        Component(encoder, checkpoint, device=device),
        Component(decoder, checkpoint, device=device),
        config.latent_channels,
        2 ** (len(config.widths) - 1),
    )


def _load_taesd(checkpoint: Checkpoint, part: dict[str, TensorInfo], device: str) -> VAE:
    names = keymaps.taesd_names(part)
    config = detect.taesd_config(checkpoint.path.name, module_shapes(part, names))
    module = assign_weights("the VAE", checkpoint, part, names, lambda: taesd_module(config))
    scale = _vae_scale(checkpoint, part)
    encoder = _Scaled(cast("nn.Module", module.encoder), after=1 / scale)
    decoder = _Scaled(cast("nn.Module", module.decoder), before=scale)
    return VAE(
        Component(encoder, checkpoint, device=device),
        Component(decoder, checkpoint, device=device),
        config.latent_channels,
        2 ** (len(config.encoder_widths) - 1),
    )


def _vae_scale(checkpoint: Checkpoint, part: dict[str, TensorInfo]) -> float:
    info = part.get("vae_scale")
    if info is None:
        return 1.0
    values = checkpoint.tensor(info).flatten().tolist()
    if len(values) != 1 or not 0 < values[0] < float("inf"):
        raise ModelError(
            f"model file {checkpoint.path.name!r} has a useless vae_scale: {values[:4]}",
            hint="it must be one number above 0",
        )
    return float(values[0])


class _KLEncoder(nn.Module):
    """Pictures → the mean of the posterior, the first half of the channels."""

    def __init__(self, encoder: nn.Module, quant_conv: nn.Module) -> None:
        super().__init__()
        self.encoder, self.quant_conv = encoder, quant_conv

    def forward(self, x: Tensor) -> Tensor:
        return self.moments(x)[0]

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the posterior, each (B, C, h, w), of pictures (B, 3, H, W) in -1..1."""
        mean, log_variance = self.quant_conv(self.encoder(x)).chunk(2, dim=1)
        return mean, log_variance


class _Scaled(nn.Module):
    """A network with its input or output multiplied by a number."""

    def __init__(self, network: nn.Module, *, before: float = 1.0, after: float = 1.0) -> None:
        super().__init__()
        self.network, self.before, self.after = network, before, after

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.network(x * self.before)
        return result * self.after


def require_vae(vae: VAE | None) -> VAE:
    """The VAE given to a node.

    Raises:
        ModelError: the checkpoint had none.
    """
    if vae is None:
        raise ModelError(
            "the checkpoint holds no VAE",
            hint="load one with the node VAELoader and connect it here",
        )
    return vae
