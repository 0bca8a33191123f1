"""The video autoencoder of Mochi 1; files may hold its decoder alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graphengine.node.api import ModelError
from graphengine_nodes.diffusion.dit.layout import Reader, destinations
from graphengine_nodes.diffusion.dit.loading import load_module
from graphengine_nodes.diffusion.dit.modules import diffusers_class, on_meta
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint, TensorInfo
from graphengine_nodes.diffusion.weights.weights import Component

from .autoencoder import VAE, Stage

_FRAMES, _PIXELS = 6, 8  # of the video per cell of the latent
_DEFAULT_WIDTHS = (64, 128, 256, 384)  # of an encoder that is not there
_BLOCKS = (
    (r"\.stack\.0\.", ".norm1.norm_layer."),
    (r"\.stack\.2\.", ".conv1.conv."),
    (r"\.stack\.3\.", ".norm2.norm_layer."),
    (r"\.stack\.5\.", ".conv2.conv."),
)
_ENCODER = (
    (r"^encoder\.layers\.0\.(weight|bias)$", r"encoder.proj_in.\1"),
    (r"^encoder\.output_norm\.", "encoder.norm_out.norm_layer."),
    (r"^encoder\.output_proj\.", "encoder.proj_out."),
    *((rf"^encoder\.layers\.{number}\.", f"encoder.block_in.resnets.{number - 1}.") for number in (1, 2, 3)),
    *(
        (rf"^encoder\.layers\.{level + 4}\.layers\.0\.", f"encoder.down_blocks.{level}.conv_in.conv.")
        for level in range(3)
    ),
    *(
        (
            rf"^encoder\.layers\.{level + 4}\.layers\.{number + 1}\.",
            f"encoder.down_blocks.{level}.resnets.{number}.",
        )
        for level in range(3)
        for number in range(6)
    ),
    *((rf"^encoder\.layers\.{number + 7}\.", f"encoder.block_out.resnets.{number}.") for number in range(3)),
    (r"resnets\.(\d+)\.attn_block\.norm\.", r"norms.\1.norm_layer."),
    (r"resnets\.(\d+)\.attn_block\.attn\.qkv\.", r"attentions.\1.{to_q|to_k|to_v}."),
    (r"resnets\.(\d+)\.attn_block\.attn\.out\.", r"attentions.\1.to_out.0."),
)
_DECODER = (
    (r"^decoder\.output_proj\.", "decoder.proj_out."),
    (r"^decoder\.blocks\.0\.0\.", "decoder.conv_in."),
    *((rf"^decoder\.blocks\.0\.{number + 1}\.", f"decoder.block_in.resnets.{number}.") for number in range(3)),
    *((rf"^decoder\.blocks\.{level + 1}\.proj\.", f"decoder.up_blocks.{level}.proj.") for level in range(3)),
    *((rf"^decoder\.blocks\.{level + 1}\.blocks\.", f"decoder.up_blocks.{level}.resnets.") for level in range(3)),
    (r"^decoder\.blocks\.4\.", "decoder.block_out.resnets."),
)


def is_mochi_vae(part: Mapping[str, TensorInfo]) -> bool:
    """Whether the tensors are those of Mochi's autoencoder, or of its decoder alone."""
    return any(name.endswith("blocks.2.blocks.3.stack.5.weight") for name in part)


def load_mochi_vae(checkpoint: Checkpoint, part: dict[str, TensorInfo], device: str) -> VAE:
    """The video autoencoder whose tensors, without prefix, are `part`.

    Raises:
        ModelError: it is incomplete or of another layout.
    """
    if "blocks.0.0.weight" in part:  # the decoder's own file
        part = {f"decoder.{name}": info for name, info in part.items()}
    read = Reader(checkpoint.path.name, {name: info.shape for name, info in part.items()})
    encodes = read.has("encoder.layers.0.weight")
    config = _config(read, encodes=encodes)
    places = destinations(read.shapes, (*_ENCODER, *_DECODER, *_BLOCKS))
    module: Any = load_module(
        "the VAE of Mochi", checkpoint, part, places, lambda: _module(config, encodes=encodes)
    )
    decoder = Component(MochiDecoder(module.decoder), checkpoint, device=device)
    encoder: Stage = _NoEncoder(decoder)
    if encodes:
        encoder = Component(MochiEncoder(module.encoder), checkpoint, device=device)
    return VAE(encoder, decoder, config["latent_channels"], _PIXELS, frames=_FRAMES, variational=encodes)


def _config(read: Reader, *, encodes: bool) -> dict[str, Any]:
    """Sizes of AutoencoderKLMochi."""
    decoder = ("decoder.blocks.4.0", *(f"decoder.blocks.{number}.blocks.0" for number in (3, 2, 1)))
    encoder = ("encoder.layers.1", *(f"encoder.layers.{level}.layers.1" for level in (4, 5, 6)))

    def widths(names: Sequence[str]) -> tuple[int, ...]:
        return tuple(read.shape(f"{name}.stack.2.weight", 5)[0] for name in names)

    return {
        "encoder_block_out_channels": widths(encoder) if encodes else _DEFAULT_WIDTHS,
        "decoder_block_out_channels": widths(decoder),
        "latent_channels": read.shape("decoder.blocks.0.0.weight")[1],
    }


def _module(config: Mapping[str, Any], *, encodes: bool) -> nn.Module:
    module = on_meta(diffusers_class("AutoencoderKLMochi"), **config)
    if not encodes:
        module.encoder = nn.Identity()
    result: nn.Module = module
    return result


class _NoEncoder:
    """The encoder of a file that holds the decoder alone (a `Stage`)."""

    def __init__(self, decoder: Component) -> None:
        self.device: str = decoder.device
        self.dtype: torch.dtype = decoder.dtype

    def make_room(self) -> int:
        """Nothing to do: 0 bytes."""
        return 0

    def ready(self) -> nn.Module:
        """There is none."""
        raise ModelError(
            "this VAE of Mochi can decode only: its file holds no encoder",
            hint="use the file that holds both, mochi_vae.safetensors",
        )


class MochiEncoder(nn.Module):
    """Videos (B, 3, T, H, W) in -1..1 → mean and log-variance, (B, 24, t, h, w)."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor) -> Tensor:
        """Both, one after the other along the channels."""
        moments: Tensor = self.encoder(x)[0]
        return moments


class MochiDecoder(nn.Module):
    """Latents (B, 12, t, h, w) → videos (B, 3, 6 t - 5, H, W)."""

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, z: Tensor) -> Tensor:
        """The video; the frames before the first one, which the decoder makes too, are dropped."""
        video: Tensor = self.decoder(z)[0]
        return video[:, :, _FRAMES - 1 :]
