"""The weights of models under the names that node packs give patches, and the stems of LoRA files for them.

A key is the name of a tensor in the model's own file, after "diffusion_model." or "clip_l.transformer."; for a
weight that is a part of such a tensor, the pair of that name and (0, first row, number of rows).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .weight_patches import PREFIX, FileWeight, changes

if TYPE_CHECKING:
    from graphengine_nodes.diffusion.text.text_encode import TextEncoder
    from graphengine_nodes.diffusion.weights.weights import Component, Place

Key = str | tuple[str, tuple[int, int, int]]

_ENDING = ".weight"
_ORIGINAL = ("lora_unet_", "diffusion_model.", "")
_MODULE = ("lora_unet_", "lora_transformer_", "lycoris_", "unet.", "transformer.", "")
_TEXT = {
    "l": ("lora_te_", "lora_te1_", "text_encoder."),
    "g": ("lora_te2_", "text_encoder_2."),
    "t5xxl": ("lora_te3_", "text_encoder_2.", "text_encoder_3."),
}
_TEXT_ALONE = ("lora_te_", "text_encoder.")


def model_keys(component: Component) -> dict[str, Key]:
    """Stems of LoRA files for a diffusion model → keys of its weights."""
    return _keys(component, PREFIX, _ORIGINAL, _MODULE)


def clip_keys(clip: TextEncoder) -> dict[str, Key]:
    """Stems of LoRA files for a CLIP → keys of its weights."""
    found: dict[str, Key] = {}
    for tower, component in clip.components().items():
        own = tower_prefix(tower)
        stems = _TEXT.get(tower, _TEXT_ALONE)
        found |= _keys(component, own, (own, f"text_encoders.{own}"), (*stems, own))
    return found


def clip_key_patches(clip: TextEncoder) -> dict[str, list[FileWeight]]:
    """The weights of a CLIP by keys, to be given to another CLIP's `add_patches`."""
    found = {}
    for tower, component in clip.components().items():
        for name, places in component.sources.items():
            found[tower_prefix(tower) + name] = [FileWeight(component, places)]
    return found


def tower_prefix(tower: str) -> str:
    """What stands before the names of a tower's weights."""
    return f"clip_{tower}.transformer." if len(tower) == 1 else f"{tower}.transformer."


def patched_clip(
    clip: TextEncoder, patches: Mapping[Any, Any], strength: float = 1.0, strength_model: float = 1.0
) -> tuple[TextEncoder, list[Any]]:
    """The CLIP with changed weights, and the keys that name a weight of it; patches are those of `weight_patches`.

    Raises:
        ValueError: a patch has a form that is not known.
    """
    components, applied = {}, []
    for tower, component in clip.components().items():
        prefix = tower_prefix(tower)
        own = {_without(prefix, key): key for key in patches if _name(key).startswith(prefix)}
        made, fitting = changes(
            component, {short: patches[key] for short, key in own.items()}, strength, strength_model
        )
        applied += [own[short] for short in fitting]
        if made:
            components[tower] = component.patched(made)
    return clip.with_components(components), applied


def _name(key: Any) -> str:  # Any: keys are the packs'
    return key if isinstance(key, str) else str(key[0])


def _without(prefix: str, key: Any) -> Any:
    name = _name(key).removeprefix(prefix)
    return name if isinstance(key, str) else (name, *key[1:])


def _keys(component: Component, prefix: str, original: tuple[str, ...], module: tuple[str, ...]) -> dict[str, Key]:
    found: dict[str, Key] = {}
    for name, places in component.sources.items():
        for place in places:
            key = _key(prefix + name, place)
            found.update((stem, key) for stem in _stems(place.name, module))
        found.update((stem, prefix + name) for stem in _stems(name, original))
    return found


def _key(name: str, place: Place) -> Key:
    if place.rows is None:
        return name
    return name, (0, place.rows.start, place.rows.stop - place.rows.start)


def _stems(name: str, prefixes: tuple[str, ...]) -> Iterator[str]:
    """The stems of a weight: prefixes that end in "_" go with underscores in the name."""
    if name.endswith(_ENDING):
        stem = name.removesuffix(_ENDING)
        for prefix in prefixes:
            yield prefix + (stem.replace(".", "_") if prefix.endswith("_") else stem)
