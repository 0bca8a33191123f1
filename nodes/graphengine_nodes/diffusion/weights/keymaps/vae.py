"""Names of the autoencoders: LDM, older diffusers, TAESD → diffusers' AutoencoderKL and AutoencoderTiny."""

from __future__ import annotations

import re
from collections.abc import Collection

from .names import renamed, used

_VAE_ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}
_VAE_OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


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
            return f"{part}.mid_block.attentions.0.{renamed(rest, _VAE_ATTENTION)}"
        return f"{part}.mid_block.resnets.{int(number) - 1}.{rest}"
    if found := re.match(r"(.+\.attentions\.0)\.(.+)", name):
        return f"{found[1]}.{renamed(found[2], _VAE_OLD_ATTENTION)}"
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
