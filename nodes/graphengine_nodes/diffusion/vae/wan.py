"""The video autoencoders of Wan 2.1 (Qwen-Image and Cosmos Predict2 use it too) and Wan 2.2 5B.

Both are causal in time: the first frame stands alone, then four frames become one latent frame. They are run frame
group by frame group, each convolution remembering the last frames that it saw, so memory does not grow with the
length of the video.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from graphengine_nodes.diffusion.dit.layout import Destination, Reader
from graphengine_nodes.diffusion.dit.loading import load_module
from graphengine_nodes.diffusion.dit.modules import diffusers_class, on_meta
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint, TensorInfo
from graphengine_nodes.diffusion.weights.weights import Component

from .autoencoder import VAE

_FRAMES = 4
_RESIDUALS = 2  # residual blocks per level of the encoder; the decoder has one more
_RESIDUAL = {
    "residual.0": "norm1",
    "residual.2": "conv1",
    "residual.3": "norm2",
    "residual.6": "conv2",
    "shortcut": "conv_shortcut",
}
_TOP = {
    "conv1": "quant_conv",
    "conv2": "post_quant_conv",
    "encoder.conv1": "encoder.conv_in",
    "decoder.conv1": "decoder.conv_in",
    "encoder.head.0": "encoder.norm_out",
    "decoder.head.0": "decoder.norm_out",
    "encoder.head.2": "encoder.conv_out",
    "decoder.head.2": "decoder.conv_out",
}


def is_wan_vae(part: Mapping[str, TensorInfo]) -> bool:
    """Whether the tensors are those of an autoencoder of Wan, by Wan's own names."""
    return "decoder.middle.0.residual.0.gamma" in part and "encoder.conv1.weight" in part


def load_wan_vae(checkpoint: Checkpoint, part: dict[str, TensorInfo], device: str) -> VAE:
    """The video autoencoder whose tensors, without prefix, are `part`.

    Raises:
        ModelError: it is incomplete or of another layout.
    """
    read = Reader(checkpoint.path.name, {name: info.shape for name, info in part.items()})
    config = _config(read)
    places: dict[str, tuple[Destination, ...]] = {name: ((wan_vae_name(name), None),) for name in part}
    module: Any = load_module("the VAE of Wan", checkpoint, part, places, lambda: _module(config))
    patch = config["patch_size"] or 1
    downscale = patch * 2 ** (len(config["dim_mult"]) - 1)
    return VAE(
        Component(WanEncoder(module.encoder, module.quant_conv, patch), checkpoint, device=device),
        Component(WanDecoder(module.post_quant_conv, module.decoder, patch), checkpoint, device=device),
        config["z_dim"],
        downscale,
        frames=_FRAMES,
        variational=True,
    )


