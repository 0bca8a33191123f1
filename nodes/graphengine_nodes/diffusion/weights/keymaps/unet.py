"""Names of the UNet: LDM → diffusers' UNet2DConditionModel."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection

from .names import renamed, used

_UNET_RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
_UNET_TOP = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
    "label_emb": "add_embedding",
    "class_embedding": "add_embedding",
}


def unet_names(names: Collection[str]) -> dict[str, str]:
    """LDM UNet names (without prefix) → names in UNet2DConditionModel; unknown names map to themselves."""
    levels = _input_levels(names)
    per_level = Counter(level for level, _ in levels.values())
    blocks = [per_level[level] for level in sorted(per_level)]
    return {name: _unet_name(name, levels, blocks) for name in used(names)}


def _input_levels(names: Collection[str]) -> dict[int, tuple[int, int]]:
    """Number of each residual input block → (level, place in the level). A downsampler ends a level."""
    kinds: dict[int, bool] = {}
    for name in names:
        if found := re.match(r"input_blocks\.(\d+)\.0\.(op\.)?", name):
            kinds[int(found[1])] = kinds.get(int(found[1]), False) or found[2] is not None
    levels, level, place = {}, 0, 0
    for number in sorted(kinds)[1:]:
        if kinds[number]:
            level, place = level + 1, 0
        else:
            levels[number] = (level, place)
            place += 1
    return levels


def _unet_name(name: str, levels: dict[int, tuple[int, int]], blocks: list[int]) -> str:
    for old, new in _UNET_TOP.items():
        if name.startswith(old + "."):
            return new + name.removeprefix(old)
    if not (found := re.match(r"(input_blocks\.\d+|middle_block|output_blocks\.\d+)\.(\d+)\.(.+)", name)):
        return name
    block, index, rest = found[1], int(found[2]), found[3]
    match block.split("."):
        case ["middle_block"]:
            kind = "attentions.0" if index == 1 else f"resnets.{index // 2}"
            return f"mid_block.{kind}.{renamed(rest, _UNET_RESNET)}"
        case ["input_blocks", number]:
            return _down_name(name, int(number), index, rest, levels)
        case [_, number]:
            return _up_name(int(number), index, rest, blocks)
    return name


def _down_name(name: str, number: int, index: int, rest: str, levels: dict[int, tuple[int, int]]) -> str:
    if rest.startswith("op."):
        level = max((level for other, (level, _) in levels.items() if other < number), default=0)
        return f"down_blocks.{level}.downsamplers.0.conv.{rest.removeprefix('op.')}"
    if number not in levels:
        return name
    level, place = levels[number]
    kind = "attentions" if index else "resnets"
    return f"down_blocks.{level}.{kind}.{place}.{renamed(rest, _UNET_RESNET)}"


def _up_name(number: int, index: int, rest: str, blocks: list[int]) -> str:
    """Output blocks run through the levels from the last to the first, one block more than on the way down."""
    level = 0
    for count in reversed(blocks):
        if number <= count:
            break
        number -= count + 1
        level += 1
    if rest.startswith("conv."):
        return f"up_blocks.{level}.upsamplers.0.{rest}"
    kind = "attentions" if index else "resnets"
    return f"up_blocks.{level}.{kind}.{number}.{renamed(rest, _UNET_RESNET)}"
