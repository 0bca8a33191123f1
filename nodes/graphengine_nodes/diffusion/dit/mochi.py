"""Mochi 1 (Genmo, 2024): text to video."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from graphengine_nodes.diffusion.model.model import Extras, Job, LatentFormat, NetworkCall
from graphengine_nodes.diffusion.model.model_sampling import FlowSampling, ModelSampling

from . import latent_formats
from .architecture import Architecture, Config
from .conditions import given_text_mask, text_mask
from .layout import Destination, Reader, any_name, destinations
from .modules import GateFirst, ShiftFirst, diffusers_class, on_meta
from .packing import cropped, padded

_RENAMES = (
    (r"^x_embedder\.proj", "patch_embed.proj"),
    (r"^t_embedder\.mlp\.0", "time_embed.timestep_embedder.linear_1"),
    (r"^t_embedder\.mlp\.2", "time_embed.timestep_embedder.linear_2"),
    (r"^t5_y_embedder", "time_embed.pooler"),
    (r"^t5_yproj", "time_embed.caption_proj"),
    (r"^final_layer\.mod", "norm_out.linear"),
    (r"^final_layer\.linear", "proj_out"),
    (r"^blocks", "transformer_blocks"),
    (r"\.mod_x\.", ".norm1.linear."),
    (r"\.mod_y\.", ".norm1_context.linear."),
    (r"\.attn\.qkv_x\.", ".attn1.{to_q|to_k|to_v}."),
    (r"\.attn\.qkv_y\.", ".attn1.{add_q_proj|add_k_proj|add_v_proj}."),
    (r"\.attn\.([qk])_norm_x", r".attn1.norm_\1"),
    (r"\.attn\.([qk])_norm_y", r".attn1.norm_added_\1"),
    (r"\.attn\.proj_x", ".attn1.to_out.0"),
    (r"\.attn\.proj_y", ".attn1.to_add_out"),
    (r"\.mlp_x\.w1", ".ff.net.0.proj"),
    (r"\.mlp_x\.w2", ".ff.net.2"),
    (r"\.mlp_y\.w1", ".ff_context.net.0.proj"),
    (r"\.mlp_y\.w2", ".ff_context.net.2"),
)


class Mochi(Architecture):
    """Mochi 1 preview."""

    family, title = "mochi", "a Mochi model"

    def matches(self, names: Collection[str]) -> bool:
        """Attention with projections of its own for picture (x) and text (y)."""
        return any_name(names, r"^blocks\.0\.attn\.qkv_y\.") and "t5_yproj.weight" in names

    def config(self, read: Reader) -> Config:
        """Sizes of MochiTransformer3DModel."""
        width, channels, patch, _ = read.shape("x_embedder.proj.weight", 4)
        head = read.shape("blocks.0.attn.q_norm_x.weight", 1)[0]
        return {
            "patch_size": patch,
            "num_attention_heads": read.heads(width, head),
            "attention_head_dim": head,
            "num_layers": read.count(r"blocks\.(\d+)\."),
            "pooled_projection_dim": read.shape("t5_yproj.weight", 2)[0],
            "in_channels": channels,
            "text_embed_dim": read.shape("t5_yproj.weight", 2)[1],
            "time_embed_dim": read.shape("t_embedder.mlp.0.weight", 2)[1],
        }

    def destinations(self, read: Reader, config: Config) -> dict[str, tuple[Destination, ...]]:
        """Queries, keys and values are one tensor in the file."""
        last = f"transformer_blocks.{config['num_layers'] - 1}.norm1_context.linear"
        # the last block only scales the text
        return destinations(read.shapes, (*_RENAMES, (rf"^{last}\.", f"{last}_1.")))

    def module(self, config: Config) -> nn.Module:
        """MochiTransformer3DModel."""
        module = on_meta(diffusers_class("MochiTransformer3DModel"), **config)
        module.norm_out = ShiftFirst(module.norm_out)
        module.rope._create_rope = _rotations
        for block in module.transformer_blocks:
            for layers in (block.ff, block.ff_context):
                if layers is not None:
                    layers.net[0] = GateFirst(layers.net[0])
        return module  # type: ignore[no-any-return]  # the class is chosen by name

    def sampling(self, config: Config) -> ModelSampling:
        """Shift 6."""
        return FlowSampling.shifted(6.0, multiplier=1.0)

    def latent_format(self, config: Config) -> LatentFormat:
        """12 channels."""
        return latent_formats.MOCHI

    def text_width(self, config: Config) -> int:
        """4096."""
        return int(config["text_embed_dim"])

    def extras(self, config: Config, options: Mapping[str, Any], job: Job) -> Extras:
        """Which tokens of the text count."""
        return Extras(text_mask(options, job))

    def forward(self, module: Any, config: Config, call: NetworkCall) -> Tensor:
        """timestep: sigma; the network is told how clean x is, and predicts latent - noise."""
        output: Tensor = module(
            padded(call.x, (1, config["patch_size"], config["patch_size"])),
            encoder_hidden_states=call.context,
            timestep=(1.0 - call.timestep) * 1000.0,
            encoder_attention_mask=given_text_mask(call).bool(),
            return_dict=False,
        )[0]
        return -cropped(output, call.x)


def _rotations(frequencies: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the angles at places (N, 3), (N, heads, D / 2): as in diffusers, but for an autocast to
    float32 that has no effect on the CPU but a warning.
    """
    angles = torch.einsum("nd,dhf->nhf", places.float(), frequencies.float())
    return angles.cos(), angles.sin()
