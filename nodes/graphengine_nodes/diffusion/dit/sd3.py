"""Stable Diffusion 3 and 3.5 (Esser et al., 2024)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import isqrt
from typing import Any

from torch import Tensor, nn

from graphengine_nodes.diffusion.model.model import Extras, Job, LatentFormat, NetworkCall
from graphengine_nodes.diffusion.model.model_sampling import FlowSampling, ModelSampling

from . import latent_formats
from .architecture import Architecture, Config
from .block_patches import after_blocks, replaced_blocks
from .conditions import pooled
from .layout import Destination, Reader, any_name, destinations
from .modules import ShiftFirst, buffer_as_parameter, diffusers_class, on_meta
from .packing import cropped, padded

_HEAD = 64
_RENAMES = (
    (r"^pos_embed$", "pos_embed.pos_embed"),
    (r"^x_embedder\.proj", "pos_embed.proj"),
    (r"^t_embedder\.mlp\.0", "time_text_embed.timestep_embedder.linear_1"),
    (r"^t_embedder\.mlp\.2", "time_text_embed.timestep_embedder.linear_2"),
    (r"^y_embedder\.mlp\.0", "time_text_embed.text_embedder.linear_1"),
    (r"^y_embedder\.mlp\.2", "time_text_embed.text_embedder.linear_2"),
    (r"^final_layer\.linear", "proj_out"),
    (r"^final_layer\.adaLN_modulation\.1", "norm_out.linear"),
    (r"^joint_blocks", "transformer_blocks"),
    (r"x_block\.(attn2?)\.qkv", r"\1.{to_q|to_k|to_v}"),
    (r"x_block\.(attn2?)\.ln_([qk])", r"\1.norm_\2"),
    (r"x_block\.(attn2?)\.proj", r"\1.to_out.0"),
    (r"x_block\.adaLN_modulation\.1", "norm1.linear"),
    (r"x_block\.mlp\.fc1", "ff.net.0.proj"),
    (r"x_block\.mlp\.fc2", "ff.net.2"),
    (r"context_block\.attn\.qkv", "attn.{add_q_proj|add_k_proj|add_v_proj}"),
    (r"context_block\.attn\.ln_([qk])", r"attn.norm_added_\1"),
    (r"context_block\.attn\.proj", "attn.to_add_out"),
    (r"context_block\.adaLN_modulation\.1", "norm1_context.linear"),
    (r"context_block\.mlp\.fc1", "ff_context.net.0.proj"),
    (r"context_block\.mlp\.fc2", "ff_context.net.2"),
)


class SD3(Architecture):
    """SD3 medium, SD3.5 medium and large."""

    family, title = "sd3", "an SD3 model"

    def matches(self, names: Collection[str]) -> bool:
        """The joint blocks of MMDiT."""
        return any_name(names, r"^joint_blocks\.0\.x_block\.")

    def config(self, read: Reader) -> Config:
        """Sizes of SD3Transformer2DModel."""
        width, channels, patch, _ = read.shape("x_embedder.proj.weight", 4)
        grid = isqrt(read.shape("pos_embed", 3)[1])
        return {
            "sample_size": grid,
            "patch_size": patch,
            "in_channels": channels,
            "num_layers": read.count(r"joint_blocks\.(\d+)\."),
            "attention_head_dim": _HEAD,
            "num_attention_heads": read.heads(width, _HEAD),
            "joint_attention_dim": read.shape("context_embedder.weight", 2)[1],
            "caption_projection_dim": read.shape("context_embedder.weight", 2)[0],
            "pooled_projection_dim": read.shape("y_embedder.mlp.0.weight", 2)[1],
            "out_channels": read.shape("final_layer.linear.weight", 2)[0] // patch**2,
            "pos_embed_max_size": grid,
            "dual_attention_layers": read.numbers(r"joint_blocks\.(\d+)\.x_block\.attn2\."),
            "qk_norm": "rms_norm" if read.has("joint_blocks.0.x_block.attn.ln_q.weight") else None,
        }

    def destinations(self, read: Reader, config: Config) -> dict[str, tuple[Destination, ...]]:
        """Queries, keys and values are one tensor in the file."""
        return destinations(read.shapes, _RENAMES)

    def module(self, config: Config) -> nn.Module:
        """SD3Transformer2DModel."""
        module = on_meta(diffusers_class("SD3Transformer2DModel"), **config)
        module.norm_out = ShiftFirst(module.norm_out)
        module.transformer_blocks[-1].norm1_context = ShiftFirst(module.transformer_blocks[-1].norm1_context)
        buffer_as_parameter(module.pos_embed, "pos_embed", tuple(module.pos_embed.pos_embed.shape))
        return module  # type: ignore[no-any-return]  # the class is chosen by name

    def sampling(self, config: Config) -> ModelSampling:
        """Shift 3."""
        return FlowSampling.shifted(3.0)

    def latent_format(self, config: Config) -> LatentFormat:
        """16 channels."""
        return latent_formats.SD3

    def text_width(self, config: Config) -> int:
        """4096."""
        return int(config["joint_attention_dim"])

    def extras(self, config: Config, options: Mapping[str, Any], job: Job) -> Extras:
        """The pooled states of both CLIP towers."""
        return Extras({"y": pooled(options, job, config["pooled_projection_dim"], self.title)})

    def forward(self, module: Any, config: Config, call: NetworkCall) -> Tensor:
        """timestep: sigma * 1000. Residuals are added after the blocks."""
        blocks = module.transformer_blocks
        output: Tensor = replaced_blocks(call, module)(
            padded(call.x, (config["patch_size"],) * 2),
            encoder_hidden_states=call.context,
            pooled_projections=call.extra["y"],
            timestep=call.timestep,
            block_controlnet_hidden_states=call.control and after_blocks(call.control.output, blocks),
            return_dict=False,
        )[0]
        return cropped(output, call.x)
