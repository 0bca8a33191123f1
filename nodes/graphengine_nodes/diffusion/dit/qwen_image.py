"""Qwen-Image and Qwen-Image-Edit (Wu et al., 2025)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from graphengine_nodes.diffusion.model.model import Extras, Job, LatentFormat, NetworkCall
from graphengine_nodes.diffusion.model.model_sampling import FlowSampling, ModelSampling

from . import latent_formats
from .architecture import Architecture, Config
from .block_patches import after_blocks, patched_after, replaced_blocks
from .conditions import given_references, references
from .layout import Destination, Reader, any_name, destinations
from .modules import diffusers_class, on_meta
from .packing import PATCH, cropped, packed, padded, rotary_axes, unpacked


class QwenImage(Architecture):
    """The names in files are those of the module."""

    family, title = "qwen_image", "a Qwen-Image model"

    def matches(self, names: Collection[str]) -> bool:
        """Blocks with an MLP for the picture and one for the text."""
        return any_name(names, r"^transformer_blocks\.0\.img_mlp\.") and "txt_norm.weight" in names

    def config(self, read: Reader) -> Config:
        """Sizes of QwenImageTransformer2DModel."""
        width, patched = read.shape("img_in.weight", 2)
        head = read.shape("transformer_blocks.0.attn.norm_q.weight", 1)[0]
        return {
            "patch_size": PATCH,
            "in_channels": patched,
            "out_channels": read.shape("proj_out.weight", 2)[0] // PATCH**2,
            "num_layers": read.count(r"transformer_blocks\.(\d+)\."),
            "attention_head_dim": head,
            "num_attention_heads": read.heads(width, head),
            "joint_attention_dim": read.shape("txt_in.weight", 2)[1],
            "axes_dims_rope": rotary_axes(head),
        }

    def destinations(self, read: Reader, config: Config) -> dict[str, tuple[Destination, ...]]:
        """Each tensor is a parameter of the same name."""
        return destinations(read.shapes, ())

    def module(self, config: Config) -> nn.Module:
        """QwenImageTransformer2DModel, its table of positions with values."""
        module = on_meta(diffusers_class("QwenImageTransformer2DModel"), **config)
        rope = type(module.pos_embed)
        module.pos_embed = rope(theta=10000, axes_dim=list(config["axes_dims_rope"]), scale_rope=True)
        return module  # type: ignore[no-any-return]  # the class is chosen by name

    def sampling(self, config: Config) -> ModelSampling:
        """The exponential shift of 1.15."""
        return FlowSampling.exponentially_shifted(1.15)

    def latent_format(self, config: Config) -> LatentFormat:
        """That of Wan 2.1: 16 channels, one frame."""
        return latent_formats.WAN21

    def text_width(self, config: Config) -> int:
        """3584."""
        return int(config["joint_attention_dim"])

    def extras(self, config: Config, options: Mapping[str, Any], job: Job) -> Extras:
        """The pictures to edit."""
        return Extras(references(options, job, "index"))

    def forward(self, module: Any, config: Config, call: NetworkCall) -> Tensor:
        """timestep: sigma. Residuals are added after the blocks.

        Raises:
            ValueError: the latent has more than one frame.
        """
        if call.x.ndim == 5 and call.x.shape[2] != 1:
            raise ValueError(f"the latent has {call.x.shape[2]} frames, but a Qwen-Image model makes one picture")
        x = padded(_picture(call.x))
        pictures = [x, *(padded(_picture(latent)) for latent in given_references(call.extra)[1])]
        sizes = [(1, *(size // PATCH for size in picture.shape[-2:])) for picture in pictures]
        blocks = module.transformer_blocks
        output = patched_after(call, replaced_blocks(call, module))(
            torch.cat([packed(picture) for picture in pictures], dim=1),
            encoder_hidden_states=call.context,
            timestep=call.timestep,
            img_shapes=[sizes] * len(x),
            controlnet_block_samples=call.control and after_blocks(call.control.output, blocks),
            return_dict=False,
        )[0]
        latent = unpacked(output[:, : sizes[0][1] * sizes[0][2]], *x.shape[-2:])
        return cropped(latent[:, :, None] if call.x.ndim == 5 else latent, call.x)


def _picture(latent: Tensor) -> Tensor:
    return latent[:, :, 0] if latent.ndim == 5 else latent
