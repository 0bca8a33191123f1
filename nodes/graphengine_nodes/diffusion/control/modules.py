"""The network of a ControlNet, in the two halves in which it is used: once per picture, and once per step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from graphengine_nodes.diffusion.weights.build import quiet
from graphengine_nodes.diffusion.weights.detect import NORM_GROUPS

from .layout import TYPE_CHANNELS, ControlConfig, UnionConfig

_UNION_HEADS = 8


class ControlModule(nn.Module):
    """A ControlNet of these sizes (Zhang et al. 2023). What it adds beside diffusers' network is optional.

    `network` is diffusers' ControlNetModel without its reading of the picture, which is `hint`: that depends on
    neither x nor the step. `label` reads the vector "y" of SDXL, `union` the kind of the picture.
    """

    def __init__(self, config: ControlConfig) -> None:
        super().__init__()
        self.network = _network(config)
        self.hint = _hint(config)
        embedding = 4 * config.widths[0]
        self.label = None if config.label is None else _two_layers(config.label, embedding)
        self.union = None if config.union is None else Union(config.union, config.widths[0], embedding)

    def read_hint(self, pixels: Tensor, types: Sequence[int] = ()) -> Tensor:
        """The picture (B, C, 8 h, 8 w) in 0..1 as the network adds it to its first state, (B, D, h, w).

        types: numbers of the kinds of picture, for a union ControlNet; the first one counts.
        """
        hint: Tensor = self.hint(pixels)
        return hint if self.union is None or not types else self.union.mix(hint, types[0])

    def vector(self, y: Tensor | None, types: Sequence[int], like: Tensor) -> Tensor | None:
        """What is added to the embedding of the time, (B, 4 * width); None when nothing is."""
        parts = []
        if self.label is not None and y is not None:
            parts.append(self.label(y))
        if self.union is not None:
            parts.append(self.union.vector(types, like))
        return sum(parts[1:], parts[0]) if parts else None

    def forward(
        self, x: Tensor, timestep: Tensor, context: Tensor, hint: Tensor, vector: Tensor | None
    ) -> tuple[list[Tensor], Tensor]:
        """What is to be added to each skip connection, and to the state after the middle block.

        x: (B, C, h, w), scaled for the network. timestep: (B,). context: (B, T, D). hint: from `read_hint`.
        """
        down, middle = self.network(
            x,
            timestep,
            encoder_hidden_states=context,
            controlnet_cond=hint,
            class_labels=vector,
            return_dict=False,
        )
        return list(down), middle


class Union(nn.Module):
    """What a union ControlNet has besides: it is told which kind of picture it is given.

    Its transformer sees one token per picture, so attention passes values through.
    """

    def __init__(self, config: UnionConfig, width: int, embedding: int) -> None:
        super().__init__()
        with quiet():
            from diffusers.models.controlnets.controlnet_union import (  # heavy: seconds to import
                ResidualAttentionBlock,
            )
            from diffusers.models.embeddings import Timesteps

        self.task_embedding = nn.Parameter(torch.empty(config.types, width))
        self.transformer_layes = nn.ModuleList(  # the name is that in the files
            [ResidualAttentionBlock(width, _UNION_HEADS) for _ in range(config.layers)]
        )
        self.spatial_ch_projs = nn.Linear(width, width)
        self.control_add_embedding = _two_layers(TYPE_CHANNELS * config.types, embedding)
        self.type_numbers = Timesteps(TYPE_CHANNELS, flip_sin_to_cos=True, downscale_freq_shift=0)

    @property
    def types(self) -> int:
        """How many kinds of picture it knows."""
        return len(self.task_embedding)

    def mix(self, hint: Tensor, kind: int) -> Tensor:
        """The picture's features with what the kind adds to each channel."""
        token = (hint.mean(dim=(2, 3)) + self.task_embedding[kind])[None]
        for layer in self.transformer_layes:
            token = layer(token)
        added: Tensor = self.spatial_ch_projs(token[0])
        return hint + added[:, :, None, None]

    def vector(self, types: Sequence[int], like: Tensor) -> Tensor:
        """The kinds as an embedding, (1, 4 * width)."""
        chosen = torch.zeros(self.types, device=like.device)
        chosen[list(types)] = 1.0
        result: Tensor = self.control_add_embedding(self.type_numbers(chosen).reshape(1, -1).to(like.dtype))
        return result


def _network(config: ControlConfig) -> nn.Module:
    with quiet():
        from diffusers import ControlNetModel  # heavy: seconds to import

    vector = config.label is not None or config.union is not None
    network: nn.Module = ControlNetModel(
        in_channels=config.in_channels,
        conditioning_channels=config.hint_channels,
        down_block_types=tuple("CrossAttnDownBlock2D" if has else "DownBlock2D" for has in config.attention),
        mid_block_type="UNetMidBlock2DCrossAttn" if config.middle_attention else "UNetMidBlock2D",
        block_out_channels=config.widths,
        layers_per_block=config.blocks,
        transformer_layers_per_block=config.depth,
        cross_attention_dim=config.context or config.widths[0],
        attention_head_dim=config.heads,  # diffusers' name for the number of heads
        norm_num_groups=NORM_GROUPS,
        use_linear_projection=config.linear_projection,
        class_embed_type="identity" if vector else None,
        conditioning_embedding_out_channels=config.hint_widths,
    )
    network.controlnet_cond_embedding = nn.Identity()
    return network


def _hint(config: ControlConfig) -> nn.Module:
    with quiet():
        from diffusers.models.controlnets.controlnet import (  # heavy: seconds to import
            ControlNetConditioningEmbedding,
        )

    embedding: nn.Module = ControlNetConditioningEmbedding(
        config.widths[0], config.hint_channels, config.hint_widths
    )
    return embedding


def _two_layers(width: int, embedding: int) -> nn.Module:
    with quiet():
        from diffusers.models.embeddings import TimestepEmbedding  # heavy: seconds to import

    layers: nn.Module = TimestepEmbedding(width, embedding)
    return layers


def control_module(config: ControlConfig) -> nn.Module:
    """The network of these sizes, on the meta device."""
    with torch.device("meta"):
        return ControlModule(config)
