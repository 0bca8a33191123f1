"""Chroma: Flux with one small network in place of all modulations (Lodestone Rock, 2025)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import Tensor, nn

from graphengine_nodes.diffusion.model.model import LatentFormat, NetworkCall
from graphengine_nodes.diffusion.model.model_sampling import FlowSampling, ModelSampling

from . import latent_formats
from .architecture import Architecture, Config
from .block_patches import after_blocks
from .flux import BLOCK_RENAMES, block_sizes, picture_of, picture_tokens, single_block_parts, text_ids
from .layout import Destination, Reader, any_name, destinations
from .modules import diffusers_class, on_meta

_RENAMES = (
    (r"^(distilled_guidance_layer\.layers\.\d+)\.in_layer", r"\1.linear_1"),
    (r"^(distilled_guidance_layer\.layers\.\d+)\.out_layer", r"\1.linear_2"),
    (r"^(distilled_guidance_layer\.norms\.\d+)\.scale", r"\1.weight"),
    *BLOCK_RENAMES,
)


class Chroma(Architecture):
    """Chroma 1; it takes the states of T5 alone."""

    family, title = "chroma", "a Chroma model"

    def matches(self, names: Collection[str]) -> bool:
        """The network that makes the modulations, and patches of 2 x 2 cells (not of pixels, as in Radiance)."""
        own = any_name(names, r"^distilled_guidance_layer\.norms\.0\.")
        return own and "img_in.weight" in names and not any_name(names, r"^nerf_")

    def config(self, read: Reader) -> Config:
        """Sizes of ChromaTransformer2DModel."""
        hidden, channels = read.shape("distilled_guidance_layer.in_proj.weight", 2)
        return {
            **block_sizes(read),
            "approximator_num_channels": channels,
            "approximator_hidden_dim": hidden,
            "approximator_layers": read.count(r"distilled_guidance_layer\.layers\.(\d+)\."),
        }

    def destinations(self, read: Reader, config: Config) -> dict[str, tuple[Destination, ...]]:
        """Queries, keys and values, and in single blocks the MLP, are one tensor in the file."""
        width = config["attention_head_dim"] * config["num_attention_heads"]
        return destinations(read.shapes, _RENAMES, single_block_parts(width))

    def module(self, config: Config) -> nn.Module:
        """ChromaTransformer2DModel, the places of its modulations with values."""
        module = on_meta(diffusers_class("ChromaTransformer2DModel"), **config)
        places = module.time_text_embed
        count = 3 * config["num_single_layers"] + 2 * 6 * config["num_layers"] + 2
        module.time_text_embed = type(places)(config["approximator_num_channels"] // 4, count)
        return module  # type: ignore[no-any-return]  # the class is chosen by name

    def sampling(self, config: Config) -> ModelSampling:
        """The exponential shift of 1.15."""
        return FlowSampling.exponentially_shifted(1.15)

    def latent_format(self, config: Config) -> LatentFormat:
        """That of Flux."""
        return latent_formats.FLUX

    def text_width(self, config: Config) -> int:
        """4096."""
        return int(config["joint_attention_dim"])

    def forward(self, module: Any, config: Config, call: NetworkCall) -> Tensor:
        """timestep: sigma. Residuals are added after the double blocks, then the single ones."""
        tokens, ids = picture_tokens(call)
        double, single = module.transformer_blocks, module.single_transformer_blocks
        residuals = call.control.output if call.control else ()
        output = module(
            tokens,
            encoder_hidden_states=call.context,
            timestep=call.timestep,
            img_ids=ids,
            txt_ids=text_ids(call),
            controlnet_block_samples=after_blocks(residuals[: len(double)], double),
            controlnet_single_block_samples=after_blocks(residuals[len(double) :], single),
            return_dict=False,
        )[0]
        return picture_of(output, call)
