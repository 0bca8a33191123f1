"""Cosmos Predict2 (NVIDIA, 2025): text to image."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn

from graphengine_nodes.diffusion.model.model import LatentFormat, NetworkCall
from graphengine_nodes.diffusion.model.model_sampling import ModelSampling

from . import latent_formats
from .architecture import Architecture, Config
from .cosmos_sampling import CosmosSampling
from .layout import Destination, Reader, any_name, destinations
from .modules import diffusers_class, on_meta
from .packing import PATCH, cropped, padded

_RENAMES = (
    (r"^t_embedder\.1", "time_embed.t_embedder"),
    (r"^t_embedding_norm", "time_embed.norm"),
    (r"^x_embedder\.proj\.1", "patch_embed.proj"),
    (r"^final_layer\.adaln_modulation\.([12])", r"norm_out.linear_\1"),
    (r"^final_layer\.linear", "proj_out"),
    (r"^blocks", "transformer_blocks"),
    (r"adaln_modulation_self_attn\.([12])", r"norm1.linear_\1"),
    (r"adaln_modulation_cross_attn\.([12])", r"norm2.linear_\1"),
    (r"adaln_modulation_mlp\.([12])", r"norm3.linear_\1"),
    (r"self_attn", "attn1"),
    (r"cross_attn", "attn2"),
    (r"\.([qkv])_proj", r".to_\1"),
    (r"\.output_proj", ".to_out.0"),
    (r"\.([qk])_norm", r".norm_\1"),
    (r"\.mlp\.layer1", ".ff.net.0.proj"),
    (r"\.mlp\.layer2", ".ff.net.2"),
)


class CosmosPredict2(Architecture):
    """The 2B and 14B models that make pictures; those that go on from a video are not known."""

    family, title = "cosmos", "a Cosmos Predict2 model"
    ignored = r"^accum_|^pos_embedder\.|_extra_state$"

    def matches(self, names: Collection[str]) -> bool:
        """Modulations of three kinds in each block."""
        return (
            any_name(names, r"^blocks\.0\.adaln_modulation_cross_attn\.") and "x_embedder.proj.1.weight" in names
        )

    def config(self, read: Reader) -> Config:
        """Sizes of CosmosTransformer3DModel; its input has a channel that says which cells are padding."""
        width, patched = read.shape("x_embedder.proj.1.weight", 2)
        head = read.shape("blocks.0.self_attn.q_norm.weight", 1)[0]
        out = read.shape("final_layer.linear.weight", 2)[0] // PATCH**2
        if patched != (out + 1) * PATCH**2:
            raise read.impossible(f"it takes {patched // PATCH**2} channels, as models that go on from a video")
        return {
            "in_channels": out + 1,
            "out_channels": out,
            "num_attention_heads": read.heads(width, head),
            "attention_head_dim": head,
            "num_layers": read.count(r"blocks\.(\d+)\."),
            "mlp_ratio": read.shape("blocks.0.mlp.layer1.weight", 2)[0] / width,
            "text_embed_dim": read.shape("blocks.0.cross_attn.k_proj.weight", 2)[1],
            "adaln_lora_dim": read.shape("blocks.0.adaln_modulation_mlp.1.weight", 2)[0],
            "patch_size": (1, PATCH, PATCH),
            "rope_scale": (1.0, 4.0, 4.0),
            "concat_padding_mask": False,  # done here: the module's own way needs torchvision
            "extra_pos_embed_type": None,
        }

    def destinations(self, read: Reader, config: Config) -> dict[str, tuple[Destination, ...]]:
        """Each tensor is a parameter."""
        return destinations(read.shapes, _RENAMES)

    def module(self, config: Config) -> nn.Module:
        """CosmosTransformer3DModel."""
        module: nn.Module = on_meta(diffusers_class("CosmosTransformer3DModel"), **config)
        return module

    def sampling(self, config: Config) -> ModelSampling:
        """A flow of its own kind."""
        return CosmosSampling.trained()

    def latent_format(self, config: Config) -> LatentFormat:
        """That of Wan 2.1."""
        return latent_formats.WAN21

    def text_width(self, config: Config) -> int:
        """1024, of T5 11B."""
        return int(config["text_embed_dim"])

    def forward(self, module: Any, config: Config, call: NetworkCall) -> Tensor:
        """timestep: sigma / (sigma + 1)."""
        x = padded(call.x, config["patch_size"])
        no_padding = torch.zeros_like(x[:, :1])
        output: Tensor = module(
            torch.cat([x, no_padding], dim=1),
            timestep=call.timestep,
            encoder_hidden_states=call.context,
            return_dict=False,
        )[0]
        return cropped(output, call.x)
