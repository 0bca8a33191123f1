"""Models that can be patched: the type of MODEL values, and modules that packs load themselves."""

import sys
from collections.abc import Callable
from typing import Any, Self

from graphengine_comfy._placeholders import placeholders_of


# Any throughout: models, modules, devices and functions are the packs' or torch's.
class _PatcherType(type):
    """MODEL values are instances of ModelPatcher too; for the inside of one, it gives a MODEL."""

    def __instancecheck__(cls, instance: Any) -> bool:
        """Whether the instance is made of the class, or is a MODEL value."""
        if super().__instancecheck__(instance):
            return True
        patching = sys.modules.get("graphengine_nodes.diffusion.model.patching")  # not there: no MODEL is there
        return cls is ModelPatcher and patching is not None and isinstance(instance, patching.PackMethods)

    def __call__(cls, model: Any, *args: Any, **options: Any) -> Any:
        """A patcher of a module; a clone of the MODEL whose inside is given."""
        inside = sys.modules.get("graphengine_nodes.diffusion.model.pack_model")
        if inside is not None and isinstance(model, inside.InnerModel):
            return model.patcher.clone()
        return super().__call__(model, *args, **options)


class ModelPatcher(metaclass=_PatcherType):
    """A module of a pack (an image encoder, a detector) with the devices it computes and waits on."""

    def __init__(
        self,
        model: Any,
        load_device: Any,
        offload_device: Any,
        size: int = 0,
        weight_inplace_update: bool = False,
    ) -> None:
        self.model, self.size = model, size
        self.load_device, self.offload_device = load_device, offload_device
        self.model_options: dict[str, Any] = {"transformer_options": {}}

    def clone(self) -> Self:
        """The same module with options of its own."""
        twin = type(self)(self.model, self.load_device, self.offload_device, self.size)
        twin.model_options = create_model_options_clone(self.model_options)
        return twin

    def is_clone(self, other: Any) -> bool:
        """Whether both hold the same module."""
        return getattr(other, "model", None) is self.model

    def model_size(self) -> int:
        """The bytes of the module's weights."""
        from graphengine_comfy._memory import module_size

        return self.size or module_size(self.model)

    def model_dtype(self) -> Any:
        """What the module computes in; None when it does not say."""
        first = next(iter(self.model.parameters()), None)
        return getattr(first, "dtype", None)

    def get_model_object(self, name: str) -> Any:
        """A part of the module by its dotted name."""
        from operator import attrgetter

        return attrgetter(name)(self.model)

    def patch_model(self, device_to: Any = None, *args: Any, **options: Any) -> Any:
        """The module, on the device."""
        return self.model.to(self.load_device if device_to is None else device_to)

    def unpatch_model(self, device_to: Any = None, *args: Any, **options: Any) -> None:
        """Let the module wait on the device."""
        self.model.to(self.offload_device if device_to is None else device_to)

    def detach(self, unpatch_all: bool = True) -> Any:
        """The module, waiting on its device."""
        self.unpatch_model()
        return self.model


CoreModelPatcher = ModelPatcher


def create_model_options_clone(orig_model_options: dict[str, Any]) -> dict[str, Any]:
    """The options with tables and lists of their own."""
    from graphengine_nodes.diffusion.model.model import copied_options  # brings torch

    return copied_options(orig_model_options)


def set_model_options_patch_replace(
    model_options: dict[str, Any],
    patch: Callable[..., Any],
    name: str,
    block_name: str,
    number: int,
    transformer_index: int | None = None,
) -> dict[str, Any]:
    """The options with a function in place of a block's part; only their "transformer_options" are replaced."""
    from graphengine_nodes.diffusion.model.patching import replace_patch  # brings torch

    inner = dict(model_options.get("transformer_options", {}))
    replace_patch(inner, patch, name, block_name, number, transformer_index)
    model_options["transformer_options"] = inner
    return model_options


def set_model_options_post_cfg_function(
    model_options: dict[str, Any], post_cfg_function: Callable[..., Any], disable_cfg1_optimization: bool = False
) -> dict[str, Any]:
    """The options with a function that changes the guided prediction."""
    return _with(model_options, "sampler_post_cfg_function", post_cfg_function, disable_cfg1_optimization)


def set_model_options_pre_cfg_function(
    model_options: dict[str, Any], pre_cfg_function: Callable[..., Any], disable_cfg1_optimization: bool = False
) -> dict[str, Any]:
    """The options with a function that changes the predictions before they become one."""
    return _with(model_options, "sampler_pre_cfg_function", pre_cfg_function, disable_cfg1_optimization)


def _with(
    options: dict[str, Any], name: str, function: Callable[..., Any], always_negative: bool
) -> dict[str, Any]:
    options[name] = [*options.get(name, ()), function]
    if always_negative:
        options["disable_cfg1_optimization"] = True
    return options


__getattr__ = placeholders_of(__name__)
