"""Lumina-Image 2.0 (Qin et al., 2025)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graphengine_nodes.diffusion.model.model import Extras, Job, LatentFormat, NetworkCall
from graphengine_nodes.diffusion.model.model_sampling import FlowSampling, ModelSampling

from . import latent_formats
from .architecture import Architecture, Config
from .conditions import given_text_mask, text_mask
from .layout import Destination, Reader, any_name, destinations, equal_parts
from .modules import diffusers_class, on_meta
from .packing import PATCH, cropped, padded

_RENAMES = (
    (r"^cap_embedder", "time_caption_embed.caption_embedder"),
    (r"^t_embedder\.mlp\.0", "time_caption_embed.timestep_embedder.linear_1"),
    (r"^t_embedder\.mlp\.2", "time_caption_embed.timestep_embedder.linear_2"),
    (r"^final_layer\.adaLN_modulation\.1", "norm_out.linear_1"),
    (r"^final_layer\.linear", "norm_out.linear_2"),
    (r"^(context_refiner\.\d+)\.attention_norm1", r"\1.norm1"),
    (r"\.attention_norm1", ".norm1.norm"),
    (r"\.attention_norm2", ".norm2"),
    (r"\.attention\.qkv", ".attn.{to_q|to_k|to_v}"),
    (r"\.attention\.out\.", ".attn.to_out.0."),
    (r"\.attention\.([qk])_norm", r".attn.norm_\1"),
    (r"\.feed_forward\.w([123])", r".feed_forward.linear_\1"),
    (r"\.adaLN_modulation\.1", ".norm1.linear"),
)


class Lumina2(Architecture):
    """Lumina 2; more queries than keys share a block's attention."""

    family, title = "lumina2", "a Lumina 2 model"
    ignored = r"^norm_final\.weight$"

    def matches(self, names: Collection[str]) -> bool:
        """A refiner of captions, without the padding of Z-Image."""
        return any_name(names, r"^context_refiner\.0\.attention\.qkv\.") and "x_pad_token" not in names

    def config(self, read: Reader) -> Config:
        """Sizes of Lumina2Transformer2DModel."""
        width, patched = read.shape("x_embedder.weight", 2)
        head = read.shape("layers.0.attention.q_norm.weight", 1)[0]
        fused = read.shape("layers.0.attention.qkv.weight", 2)[0]
        inner = read.shape("layers.0.feed_forward.w1.weight", 2)[0]
        return {
            "patch_size": PATCH,
            "in_channels": patched // PATCH**2,
            "hidden_size": width,
            "num_layers": read.count(r"layers\.(\d+)\."),
            "num_refiner_layers": read.count(r"noise_refiner\.(\d+)\."),
            "num_attention_heads": read.heads(width, head),
            "num_kv_heads": read.heads((fused - width) // 2, head),
            "multiple_of": 1,
            "ffn_dim_multiplier": (inner + 0.5) / (4 * width),  # half a row against rounding down
            "axes_dim_rope": (head // 3,) * 3,
            "axes_lens": (4096, 1024, 1024),  # tables of positions; a longer one changes nothing
            "cap_feat_dim": read.shape("cap_embedder.1.weight", 2)[1],
        }

    def destinations(self, read: Reader, config: Config) -> dict[str, tuple[Destination, ...]]:
        """Queries, keys and values are one tensor in the file."""
        width = config["hidden_size"]

        def parts(name: str, rows: int, count: int) -> Sequence[int]:
            keys = (rows - width) // 2
            return [width, keys, keys] if "attention.qkv" in name else equal_parts(name, rows, count)

        return destinations(read.shapes, _RENAMES, parts)

    def module(self, config: Config) -> nn.Module:
        """Lumina2Transformer2DModel, its table of positions with values."""
        module = on_meta(diffusers_class("Lumina2Transformer2DModel"), **config)
        module.rope_embedder = type(module.rope_embedder)(
            theta=10000, axes_dim=config["axes_dim_rope"], axes_lens=config["axes_lens"], patch_size=PATCH
        )
        return module  # type: ignore[no-any-return]  # the class is chosen by name

    def sampling(self, config: Config) -> ModelSampling:
        """Shift 6."""
        return FlowSampling.shifted(6.0, multiplier=1.0)

    def latent_format(self, config: Config) -> LatentFormat:
        """That of Flux."""
        return latent_formats.FLUX

    def text_width(self, config: Config) -> int:
        """2304, of Gemma 2 2B."""
        return int(config["cap_feat_dim"])

    def extras(self, config: Config, options: Mapping[str, Any], job: Job) -> Extras:
        """Which tokens of the text count."""
        return Extras(text_mask(options, job))

    def forward(self, module: Any, config: Config, call: NetworkCall) -> Tensor:
        """timestep: sigma; the network is told how clean x is, and predicts latent - noise."""
        output: Tensor = module(
            padded(call.x),
            timestep=1.0 - call.timestep,
            encoder_hidden_states=call.context,
            encoder_attention_mask=given_text_mask(call).to(torch.bool),
            return_dict=False,
        )[0]
        return -cropped(output, call.x)
