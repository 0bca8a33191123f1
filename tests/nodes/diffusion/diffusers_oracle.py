"""diffusers' own modules with weights that its own converters made of a file's tensors."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import diffusers
    from diffusers.loaders import single_file_utils


def converted(
    name: str, weights: Mapping[str, Tensor], sizes: Mapping[str, str] | None = None
) -> dict[str, Tensor]:
    """What a converter of diffusers makes of the weights.

    sizes: some converters have the sizes of the published model written into them; texts to put in their place.
    """
    function: Any = getattr(single_file_utils, name)
    if sizes:
        source = inspect.getsource(function)
        for published, ours in sizes.items():
            assert published in source, f"{name} no longer says {published}"
            source = source.replace(published, ours)
        scope = dict(vars(single_file_utils))
        exec(source, scope)  # the text of an installed library
        function = scope[name]
    state: dict[str, Tensor] = function(dict(weights))
    return state


def module(name: str, state: Mapping[str, Tensor] | None, **config: Any) -> Any:
    """A module of diffusers with the weights, or with those it starts from, in evaluation mode."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = getattr(diffusers, name)(**config)
    if state is None:
        return result.eval()
    result.load_state_dict({key: value.float() for key, value in state.items()}, strict=True)
    return result.eval()


def randn(*shape: int, seed: int = 3) -> Tensor:
    """Random numbers, the same for the same seed."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def converted_ldm_vae(weights: Mapping[str, Tensor], name: str, config: Mapping[str, Any]) -> dict[str, Tensor]:
    """What diffusers' converter makes of an autoencoder in LDM's layout, by the names of a class of videos.

    The class has a layer named "conv" inside of each convolution.
    """
    levels = [""] * len(config["block_out_channels"])
    blocks = {"down_block_types": levels, "up_block_types": levels}
    flat = single_file_utils.convert_ldm_vae_checkpoint(dict(weights), {**blocks, **config})
    expected = getattr(diffusers, name)(**config).state_dict()
    state = {key: flat[key if key in flat else key.replace(".conv.", ".", 1)] for key in expected}
    return {key: value.reshape(expected[key].shape) for key, value in state.items()}
