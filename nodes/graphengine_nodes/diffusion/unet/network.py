"""The UNets of Stable Diffusion as networks: how they are built, what they are told, and how they are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor, nn

from graphengine_nodes.diffusion.model.model import Extras, Job, NetworkCall
from graphengine_nodes.diffusion.weights.broken_weights import check_result
from graphengine_nodes.diffusion.weights.build import quiet
from graphengine_nodes.diffusion.weights.detect import NORM_GROUPS, UNetConfig
from graphengine_nodes.diffusion.weights.weights import Component

from . import unet
from .inputs import ConcatInput, VectorInput, no_concat, no_vector


@dataclass(frozen=True, slots=True, eq=False)
class UNetNetwork:
    """A UNet with its weights (a `Network`).

    file: the name that messages give it. context: the width of the text states that it takes. vector: makes the
    vector "y" of a conditioning's options, concat: what stands beside the latent's channels; both per family.
    label: the width of the vector, None without.
    """

    family: str
    component: Component
    file: str
    context: int
    vector: VectorInput = no_vector
    concat: ConcatInput = no_concat
    label: int | None = None

    def with_component(self, component: Component) -> Self:
        """The same UNet with other weights."""
        return replace(self, component=component)

    def load(self) -> None:
        """Make the weights ready."""
        self.component.ready()

    def extras(self, options: Mapping[str, Any], job: Job) -> Extras:
        """The vector "y" (1 or B, D) and the channels "concat" (1 or B, C, H, W), where the UNet takes them.

        Raises:
            ValueError: the conditioning lacks what the family needs, or has it in an impossible shape.
        """
        vector, concat = self.vector(options, job), self.concat(options, job)
        if vector is not None and vector.shape[-1] != self.label:
            raise ValueError(
                f"the conditioning's pooled state makes a vector of {vector.shape[-1]} numbers, but the model "
                f"takes {self.label}: it was encoded for another family of models"
            )
        values = {} if vector is None else {"y": vector}
        return Extras(values, {} if concat is None else {"concat": concat})

    @torch.no_grad()
    def __call__(self, call: NetworkCall) -> Tensor:
        """The prediction, of the size of call.x.

        Raises:
            ValueError: the text states are of another width than this UNet takes.
            ModelError: the result is no number since weights are none.
        """
        if call.context.shape[-1] != self.context:
            raise ValueError(
                f"the text states have {call.context.shape[-1]} numbers per token, but the model takes "
                f"{self.context}: the CLIP belongs to another family of models"
            )
        concat = call.extra.get("concat")
        if concat is not None:
            call = replace(call, x=torch.cat([call.x, concat.to(call.x)], dim=1))
        result = unet.run(self.component.ready(), call)
        check_result(result, self.component, self.file)
        return result


def unet_module(config: UNetConfig, heads: int | None) -> nn.Module:
    """The UNet of these sizes, on torch's meta device; heads of 64 channels where no number of heads is given."""
    with quiet():
        from diffusers import UNet2DConditionModel  # heavy: seconds to import

    numbers = tuple(heads or width // HEAD_CHANNELS for width in config.widths)
    more: dict[str, Any] = {}  # Any: diffusers' options are of many types
    if config.label is not None:
        # The vector comes whole; the width of its sizes is not used.
        more = {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 1,
            "projection_class_embeddings_input_dim": config.label,
        }
    with torch.device("meta"):
        module: nn.Module = UNet2DConditionModel(
            in_channels=config.in_channels,
            out_channels=config.out_channels,
            block_out_channels=config.widths,
            down_block_types=_block_types(config.down_depth, "Down"),
            up_block_types=_block_types(config.up_depth, "Up"),
            mid_block_type=_middle_type(config),
            layers_per_block=config.blocks,
            transformer_layers_per_block=_with_middle(config),
            reverse_transformer_layers_per_block=[list(depths) for depths in config.up_depth],
            cross_attention_dim=config.context,
            attention_head_dim=numbers,  # diffusers' name for the numbers of heads
            norm_num_groups=NORM_GROUPS,
            use_linear_projection=config.linear_projection,
            only_cross_attention=config.only_cross,
            **more,
        )
        if config.levels is not None:
            module.add_embedding = LevelEmbedding(config.levels, 4 * config.widths[0])
    return module


class LevelEmbedding(nn.Embedding):
    """Vectors (B, D) of noise levels (B, 1), which are whole numbers of any dtype."""

    def forward(self, levels: Tensor) -> Tensor:
        """The vectors."""
        return super().forward(levels.round().long().flatten())


HEAD_CHANNELS = 64
"""Channels per attention head in SD2 and SDXL."""


def _block_types(depths: tuple[tuple[int, ...], ...], way: str) -> tuple[str, ...]:
    return tuple(f"{'CrossAttn' if any(level) else ''}{way}Block2D" for level in depths)


def _middle_type(config: UNetConfig) -> str | None:
    if config.middle_depth is None:
        return None
    return "UNetMidBlock2DCrossAttn" if config.middle_depth else "UNetMidBlock2D"


def _with_middle(config: UNetConfig) -> list[list[int]]:
    """Depths per level; diffusers takes that of the middle from the last level, which may have no use for it."""
    depths = [list(level) for level in config.down_depth]
    if config.middle_depth and not any(config.down_depth[-1]):
        depths[-1] = [config.middle_depth] * max(1, len(depths[-1]))
    return depths
