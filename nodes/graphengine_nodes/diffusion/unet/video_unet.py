"""The UNet of Stable Video Diffusion (Blattmann et al. 2023): SD2's, with layers over time beside each of its own.

Tensor names are those of Stability AI's generative-models; module names those of diffusers'
UNetSpatioTemporalConditionModel.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from graphengine.node.api import ModelError
from graphengine_nodes.diffusion.weights import keymaps
from graphengine_nodes.diffusion.weights.build import quiet
from graphengine_nodes.diffusion.weights.checkpoint import TensorInfo
from graphengine_nodes.diffusion.weights.detect import NORM_GROUPS, Shapes

HEAD_CHANNELS = 64
_TIME_LAYERS = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
}
_RESNET = re.compile(r"(.*\bresnets\.\d+)\.(.+)")
_ATTENTION = re.compile(r"(.*\battentions\.\d+)\.(.+)")


@dataclass(frozen=True, slots=True)
class VideoUNetConfig:
    """Sizes of a video UNet; widths and attention per level. label: of the vector made of its numbers."""

    in_channels: int
    out_channels: int
    widths: tuple[int, ...]
    attention: tuple[bool, ...]
    blocks: int
    context: int
    label: int


def is_video_unet(part: Mapping[str, TensorInfo]) -> bool:
    """Whether the tensors are those of a video UNet in its authors' layout."""
    return "label_emb.0.0.weight" in part and any(".time_stack." in name for name in part)


def video_unet_names(names: Collection[str]) -> dict[str, str]:
    """Names of a file → names in UNetSpatioTemporalConditionModel."""
    return {old: _in_time(new) for old, new in keymaps.unet_names(names).items()}


def _in_time(name: str) -> str:
    if found := _RESNET.fullmatch(name):
        return f"{found[1]}.{video_resnet_name(found[2])}"
    if found := _ATTENTION.fullmatch(name):
        rest = re.sub(r"^time_stack\.", "temporal_transformer_blocks.", found[2])
        rest = rest.replace("time_pos_embed.0.", "time_pos_embed.linear_1.")
        return f"{found[1]}.{rest.replace('time_pos_embed.2.', 'time_pos_embed.linear_2.')}"
    return name


def video_resnet_name(rest: str) -> str:
    """The name within a residual block over space and time, of what is named as in a plain block or over time."""
    if rest.startswith("time_stack."):
        rest = rest.removeprefix("time_stack.")
        for old, new in _TIME_LAYERS.items():
            if rest.startswith(old + "."):
                rest = new + rest.removeprefix(old)
        return f"temporal_res_block.{rest}"
    if rest.startswith("time_mixer."):
        return rest
    return "time_mixer.mix_factor" if rest == "mix_factor" else f"spatial_res_block.{rest}"


def video_unet_config(file: str, shapes: Shapes) -> VideoUNetConfig:
    """Sizes of the UNet whose parameters, by their names in UNetSpatioTemporalConditionModel, have these shapes.

    Raises:
        ModelError: a tensor is missing or the shapes fit no such UNet.
    """

    def shape(name: str, dimensions: int) -> tuple[int, ...]:
        found = shapes.get(name)
        if found is None or len(found) != dimensions:
            raise ModelError(f"model file {file!r} lacks tensor {name!r}, or it has an impossible shape")
        return found

    levels = _count(shapes, r"down_blocks\.(\d+)\.resnets\.")
    down = [f"down_blocks.{level}" for level in range(levels)]
    widths = tuple(shape(f"{block}.resnets.0.spatial_res_block.conv1.weight", 4)[0] for block in down)
    blocks = {_count(shapes, rf"{re.escape(block)}\.resnets\.(\d+)\.") for block in down}
    attention = tuple(any(name.startswith(f"{block}.attentions.") for name in shapes) for block in down)
    if len(blocks) != 1 or any(width == 0 or width % NORM_GROUPS for width in widths):
        raise ModelError(f"model file {file!r} has an unsupported layout: levels of the widths {list(widths)}")
    return VideoUNetConfig(
        in_channels=shape("conv_in.weight", 4)[1],
        out_channels=shape("conv_out.weight", 4)[0],
        widths=widths,
        attention=attention,
        blocks=blocks.pop(),
        context=shape("mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight", 2)[1],
        label=shape("add_embedding.linear_1.weight", 2)[1],
    )


def _count(shapes: Shapes, pattern: str) -> int:
    return len({found[1] for name in shapes if (found := re.match(pattern, name))})


def video_unet_module(config: VideoUNetConfig) -> nn.Module:
    """The network of these sizes, on the meta device."""
    with quiet():
        from diffusers import UNetSpatioTemporalConditionModel  # heavy: seconds to import

    kinds = ["CrossAttn" if has else "" for has in config.attention]
    sizes: dict[str, Any] = {  # Any: diffusers' options are of many types
        "in_channels": config.in_channels,
        "out_channels": config.out_channels,
        "block_out_channels": config.widths,
        "down_block_types": tuple(f"{kind}DownBlockSpatioTemporal" for kind in kinds),
        "up_block_types": tuple(f"{kind}UpBlockSpatioTemporal" for kind in reversed(kinds)),
        "addition_time_embed_dim": config.label // 3,
        "projection_class_embeddings_input_dim": config.label,
        "layers_per_block": config.blocks,
        "cross_attention_dim": config.context,
        "num_attention_heads": tuple(max(1, width // HEAD_CHANNELS) for width in config.widths),
    }
    with torch.device("meta"):
        module: nn.Module = UNetSpatioTemporalConditionModel(**sizes)
    return module
