"""The video autoencoders of LTX-Video 0.9.0, 0.9.1 to 0.9.4, and from 0.9.5 on.

Latents are normalised by statistics in the file, so that the network needs no scale. The decoders since 0.9.1
are told a small time, as if the latent held a rest of noise. ComfyUI adds such noise; here none is added, so that
equal latents give equal frames.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from graphengine_nodes.diffusion.dit.layout import Destination, Reader
from graphengine_nodes.diffusion.dit.loading import load_module
from graphengine_nodes.diffusion.dit.modules import buffer_as_parameter, diffusers_class, on_meta
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint, TensorInfo
from graphengine_nodes.diffusion.weights.weights import Component

from .autoencoder import VAE

_FRAMES, _PIXELS = 8, 32  # of the video per cell of the latent
_DECODE_TIME = 0.05
_NOISE_SEED = 0  # of the noise that decoders of 0.9.1 mix into their states
_WIDTH = 128  # of the first convolution in the published models
_STATISTICS = {"mean-of-means": "latents_mean", "std-of-means": "latents_std"}
_YES, _NO = True, False

# Numbers of blocks in the file → names in the module.
_ENCODER = (
    *("down_blocks.0", "down_blocks.0.downsamplers.0", "down_blocks.0.conv_out", "down_blocks.1"),
    *("down_blocks.1.downsamplers.0", "down_blocks.1.conv_out", "down_blocks.2", "down_blocks.2.downsamplers.0"),
    *("down_blocks.3", "mid_block"),
)
_ENCODER_095 = (
    *(f"down_blocks.{level}{part}" for level in range(4) for part in ("", ".downsamplers.0")),
    "mid_block",
)
_DECODER = (
    *("mid_block", "up_blocks.0", "up_blocks.1.upsamplers.0", "up_blocks.1", "up_blocks.2.conv_in"),
    *("up_blocks.2.upsamplers.0", "up_blocks.2", "up_blocks.3.conv_in", "up_blocks.3.upsamplers.0", "up_blocks.3"),
)
_DECODER_091 = ("mid_block", *(f"up_blocks.{level}{part}" for level in range(4) for part in (".upsamplers.0", "")))

_TIMED = {
    "decoder_spatio_temporal_scaling": (_YES,) * 3,
    "upsample_residual": (_YES,) * 3,
    "upsample_factor": (2,) * 3,
    "timestep_conditioning": True,
}
_SIZES_091 = {
    **_TIMED,
    "decoder_block_out_channels": (256, 512, 1024),
    "decoder_layers_per_block": (5, 6, 7, 8),
    "decoder_inject_noise": (_YES, _YES, _YES, _NO),
}
_SIZES_095 = {
    **_TIMED,
    "block_out_channels": (128, 256, 512, 1024, 2048),
    "down_block_types": ("LTXVideo095DownBlock3D",) * 4,
    "layers_per_block": (4, 6, 6, 2, 2),
    "spatio_temporal_scaling": (_YES,) * 4,
    "downsample_type": ("spatial", "temporal", "spatiotemporal", "spatiotemporal"),
    "decoder_block_out_channels": (256, 512, 1024),
    "decoder_layers_per_block": (5, 5, 5, 5),
    "decoder_inject_noise": (_NO,) * 4,
    "spatial_compression_ratio": _PIXELS,
    "temporal_compression_ratio": _FRAMES,
}
_CHANNELS = {"block_out_channels": (128, 256, 512, 512), "decoder_block_out_channels": (128, 256, 512, 512)}


def is_ltx_vae(part: Mapping[str, TensorInfo]) -> bool:
    """Whether the tensors are those of an autoencoder of LTX-Video."""
    return "decoder.up_blocks.0.res_blocks.0.conv1.conv.weight" in part


def load_ltx_vae(checkpoint: Checkpoint, part: dict[str, TensorInfo], device: str) -> VAE:
    """The video autoencoder whose tensors, without prefix, are `part`.

    Raises:
        ModelError: it is incomplete or of another layout.
    """
    read = Reader(checkpoint.path.name, {name: info.shape for name, info in part.items()})
    timed = read.has("decoder.last_time_embedder.timestep_embedder.linear_1.weight")
    newest = not read.count(r"encoder\.down_blocks\.(9)\.")
    config = _config(read, timed=timed, newest=newest)
    blocks = (_ENCODER_095 if newest else _ENCODER), (_DECODER_091 if timed else _DECODER)
    places: dict[str, tuple[Destination, ...]] = {
        name: ((ltx_vae_name(name, *blocks), None),) for name in part if _is_used(name)
    }
    module: Any = load_module("the VAE of LTX-Video", checkpoint, part, places, lambda: _module(config))
    statistics = module.latents_mean, module.latents_std
    return VAE(
        Component(LTXEncoder(module.encoder, *statistics), checkpoint, device=device),
        Component(LTXDecoder(module.decoder, *statistics, timed=timed), checkpoint, device=device),
        config["latent_channels"],
        _PIXELS,
        frames=_FRAMES,
    )


def _config(read: Reader, *, timed: bool, newest: bool) -> dict[str, Any]:
    """Sizes of AutoencoderKLLTXVideo; all widths are in proportion to the first one."""
    config: dict[str, Any] = {**_CHANNELS, **(_SIZES_095 if newest else _SIZES_091 if timed else {})}
    width = read.shape("encoder.conv_in.conv.weight", 5)[0]
    for name in _CHANNELS:
        config[name] = tuple(channels * width // _WIDTH for channels in config[name])
    return {**config, "latent_channels": read.shape("decoder.conv_in.conv.weight", 5)[1]}


def _module(config: Mapping[str, Any]) -> nn.Module:
    module: nn.Module = on_meta(diffusers_class("AutoencoderKLLTXVideo"), **config)
    for name in _STATISTICS.values():
        buffer_as_parameter(module, name, (config["latent_channels"],))
    return module


def _is_used(name: str) -> bool:
    owner, _, kind = name.rpartition(".")
    return owner != "per_channel_statistics" or kind in _STATISTICS


def ltx_vae_name(name: str, encoder: tuple[str, ...], decoder: tuple[str, ...]) -> str:
    """A name in the files → the name in AutoencoderKLLTXVideo; encoder and decoder: the names of their blocks."""
    owner, _, kind = name.rpartition(".")
    if owner == "per_channel_statistics":
        return _STATISTICS[kind]
    for prefix, blocks in (("encoder.down_blocks.", encoder), ("decoder.up_blocks.", decoder)):
        found = re.match(rf"{re.escape(prefix)}(\d+)\.(.+)", name)
        if found and int(found[1]) < len(blocks):
            name = f"{prefix.partition('.')[0]}.{blocks[int(found[1])]}.{found[2]}"
    name = name.replace(".res_blocks.", ".resnets.").replace(".norm3.norm.", ".norm3.")
    name = name.replace(".conv_shortcut.", ".conv_shortcut.conv.").replace(
        ".last_time_embedder.", ".time_embedder."
    )
    return name.replace(".last_scale_shift_table", ".scale_shift_table")


class LTXEncoder(nn.Module):
    """Videos (B, 3, T, H, W) in -1..1 → the normalised mean of the posterior, (B, C, t, h, w)."""

    def __init__(self, encoder: nn.Module, mean: nn.Parameter, std: nn.Parameter) -> None:
        super().__init__()
        self.encoder, self.mean, self.std = encoder, mean, std

    def forward(self, x: Tensor) -> Tensor:
        """The latent."""
        moments: Tensor = self.encoder(x)
        return (moments[:, : len(self.mean)] - _over(self.mean)) / _over(self.std)


class LTXDecoder(nn.Module):
    """Normalised latents (B, C, t, h, w) → videos (B, 3, 8 t - 7, H, W); timed: the decoder is told a time."""

    def __init__(self, decoder: nn.Module, mean: nn.Parameter, std: nn.Parameter, *, timed: bool) -> None:
        super().__init__()
        self.decoder, self.mean, self.std, self.timed = decoder, mean, std, timed

    def forward(self, z: Tensor) -> Tensor:
        """The video."""
        z = z * _over(self.std) + _over(self.mean)
        time = torch.full((len(z),), _DECODE_TIME, device=z.device, dtype=z.dtype) if self.timed else None
        devices = [z.device] if z.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(_NOISE_SEED)
            video: Tensor = self.decoder(z, time)
        return video


def _over(values: Tensor) -> Tensor:
    return values.reshape(1, -1, 1, 1, 1)
