"""Z-Image and Z-Image-Turbo (Alibaba Tongyi, 2025)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn

from graphengine_nodes.diffusion.model.model import LatentFormat, NetworkCall
from graphengine_nodes.diffusion.model.model_sampling import FlowSampling, ModelSampling

from . import latent_formats
from .architecture import Architecture, Config
from .layout import Destination, Reader, any_name, destinations
from .modules import diffusers_class, on_meta
from .packing import PATCH, cropped, padded

_RENAMES = (
    (r"^final_layer\.", "all_final_layer.2-1."),
    (r"^x_embedder\.", "all_x_embedder.2-1."),
    (r"\.attention\.qkv", ".attention.{to_q|to_k|to_v}"),
    (r"\.attention\.out\.", ".attention.to_out.0."),
    (r"\.attention\.([qk])_norm", r".attention.norm_\1"),
)


class ZImage(Architecture):
    """Z-Image; it takes the states of Qwen3 4B."""

    family, title = "z_image", "a Z-Image model"
    ignored = r"^norm_final\.weight$"

    def matches(self, names: Collection[str]) -> bool:
        """A refiner of captions, and tokens that fill sequences up."""
        return any_name(names, r"^context_refiner\.0\.attention\.") and {"x_pad_token", "cap_pad_token"} <= set(
            names
        )

    def config(self, read: Reader) -> Config:
        """Sizes of ZImageTransformer2DModel."""
        width, patched = read.shape("x_embedder.weight", 2)
        norms = ("layers.0.attention.q_norm.weight", "layers.0.attention.norm_q.weight")
        head = read.shape(norms[0] if read.has(norms[0]) else norms[1], 1)[0]
        side = 2 * (3 * head // 16)
        return {
            "in_channels": patched // PATCH**2,
            "dim": width,
            "n_layers": read.count(r"layers\.(\d+)\."),
            "n_refiner_layers": read.count(r"noise_refiner\.(\d+)\."),
            "n_heads": read.heads(width, head),
            "n_kv_heads": read.heads(width, head),
            "cap_feat_dim": read.shape("cap_embedder.1.weight", 2)[1],
            "axes_dims": [head - 2 * side, side, side],
            "axes_lens": [4096, 1024, 1024],  # tables of positions; a longer one changes nothing
        }

    def destinations(self, read: Reader, config: Config) -> dict[str, tuple[Destination, ...]]:
        """Queries, keys and values are one tensor in the file."""
        return destinations(read.shapes, _RENAMES)

    def module(self, config: Config) -> nn.Module:
        """ZImageTransformer2DModel."""
        module: nn.Module = on_meta(diffusers_class("ZImageTransformer2DModel"), **config)
        return module

    def sampling(self, config: Config) -> ModelSampling:
        """Shift 3."""
        return FlowSampling.shifted(3.0, multiplier=1.0)

    def latent_format(self, config: Config) -> LatentFormat:
        """That of Flux."""
        return latent_formats.FLUX

    def text_width(self, config: Config) -> int:
        """2560, of Qwen3 4B."""
        return int(config["cap_feat_dim"])

    def forward(self, module: Any, config: Config, call: NetworkCall) -> Tensor:
        """timestep: sigma; the network is told how clean x is, and predicts latent - noise."""
        x = padded(call.x)[:, :, None]
        output = module(list(x), 1.0 - call.timestep, list(call.context), return_dict=False)[0]
        return -cropped(torch.stack(output)[:, :, 0], call.x)
