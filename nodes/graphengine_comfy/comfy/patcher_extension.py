"""Functions that packs put around steps of sampling, and that they want to be told by."""

from collections.abc import Callable, Mapping
from typing import Any

from graphengine_comfy._placeholders import placeholders_of


class WrappersMP:
    """The steps that can be wrapped in ComfyUI; graphengine's models take those in `WRAPPABLE`."""

    OUTER_SAMPLE = "outer_sample"
    PREPARE_SAMPLING = "prepare_sampling"
    SAMPLER_SAMPLE = "sampler_sample"
    PREDICT_NOISE = "predict_noise"
    CALC_COND_BATCH = "calc_cond_batch"
    APPLY_MODEL = "apply_model"
    DIFFUSION_MODEL = "diffusion_model"

    @staticmethod
    def init_wrappers() -> dict[str, dict[Any, list[Any]]]:
        """A table without any wrapper."""
        kinds = [value for name, value in vars(WrappersMP).items() if name.isupper()]
        return {kind: {None: []} for kind in kinds}


class CallbacksMP:
    """The moments that packs can be told of in ComfyUI; graphengine's models take those in `CALLED_BACK`."""

    ON_CLONE = "on_clone"
    ON_LOAD = "on_load_after"
    ON_DETACH = "on_detach_after"
    ON_CLEANUP = "on_cleanup"
    ON_PRE_RUN = "on_pre_run"
    ON_PREPARE_STATE = "on_prepare_state"
    ON_APPLY_HOOKS = "on_apply_hooks"
    ON_REGISTER_ALL_HOOK_PATCHES = "on_register_all_hook_patches"
    ON_INJECT_MODEL = "on_inject_model"
    ON_EJECT_MODEL = "on_eject_model"

    @staticmethod
    def init_callbacks() -> dict[str, dict[Any, list[Any]]]:
        """A table without any callback."""
        kinds = [value for name, value in vars(CallbacksMP).items() if name.isupper()]
        return {kind: {None: []} for kind in kinds}


# Any throughout: the functions are the packs', the options ComfyUI's open-ended form.
def add_wrapper_with_key(
    wrapper_type: str,
    key: str | None,
    wrapper: Callable[..., Any],
    options: dict[str, Any],
    is_model_options: bool = False,
) -> None:
    """Put a function around a step, in "transformer_options" or in model_options that hold them.

    Raises:
        ValueError: steps of this kind cannot be wrapped.
    """
    from graphengine_nodes.diffusion.model.pack_wrappers import check_wrappable  # brings torch

    check_wrappable(wrapper_type)
    _add("wrappers", wrapper_type, key, wrapper, options, is_model_options)


def add_wrapper(
    wrapper_type: str, wrapper: Callable[..., Any], options: dict[str, Any], is_model_options: bool = False
) -> None:
    """Put a function around a step, without a key of its own."""
    add_wrapper_with_key(wrapper_type, None, wrapper, options, is_model_options)


def add_callback_with_key(
    call_type: str,
    key: str | None,
    callback: Callable[..., Any],
    options: dict[str, Any],
    is_model_options: bool = False,
) -> None:
    """Be told of a moment.

    Raises:
        ValueError: nobody is told of this one.
    """
    from graphengine_nodes.diffusion.model.pack_wrappers import check_called_back  # brings torch

    check_called_back(call_type)
    _add("callbacks", call_type, key, callback, options, is_model_options)


def add_callback(
    call_type: str, callback: Callable[..., Any], options: dict[str, Any], is_model_options: bool = False
) -> None:
    """Be told of a moment, without a key of its own."""
    add_callback_with_key(call_type, None, callback, options, is_model_options)


def _add(table: str, kind: str, key: str | None, function: Any, options: dict[str, Any], is_model: bool) -> None:
    holder = options.setdefault("transformer_options", {}) if is_model else options
    by_key = holder.setdefault(table, {}).setdefault(kind, {})
    by_key[key] = [*by_key.get(key, ()), function]


def get_all_wrappers(
    wrapper_type: str, options: Mapping[str, Any], is_model_options: bool = False
) -> list[Callable[..., Any]]:
    """The functions around a step, whatever their key."""
    holder = options.get("transformer_options", {}) if is_model_options else options
    by_key = holder.get("wrappers", {}).get(wrapper_type, {})
    return [function for functions in by_key.values() for function in functions]


def get_wrappers_with_key(
    wrapper_type: str, key: str | None, options: Mapping[str, Any], is_model_options: bool = False
) -> list[Callable[..., Any]]:
    """The functions around a step under one key."""
    holder = options.get("transformer_options", {}) if is_model_options else options
    return list(holder.get("wrappers", {}).get(wrapper_type, {}).get(key, ()))


_missing = placeholders_of(__name__)


def __getattr__(name: str) -> Any:
    """`WrapperExecutor`, which lives with the sampler; else a placeholder."""
    if name == "WrapperExecutor":
        from graphengine_nodes.diffusion.model.pack_wrappers import WrapperExecutor

        return WrapperExecutor
    return _missing(name)
