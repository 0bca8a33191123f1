"""Stems of adapter files → the weights they stand for.

Every name that trainers use for a weight is made of the name that the model's original file has for it
(`input_blocks.4.1.proj_in`) or the name in the modules of diffusers and transformers, our parameter names
(`down_blocks.1.attentions.0.proj_in`). kohya's sd-scripts and LyCORIS write it with underscores in place of dots,
all put a prefix before it that says which network is meant. So no family needs a table here: a `Component` knows
both kinds of names, and a tensor that a file has in one piece and a module in three is found by either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from graphengine_nodes.diffusion.weights.weights import Component, Place

_MODEL_PREFIX = re.compile(
    r"lora_unet_|lora_transformer_|lycoris_(?:unet_|transformer_)?|lora_prior_unet_|(?:model\.)?diffusion_model\."
    r"|unet\.|transformer\."
)
#: What says that a stem belongs to a text encoder; the group tells which.
_TEXT_PREFIX = re.compile(
    r"(?:lora|lycoris)_te(?P<kohya>\d?)_"
    r"|text_encoder(?:_(?P<diffusers>\d))?\."
    r"|(?:text_encoders\.)?(?:clip_)?(?P<own>[lgh]|[a-z0-9_]*(?:t5|llama|gemma|qwen)[a-z0-9_]*)\.transformer\."
    r"|text_encoders\.(?:clip_)?(?P<other>\w+)\."
)
#: Names of layers in the attention processors of old versions of diffusers, which stand for others.
_OLD_TEXT = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out": "out_proj"}

#: The towers in the order in which trainers number them; others come after these, in that of the model.
_ORDER = ("l", "h", "g")

Places = Sequence[Place]


def model_stem(stem: str) -> str:
    """The stem without the prefix of the diffusion model, one or none."""
    stem = _plain(stem)
    found = _MODEL_PREFIX.match(stem)
    return stem[found.end() :] if found else stem


def is_text_stem(stem: str) -> bool:
    """Whether the stem names a weight of a text encoder."""
    return _TEXT_PREFIX.match(_plain(stem)) is not None


def text_stem(stem: str, towers: Iterable[str]) -> tuple[str, str] | None:
    """The tower that the stem is for, and the stem without prefix; None when it is for none of the towers."""
    towers = sorted(towers, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))
    stem = _plain(stem)
    found = _TEXT_PREFIX.match(stem)
    tower = found and _tower(found, towers)
    if not found or tower is None:
        return None
    return tower, _old_layer(stem[found.end() :])


def _tower(found: re.Match[str], towers: Sequence[str]) -> str | None:
    named = found["own"] or found["other"]
    if named is not None:
        return named if named in towers else None
    if found["kohya"] == "2" and "g" in towers:  # an SDXL refiner has the second tower alone
        return "g"
    if found["kohya"] == "3":  # kohya counts CLIP-G where a model has none, as Flux
        return next((name for name in towers if "t5" in name), None)
    number = int(found["kohya"] or found["diffusers"] or 1)
    return towers[number - 1] if 0 < number <= len(towers) else None


def _plain(stem: str) -> str:
    """The stem without PEFT's wrappers and diffusers' attention processors."""
    stem = stem.removeprefix("base_model.model.")
    if ".processor." in stem:
        stem = re.sub(r"\.processor\.(to_\w+)$", r".\1", stem)
        stem = re.sub(r"\.to_out$", ".to_out.0", stem)
    return stem


def _old_layer(stem: str) -> str:
    before, dot, layer = stem.rpartition(".self_attn.")
    return f"{before}{dot}{_OLD_TEXT[layer]}" if layer in _OLD_TEXT else stem


class WeightNames:
    """The weights of a component by all their names."""

    def __init__(self, component: Component) -> None:
        shapes = component.shapes()
        self._places: dict[str, Places] = {_flat(name): (Place(name),) for name in shapes}
        self._places.update((_flat(name), places) for name, places in component.sources.items())
        self.shapes: Mapping[str, tuple[int, ...]] = shapes

    def find(self, stem: str, target: str) -> Places | None:
        """Where the weight (target "weight") or bias ("bias") of a stem without prefix went; None if nowhere."""
        flat = _flat(stem)
        return self._places.get(f"{flat}_{target}") or (self._places.get(flat) if target == "weight" else None)


def _flat(name: str) -> str:
    """The name as kohya writes it; `text_model.` is in the names of some versions of transformers only."""
    return name.replace(".", "_").removeprefix("text_model_")
