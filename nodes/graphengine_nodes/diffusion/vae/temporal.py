"""The autoencoder of Stable Video Diffusion (Blattmann et al. 2023): KL, with layers over time in its decoder.

Pictures are encoded one by one; the latents of a batch are decoded together, as the frames of one video.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn

from graphengine_nodes.diffusion.unet.video_unet import video_resnet_name
from graphengine_nodes.diffusion.weights import detect, keymaps
from graphengine_nodes.diffusion.weights.build import Component, assign_weights, module_shapes, quiet
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint, TensorInfo
from graphengine_nodes.diffusion.weights.detect import KLConfig

from .autoencoder import VAE, Check, never_stop
from .kl import KLEncoder

_MARKERS = ("decoder.mid.block_1.mix_factor", "decoder.mid_block.resnets.0.time_mixer.mix_factor")
_DECODER_RESNET = re.compile(r"(decoder\..*\bresnets\.\d+)\.(.+)")


class TemporalVAE(VAE):
    """A VAE whose latents (T, C, h, w) are the frames of one video."""

    @torch.no_grad()
    def decode(self, samples: Tensor, check: Check = never_stop) -> Tensor:
        """Pictures (T, 8 h, 8 w, 3) in 0..1 of latents (T, C, h, w); float32 on the CPU.

        Raises:
            GraphEngineError: the latents do not belong to this VAE, or are too large for the memory.
        """
        return self._video().decode(_as_video(samples), check)[0]

    @torch.no_grad()
    def decode_tiled(
        self,
        samples: Tensor,
        tile_x: int | None = None,
        tile_y: int | None = None,
        overlap: int | None = None,
        tile_t: int | None = None,
        overlap_t: int | None = None,
        check: Check = never_stop,
    ) -> Tensor:
        """What `decode` gives, computed in tiles of so many cells; see `VAE.decode_tiled`."""
        sizes = (tile_x, tile_y, overlap, tile_t, overlap_t)
        return self._video().decode_tiled(_as_video(samples), *sizes, check)[0]

    def _video(self) -> VAE:
        """The same networks as a VAE of videos with one frame per latent."""
        given = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return VAE(**{**given, "frames": 1})


def _as_video(samples: Tensor) -> Tensor:
    """(T, C, h, w) as (1, C, T, h, w)."""
    return samples.movedim(1, 0)[None] if samples.ndim == 4 else samples


class TemporalDecoder(nn.Module):
    """diffusers' temporal decoder on videos: (1, C, T, h, w) → (1, 3, T, H, W)."""

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, z: Tensor) -> Tensor:
        """The video."""
        batch, _, frames, *_ = z.shape
        video = torch.zeros(batch, frames, device=z.device, dtype=z.dtype)  # none of them is a picture alone
        decoded: Tensor = self.decoder(z.movedim(1, 2).flatten(0, 1), video, frames)
        return decoded.reshape(batch, frames, *decoded.shape[1:]).movedim(2, 1)


def is_temporal(part: Mapping[str, TensorInfo]) -> bool:
    """Whether the tensors are those of an autoencoder whose decoder has layers over time."""
    return any(marker in part for marker in _MARKERS)


def temporal_names(names: Mapping[str, Any]) -> dict[str, str]:
    """Names of a file → names in AutoencoderKLTemporalDecoder."""
    return {old: _in_time(new) for old, new in keymaps.vae_names(names).items()}


def _in_time(name: str) -> str:
    name = name.replace("decoder.conv_out.time_mix_conv.", "decoder.time_conv_out.")
    found = _DECODER_RESNET.fullmatch(name)
    if found is None or "_res_block." in name:
        return name
    return f"{found[1]}.{video_resnet_name(found[2])}"


def load_temporal(checkpoint: Checkpoint, part: dict[str, TensorInfo], device: str) -> VAE:
    """The autoencoder whose tensors, without prefix, are `part`.

    Raises:
        ModelError: it is incomplete or of another layout.
    """
    names = temporal_names(part)
    config = detect.kl_config(checkpoint.path.name, module_shapes(part, names))
    around = any(name.startswith("quant_conv.") for name in part)
    module: Any = assign_weights("the VAE", checkpoint, part, names, lambda: temporal_module(config, around))
    return TemporalVAE(
        Component(KLEncoder(module.encoder, module.quant_conv), checkpoint, device=device),
        Component(TemporalDecoder(module.decoder), checkpoint, device=device),
        config.latent_channels,
        2 ** (len(config.widths) - 1),
        variational=True,
    )


def temporal_module(config: KLConfig, around: bool) -> nn.Module:
    """The network of these sizes, on the meta device; around: with a convolution after the encoder."""
    with quiet():
        from diffusers import AutoencoderKLTemporalDecoder  # heavy: seconds to import

    with torch.device("meta"):
        module: nn.Module = AutoencoderKLTemporalDecoder(
            in_channels=config.channels,
            out_channels=config.channels,
            latent_channels=config.latent_channels,
            block_out_channels=config.widths,
            down_block_types=("DownEncoderBlock2D",) * len(config.widths),
            layers_per_block=config.blocks,
        )
    if not around:
        module.quant_conv = nn.Identity()
    return module
