"""Tensor names of single-file checkpoints → parameter names of the diffusers and transformers modules.

The maps work on names alone, so that a file is understood before its weights are touched, what does not belong
to the family is left over and can be named, and patches that speak of either naming find their weight. The LDM
names are those of CompVis' latent-diffusion; the module names those of diffusers 0.42 and transformers 5.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable

#: Names that some files carry beside the weights: computed tables, training state, parts that SD1.x does not use.
_UNUSED = re.compile(
    r"(^|\.)position_ids$|^loss\.|^model_ema\.|^(text_projection(\.weight)?|logit_scale)$|^vae_scale$"
)

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
}
_VAE_ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}
_VAE_OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def used(names: Iterable[str]) -> list[str]:
    """The names without those that carry no weight of the module."""
    return [name for name in names if not _UNUSED.search(name)]


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
            return f"mid_block.{kind}.{_resnet_name(rest, _UNET_RESNET)}"
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
    return f"down_blocks.{level}.{kind}.{place}.{_resnet_name(rest, _UNET_RESNET)}"


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
    return f"up_blocks.{level}.{kind}.{number}.{_resnet_name(rest, _UNET_RESNET)}"


def _resnet_name(rest: str, table: dict[str, str]) -> str:
    for old, new in table.items():
        if rest.startswith(old + "."):
            return new + rest.removeprefix(old)
    return rest


def vae_names(names: Collection[str]) -> dict[str, str]:
    """KL autoencoder names, of LDM or of diffusers (old attention names too) → names in AutoencoderKL."""
    numbers = [int(found[1]) for name in names if (found := re.match(r"decoder\.up\.(\d+)\.", name))]
    last = max(numbers, default=0)
    return {name: _vae_name(name, last) for name in used(names)}


def _vae_name(name: str, last: int) -> str:
    name = re.sub(r"^(en|de)coder\.norm_out\.", r"\1coder.conv_norm_out.", name)
    name = name.replace(".nin_shortcut.", ".conv_shortcut.")
    if found := re.match(r"(\w+)\.mid\.(block|attn)_(\d+)\.(.+)", name):
        part, kind, number, rest = found.groups()
        if kind == "attn":
            return f"{part}.mid_block.attentions.0.{_resnet_name(rest, _VAE_ATTENTION)}"
        return f"{part}.mid_block.resnets.{int(number) - 1}.{rest}"
    if found := re.match(r"(.+\.attentions\.0)\.(.+)", name):
        return f"{found[1]}.{_resnet_name(found[2], _VAE_OLD_ATTENTION)}"
    if found := re.match(r"encoder\.down\.(\d+)\.(.+)", name):
        return f"encoder.down_blocks.{found[1]}.{_vae_level(found[2], 'downsample')}"
    if found := re.match(r"decoder\.up\.(\d+)\.(.+)", name):
        return f"decoder.up_blocks.{last - int(found[1])}.{_vae_level(found[2], 'upsample')}"
    return name


def _vae_level(rest: str, sampler: str) -> str:
    if rest.startswith("block."):
        return "resnets." + rest.removeprefix("block.")
    return rest.replace(f"{sampler}.conv.", f"{sampler}rs.0.conv.", 1)


def taesd_names(names: Collection[str]) -> dict[str, str]:
    """Tiny autoencoder names (`taesd_encoder.0.weight`) → names in AutoencoderTiny.

    The decoder's first layer, a clamp without weights, is no layer of its own in diffusers.
    """
    result = {}
    for name in used(names):
        found = re.match(r"taesd_(en|de)coder\.(\d+)\.(.+)", name)
        if found:
            number = int(found[2]) - (found[1] == "de")
            result[name] = f"{found[1]}coder.layers.{number}.{found[3]}"
        else:
            result[name] = name
    return result


def clip_names(names: Collection[str], prefix: str = "") -> dict[str, str]:
    """CLIP text tower names, with or without `text_model.` → names in CLIPTextModel.

    prefix: "text_model." for transformers 4, empty for transformers 5, which dropped it.
    """
    return {name: prefix + name.removeprefix("text_model.") for name in used(names)}
