"""AuraFlow (fal, 2024)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import Tensor, nn

from graphengine_nodes.diffusion.model.model import LatentFormat, NetworkCall
from graphengine_nodes.diffusion.model.model_sampling import FlowSampling, ModelSampling

from . import latent_formats
from .architecture import Architecture, Config
from .layout import Destination, Reader, any_name, destinations
from .modules import ShiftFirst, diffusers_class, on_meta
from .packing import PATCH, cropped, padded

_HEAD = 256
_MLP = {"c_fc1": "linear_1", "c_fc2": "linear_2", "c_proj": "out_projection"}
_RENAMES = (
    (r"^t_embedder\.mlp\.0", "time_step_proj.linear_1"),
    (r"^t_embedder\.mlp\.2", "time_step_proj.linear_2"),
    (r"^cond_seq_linear", "context_embedder"),
    (r"^positional_encoding$", "pos_embed.pos_embed"),
    (r"^init_x_linear", "pos_embed.proj"),
    (r"^modF\.1", "norm_out.linear"),
    (r"^final_linear", "proj_out"),
    *((rf"\.{old}\.", f".{new}.") for old, new in _MLP.items()),
    (r"^double_layers\.(\d+)\.mlpX", r"joint_transformer_blocks.\1.ff"),
    (r"^double_layers\.(\d+)\.mlpC", r"joint_transformer_blocks.\1.ff_context"),
    (r"^double_layers\.(\d+)\.modX\.1", r"joint_transformer_blocks.\1.norm1.linear"),
    (r"^double_layers\.(\d+)\.modC\.1", r"joint_transformer_blocks.\1.norm1_context.linear"),
    (r"^double_layers\.(\d+)\.attn\.w2([qkv])", r"joint_transformer_blocks.\1.attn.to_\2"),
    (r"^double_layers\.(\d+)\.attn\.w2o", r"joint_transformer_blocks.\1.attn.to_out.0"),
    (r"^double_layers\.(\d+)\.attn\.w1([qkv])", r"joint_transformer_blocks.\1.attn.add_\2_proj"),
    (r"^double_layers\.(\d+)\.attn\.w1o", r"joint_transformer_blocks.\1.attn.to_add_out"),
    (r"^single_layers\.(\d+)\.mlp", r"single_transformer_blocks.\1.ff"),
    (r"^single_layers\.(\d+)\.modCX\.1", r"single_transformer_blocks.\1.norm1.linear"),
    (r"^single_layers\.(\d+)\.attn\.w1([qkv])", r"single_transformer_blocks.\1.attn.to_\2"),
    (r"^single_layers\.(\d+)\.attn\.w1o", r"single_transformer_blocks.\1.attn.to_out.0"),
)


class AuraFlow(Architecture):
    """AuraFlow 0.1 to 0.3."""

    family, title = "aura_flow", "an AuraFlow model"

    def matches(self, names: Collection[str]) -> bool:
        """Projections that are numbered by stream."""
        return any_name(names, r"^double_layers\.0\.attn\.w1q\.") and "register_tokens" in names

    def config(self, read: Reader) -> Config:
        """Sizes of AuraFlowTransformer2DModel."""
        width, patched = read.shape("init_x_linear.weight", 2)
        context, text = read.shape("cond_seq_linear.weight", 2)
        return {
            "patch_size": PATCH,
            "in_channels": patched // PATCH**2,
            "num_mmdit_layers": read.count(r"double_layers\.(\d+)\."),
            "num_single_dit_layers": read.count(r"single_layers\.(\d+)\."),
            "attention_head_dim": _HEAD,
            "num_attention_heads": read.heads(width, _HEAD),
            "joint_attention_dim": text,
            "caption_projection_dim": context,
            "out_channels": read.shape("final_linear.weight", 2)[0] // PATCH**2,
            "pos_embed_max_size": read.shape("positional_encoding", 3)[1],
        }

    def destinations(self, read: Reader, config: Config) -> dict[str, tuple[Destination, ...]]:
        """Each tensor is a parameter."""
        return destinations(read.shapes, _RENAMES)

    def module(self, config: Config) -> nn.Module:
        """AuraFlowTransformer2DModel."""
        module = on_meta(diffusers_class("AuraFlowTransformer2DModel"), **config)
        module.norm_out = ShiftFirst(module.norm_out)
        return module  # type: ignore[no-any-return]  # the class is chosen by name

    def sampling(self, config: Config) -> ModelSampling:
        """Shift 1.73."""
        return FlowSampling.shifted(1.73, multiplier=1.0)

    def latent_format(self, config: Config) -> LatentFormat:
        """That of SDXL."""
        return latent_formats.SDXL

    def text_width(self, config: Config) -> int:
        """2048."""
        return int(config["joint_attention_dim"])

    def forward(self, module: Any, config: Config, call: NetworkCall) -> Tensor:
        """timestep: sigma."""
        output: Tensor = module(
            padded(call.x),
            encoder_hidden_states=call.context,
            timestep=call.timestep,
            return_dict=False,
        )[0]
        return cropped(output, call.x)
