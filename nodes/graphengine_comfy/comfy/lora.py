"""LoRAs as node packs apply them themselves: names of weights, and what a file does to them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from graphengine_comfy._placeholders import placeholders_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor


# Any throughout: keys and patches are what `add_patches` of a model takes.
def model_lora_keys_unet(model: Any, key_map: dict[Any, Any] | None = None) -> dict[Any, Any]:
    """Stems of LoRA files → names of weights of a MODEL's inside (`model.model`), added to key_map."""
    from graphengine_nodes.diffusion.model.lora_keys import model_keys  # brings torch

    key_map = {} if key_map is None else key_map
    component = model.component if hasattr(model, "component") else model.network.component
    return _added(key_map, model_keys(component))


def model_lora_keys_clip(model: Any, key_map: dict[Any, Any] | None = None) -> dict[Any, Any]:
    """Stems of LoRA files → names of weights of a CLIP (`clip.cond_stage_model`), added to key_map."""
    from graphengine_nodes.diffusion.model.lora_keys import clip_keys  # brings torch

    return _added({} if key_map is None else key_map, clip_keys(model))


def _added(key_map: dict[Any, Any], keys: Mapping[str, Any]) -> dict[Any, Any]:
    key_map.update(keys)
    return key_map


def load_lora(
    lora: "Mapping[str, Tensor]", to_load: Mapping[Any, Any], log_missing: bool = True
) -> dict[Any, Any]:
    """Patches for `add_patches` by the names of weights; to_load is what the two functions above give.

    Raises:
        ModelError: tensors do not fit each other.
    """
    import logging

    from graphengine_nodes.diffusion.lora.formats import read_adapters  # brings torch

    file = read_adapters("of a node pack", lora)
    patches = {}
    for stem, adapters in file.adapters.items():
        key = to_load.get(stem)
        for adapter in adapters if key is not None else ():
            patches[key if adapter.target == "weight" else _bias(key)] = adapter
    left = [stem for stem in file.adapters if stem not in to_load]
    if log_missing and left:
        logging.getLogger(__name__).warning("%d names of a LoRA fit no weight, %r first", len(left), left[0])
    return patches


def _bias(key: Any) -> Any:
    if isinstance(key, str):
        return key.removesuffix(".weight") + ".bias"
    return (_bias(key[0]), *key[1:])


def calculate_weight(
    patches: Sequence[Sequence[Any]],
    weight: "Tensor",
    key: str,
    intermediate_dtype: "torch.dtype | None" = None,
    original_weights: Any = None,
) -> "Tensor":
    """The weight of this name after patches, each (strength, patch, strength_model, part, function); of its dtype.

    They are computed in float32, unless another dtype is given.

    Raises:
        ValueError: a patch has a form that is not known, or comes with a function.
    """
    import torch  # packs of plain Python import this too

    from graphengine_nodes.diffusion.model.weight_patches import patched_weight

    return patched_weight(key, weight.to(intermediate_dtype or torch.float32), patches).to(weight.dtype)


__getattr__ = placeholders_of(__name__)
