"""The methods that node packs call on a MODEL, under ComfyUI's names.

Each changes the object that it is called on, so packs call `clone()` first: options, noise levels and weights of
the original stay as they are. What is set is carried out by the sampler (pack_hooks.py) and by the networks
(unet.py; the transformers for "dit"). What cannot be done raises an error that names it.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from functools import partialmethod
from typing import TYPE_CHECKING, Any, Self

from .pack_model import InnerModel
from .pack_sampling import adopted
from .pack_wrappers import check_called_back, check_wrappable, wrappers_of
from .weight_patches import changes, key_patches

if TYPE_CHECKING:
    import torch

    from .model import Network
    from .model_sampling import ModelSampling

# Any throughout: functions and options are the packs'.
Function = Callable[..., Any]


class PackMethods:
    """ComfyUI's ModelPatcher, for a class with a network, noise levels, a latent format and options."""

    __slots__ = ()

    if TYPE_CHECKING:
        network: Network
        sampling: ModelSampling
        device: str
        model_options: dict[str, Any]

        def clone(self) -> Self:
            """The same model with options of its own."""

    # The inside

    @property
    def model(self) -> Any:
        """The network and what belongs to it, as packs see them: `model.model_sampling` and so on."""
        return InnerModel(self)  # type: ignore[arg-type]  # the one class that has these methods

    @property
    def load_device(self) -> Any:
        """Where the network computes, as a `torch.device`."""
        import torch  # packs of plain Python hold models too

        return torch.device(self.device)

    offload_device = load_device
    current_device = load_device

    def current_loaded_device(self) -> Any:
        """Where the network computes."""
        return self.load_device

    def model_dtype(self) -> torch.dtype:
        """What the network computes in."""
        return self.network.component.dtype

    def model_size(self) -> int:
        """Bytes of the weights in the dtype that the network computes in."""
        shapes = self.network.component.shapes().values()
        numbers = sum(math.prod(shape) for shape in shapes)
        return numbers * self.model_dtype().itemsize

    @property
    def size(self) -> int:
        """Bytes of the weights."""
        return self.model_size()

    def set_model_compute_dtype(self, dtype: torch.dtype) -> None:
        """Choose what the network computes in."""
        component = self.network.component.with_dtype(dtype)
        self._set("network", self.network.with_component(component))

    def is_clone(self, other: Any) -> bool:
        """Whether both have the same network, weights included."""
        return isinstance(other, PackMethods) and other.network is self.network

    def get_model_object(self, name: str) -> Any:
        """A part of the inside by its dotted name: "model_sampling", "latent_format", "diffusion_model", …

        Raises:
            AttributeError: there is none.
        """
        return operator.attrgetter(name)(self.model)

    def add_object_patch(self, name: str, obj: Any) -> None:
        """Put something in place of a part of the inside: of "model_sampling".

        Raises:
            ValueError: another part is named.
        """
        if name != "model_sampling":
            raise ValueError(f"{name!r} of a model cannot be replaced in graphengine, only 'model_sampling' can")
        self._set("sampling", adopted(obj))

    def _set(self, name: str, value: Any) -> None:
        # the value is a frozen one for everybody but these methods, whose callers hold a clone
        object.__setattr__(self, name, value)

    # Weights

    def add_patches(
        self, patches: Mapping[Any, Any], strength_patch: float = 1.0, strength_model: float = 1.0
    ) -> list[Any]:
        """Change weights; see weight_patches.py. Gives the keys that name a weight of the model.

        Raises:
            ValueError: a patch has a form that is not known.
        """
        component = self.network.component
        made, applied = changes(component, patches, strength_patch, strength_model)
        self._set("network", self.network.with_component(component.patched(made)))
        return applied

    def get_key_patches(self, filter_prefix: str | None = None) -> dict[str, Any]:
        """The weights by name, to be given to another model's `add_patches`."""
        return dict(key_patches(self.network.component, filter_prefix))

    def model_state_dict(self, filter_prefix: str | None = None) -> dict[str, Any]:
        """The weights by name, float32 on the CPU, with all changes. All of them are computed."""
        found = key_patches(self.network.component, filter_prefix)
        return {name: weight() for name, [weight] in found.items()}

    # Options

    def set_model_sampler_cfg_function(
        self, sampler_cfg_function: Function, disable_cfg1_optimization: bool = False
    ) -> None:
        """Combine the noise of both sides: f(args) -> noise. One that takes (cond, uncond, scale) will do too."""
        function = sampler_cfg_function
        if _takes_three(function):
            function = _FromThree(sampler_cfg_function)
        self.model_options["sampler_cfg_function"] = function
        self._ask_negative(disable_cfg1_optimization)

    def set_model_sampler_post_cfg_function(
        self, post_cfg_function: Function, disable_cfg1_optimization: bool = False
    ) -> None:
        """Change the guided prediction: f(args) -> denoised."""
        self._append("sampler_post_cfg_function", post_cfg_function)
        self._ask_negative(disable_cfg1_optimization)

    def set_model_sampler_pre_cfg_function(
        self, pre_cfg_function: Function, disable_cfg1_optimization: bool = False
    ) -> None:
        """Change the predictions before they are combined: f(args) -> [cond, uncond]."""
        self._append("sampler_pre_cfg_function", pre_cfg_function)
        self._ask_negative(disable_cfg1_optimization)

    def set_model_sampler_calc_cond_batch_function(self, sampler_calc_cond_batch_function: Function) -> None:
        """Ask for the sides in another way: f(args) -> [cond, uncond]."""
        self.model_options["sampler_calc_cond_batch_function"] = sampler_calc_cond_batch_function

    def set_model_unet_function_wrapper(self, unet_wrapper_function: Function) -> None:
        """Put a function around the network: f(apply_model, args) -> denoised."""
        self.model_options["model_function_wrapper"] = unet_wrapper_function

    def set_model_denoise_mask_function(self, denoise_mask_function: Function) -> None:
        """Change the noise mask at each step: f(sigma, mask, extra_options=…) -> mask."""
        self.model_options["denoise_mask_function"] = denoise_mask_function

    def _append(self, name: str, function: Function) -> None:
        self.model_options[name] = [*self.model_options.get(name, ()), function]

    def _ask_negative(self, always: bool) -> None:
        if always:
            self.model_options["disable_cfg1_optimization"] = True

    # Patches inside the network

    @property
    def _transformer_options(self) -> dict[str, Any]:
        options: dict[str, Any] = self.model_options.setdefault("transformer_options", {})
        return options

    def set_model_patch(self, patch: Function, name: str) -> None:
        """Add a patch at a place in the network by name; see unet.py."""
        patches = self._transformer_options.setdefault("patches", {})
        patches[name] = [*patches.get(name, ()), patch]

    def set_model_patch_replace(
        self, patch: Function, name: str, block_name: str, number: int, transformer_index: int | None = None
    ) -> None:
        """Put a function in place of a block's part: "attn1" or "attn2" of a UNet, "dit" of a transformer."""
        replace_patch(self._transformer_options, patch, name, block_name, number, transformer_index)

    def set_model_attn1_replace(
        self, patch: Function, block_name: str, number: int, transformer_index: int | None = None
    ) -> None:
        """Put a function in place of a block's attention to itself: f(q, k, v, extra_options)."""
        self.set_model_patch_replace(patch, "attn1", block_name, number, transformer_index)

    def set_model_attn2_replace(
        self, patch: Function, block_name: str, number: int, transformer_index: int | None = None
    ) -> None:
        """Put a function in place of a block's attention to the text: f(q, k, v, extra_options)."""
        self.set_model_patch_replace(patch, "attn2", block_name, number, transformer_index)

    set_model_attn1_patch = partialmethod(set_model_patch, name="attn1_patch")
    set_model_attn2_patch = partialmethod(set_model_patch, name="attn2_patch")
    set_model_attn1_output_patch = partialmethod(set_model_patch, name="attn1_output_patch")
    set_model_attn2_output_patch = partialmethod(set_model_patch, name="attn2_output_patch")
    set_model_attn2_middle_patch = partialmethod(set_model_patch, name="middle_patch")
    set_model_input_block_patch = partialmethod(set_model_patch, name="input_block_patch")
    set_model_input_block_patch_after_skip = partialmethod(set_model_patch, name="input_block_patch_after_skip")
    set_model_output_block_patch = partialmethod(set_model_patch, name="output_block_patch")

    # Wrappers

    def add_wrapper_with_key(self, wrapper_type: str, key: str, wrapper: Function) -> None:
        """Put a function around a step of sampling: f(executor, *arguments).

        Raises:
            ValueError: steps of this kind cannot be wrapped.
        """
        check_wrappable(wrapper_type)
        wrappers = self._transformer_options.setdefault("wrappers", {}).setdefault(wrapper_type, {})
        wrappers[key] = [*wrappers.get(key, ()), wrapper]

    def add_callback_with_key(self, call_type: str, key: str, callback: Function) -> None:
        """Be told of a moment of each run: f(model).

        Raises:
            ValueError: nobody is told of this one.
        """
        check_called_back(call_type)
        callbacks = self._transformer_options.setdefault("callbacks", {}).setdefault(call_type, {})
        callbacks[key] = [*callbacks.get(key, ()), callback]

    def add_callback(self, call_type: str, callback: Function) -> None:
        """Be told of a moment, without a key of its own."""
        self.add_callback_with_key(call_type, "", callback)

    def remove_callbacks_with_key(self, call_type: str, key: str) -> None:
        """Take away what was added under a key."""
        self._transformer_options.get("callbacks", {}).get(call_type, {}).pop(key, None)

    def add_wrapper(self, wrapper_type: str, wrapper: Function) -> None:
        """Put a function around a step, without a key of its own."""
        self.add_wrapper_with_key(wrapper_type, "", wrapper)

    def remove_wrappers_with_key(self, wrapper_type: str, key: str) -> None:
        """Take away what was added under a key."""
        self._transformer_options.get("wrappers", {}).get(wrapper_type, {}).pop(key, None)

    def get_wrappers(self, wrapper_type: str, key: str) -> Sequence[Function]:
        """What was added under a key."""
        found: Sequence[Function] = (
            self._transformer_options.get("wrappers", {}).get(wrapper_type, {}).get(key, [])
        )
        return found

    def get_all_wrappers(self, wrapper_type: str) -> list[Function]:
        """What was added for a step under any key."""
        return wrappers_of(wrapper_type, self._transformer_options)


# Any: the options are ComfyUI's open-ended form.
def replace_patch(
    transformer_options: dict[str, Any],
    patch: Function,
    name: str,
    block_name: str,
    number: int,
    transformer_index: int | None = None,
) -> None:
    """Write a patch that takes the place of a block's part into "transformer_options", into new tables."""
    block: tuple[Any, ...] = (block_name, number)
    if transformer_index is not None:
        block = (*block, transformer_index)
    replaced = transformer_options.get("patches_replace", {})
    transformer_options["patches_replace"] = {**replaced, name: {**replaced.get(name, {}), block: patch}}


def _takes_three(function: Function) -> bool:
    """Whether the function takes the two sides and the scale apart, as packs for the first versions do."""
    code = getattr(function, "__code__", None)
    return code is not None and code.co_argcount - (code.co_varnames[:1] == ("self",)) == 3


class _FromThree:
    def __init__(self, function: Function) -> None:
        self._function = function

    def __call__(self, args: Mapping[str, Any]) -> Any:
        return self._function(args["cond"], args["uncond"], args["cond_scale"])