def _config(read: Reader) -> dict[str, Any]:
    """Sizes of AutoencoderKLWan."""
    residual = read.has("encoder.downsamples.0.downsamples.0.residual.6.weight")
    base, channels, *_ = read.shape("encoder.conv1.weight", 5)
    if residual:
        levels = read.count(r"encoder\.downsamples\.(\d+)\.")
        firsts = [f"encoder.downsamples.{level}.downsamples.0" for level in range(levels)]
        samplers = [f"encoder.downsamples.{level}.downsamples.{_RESIDUALS}" for level in range(levels - 1)]
    else:
        step = _RESIDUALS + 1
        levels = -(-read.count(r"encoder\.downsamples\.(\d+)\.") // step)
        firsts = [f"encoder.downsamples.{level * step}" for level in range(levels)]
        samplers = [f"encoder.downsamples.{level * step + _RESIDUALS}" for level in range(levels - 1)]
    widths = [read.shape(f"{name}.residual.6.weight", 5)[0] for name in firsts]
    return {
        "base_dim": base,
        "decoder_base_dim": read.shape("decoder.head.0.gamma")[0],
        "z_dim": read.shape("conv2.weight", 5)[0],
        "dim_mult": [width // base for width in widths],
        "num_res_blocks": _RESIDUALS,
        "temperal_downsample": [read.has(f"{name}.time_conv.weight") for name in samplers],
        "is_residual": residual,
        "in_channels": channels,
        "out_channels": read.shape("decoder.head.2.weight", 5)[0],
        "patch_size": 2 if channels == 3 * 2**2 else None,
    }


def _module(config: Mapping[str, Any]) -> nn.Module:
    module: nn.Module = on_meta(diffusers_class("AutoencoderKLWan"), **config)
    return module


def wan_vae_name(name: str) -> str:
    """A name in Wan's files → the name in AutoencoderKLWan; unknown names stay as they are."""
    owner, _, kind = name.rpartition(".")
    if owner in _TOP:
        return f"{_TOP[owner]}.{kind}"
    for old, new in _RESIDUAL.items():
        name = name.replace(f".{old}.", f".{new}.")
    name = re.sub(r"\.middle\.1\.", ".mid_block.attentions.0.", name)
    name = re.sub(r"\.middle\.([02])\.", lambda found: f".mid_block.resnets.{int(found[1]) // 2}.", name)
    if found := re.match(r"encoder\.downsamples\.(\d+)\.downsamples\.(\d+)\.(.+)", name):
        return f"encoder.down_blocks.{found[1]}.{_part(int(found[2]), _RESIDUALS, 'downsampler')}.{found[3]}"
    if found := re.match(r"decoder\.upsamples\.(\d+)\.upsamples\.(\d+)\.(.+)", name):
        return f"decoder.up_blocks.{found[1]}.{_part(int(found[2]), _RESIDUALS + 1, 'upsampler')}.{found[3]}"
    if found := re.match(r"decoder\.upsamples\.(\d+)\.(.+)", name):
        block, place = divmod(int(found[1]), _RESIDUALS + 2)
        return f"decoder.up_blocks.{block}.{_part(place, _RESIDUALS + 1, 'upsamplers.0')}.{found[2]}"
    return name.replace("encoder.downsamples.", "encoder.down_blocks.")


def _part(place: int, residuals: int, sampler: str) -> str:
    return f"resnets.{place}" if place < residuals else sampler


class WanEncoder(nn.Module):
    """Videos (B, 3, T, H, W) in -1..1 → mean and log-variance, (B, 2 C, t, h, w) with t = (T - 1) // 4 + 1."""

    def __init__(self, encoder: nn.Module, quant_conv: nn.Module, patch: int) -> None:
        super().__init__()
        self.encoder, self.quant_conv, self.patch = encoder, quant_conv, patch

    def forward(self, x: Tensor) -> Tensor:
        """Both, one after the other along the channels."""
        x = _patched(x, self.patch)
        memory: list[Any] = [None] * _convolutions(self.encoder)
        groups = [x[:, :, :1], *_whole(x[:, :, 1:])]
        encoded = [self.encoder(group, feat_cache=memory, feat_idx=[0]) for group in groups]
        result: Tensor = self.quant_conv(torch.cat(encoded, dim=2))
        return result


class WanDecoder(nn.Module):
    """Latents (B, C, t, h, w) → videos (B, 3, 4 t - 3, H, W)."""

    def __init__(self, post_quant_conv: nn.Module, decoder: nn.Module, patch: int) -> None:
        super().__init__()
        self.post_quant_conv, self.decoder, self.patch = post_quant_conv, decoder, patch

    def forward(self, z: Tensor) -> Tensor:
        """The video, within -1..1."""
        x = self.post_quant_conv(z)
        memory: list[Any] = [None] * _convolutions(self.decoder)
        decoded = [
            self.decoder(frame, feat_cache=memory, feat_idx=[0], first_chunk=number == 0)
            for number, frame in enumerate(x.split(1, dim=2))
        ]
        return _unpatched(torch.cat(decoded, dim=2), self.patch).clamp(-1.0, 1.0)


def _whole(frames: Tensor) -> list[Tensor]:
    """The frames in groups of four; a rest is left out."""
    whole = frames.shape[2] // _FRAMES
    return [frames[:, :, _FRAMES * group : _FRAMES * (group + 1)] for group in range(whole)]


def _convolutions(network: nn.Module) -> int:
    """How many layers remember frames."""
    return sum(type(module).__name__ == "WanCausalConv3d" for module in network.modules())


def _patched(x: Tensor, patch: int) -> Tensor:
    """Squares of pixels as channels, (B, C, T, H, W) → (B, C * patch^2, T, H / patch, W / patch)."""
    batch, channels, frames, height, width = x.shape
    x = x.reshape(batch, channels, frames, height // patch, patch, width // patch, patch)
    return x.permute(0, 1, 6, 4, 2, 3, 5).reshape(batch, -1, frames, height // patch, width // patch)


def _unpatched(x: Tensor, patch: int) -> Tensor:
    """The inverse of `_patched`."""
    batch, channels, frames, height, width = x.shape
    x = x.reshape(batch, channels // patch**2, patch, patch, frames, height, width)
    return x.permute(0, 1, 4, 5, 3, 6, 2).reshape(batch, -1, frames, height * patch, width * patch)
