"""Files of tensors, and the names of what is in them."""

import os
from collections.abc import Iterable, Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from graphengine.node.api import ModelError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_SAFE = (".safetensors", ".sft")


# Any throughout: what a .pt file holds is its author's choice, and attributes are those of any module.
@overload
def load_torch_file(
    ckpt: str | Path,
    safe_load: bool = ...,
    device: "torch.device | str | None" = ...,
    *,
    return_metadata: Literal[True],
) -> tuple[dict[str, Any], dict[str, str] | None]: ...
@overload
def load_torch_file(
    ckpt: str | Path,
    safe_load: bool = ...,
    device: "torch.device | str | None" = ...,
    return_metadata: Literal[False] = ...,
) -> dict[str, Any]: ...
def load_torch_file(
    ckpt: str | Path,
    safe_load: bool = False,
    device: "torch.device | str | None" = None,
    return_metadata: bool = False,
) -> Any:
    """The tensors of a model file by name, on the CPU unless told otherwise; with `return_metadata`, a pair.

    Other formats than safetensors are read without running any code in them, whatever `safe_load` says.

    Raises:
        ModelError: the file is missing or damaged.
    """
    path = Path(ckpt)
    if not path.is_file():
        raise ModelError(f"there is no model file {str(path)!r}", hint="check the name, or put the file there")
    place = "cpu" if device is None else str(device)
    tensors, metadata = _read_safe(path, place) if path.suffix.lower() in _SAFE else (_read_old(path, place), None)
    return (tensors, metadata) if return_metadata else tensors


def _read_safe(path: Path, device: str) -> tuple[dict[str, Any], dict[str, str] | None]:
    from safetensors import SafetensorError, safe_open  # brings torch

    try:
        with safe_open(path, framework="pt", device=device) as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{str(path)!r} cannot be read: {error}", hint="download it again") from error


def _read_old(path: Path, device: str) -> dict[str, Any]:
    """A file of `torch.save`, read as data: what would run is left out."""
    from graphengine_nodes.diffusion.weights.checkpoint import (
        Checkpoint,
    )  # brings torch when tensors are asked for
    from graphengine_nodes.diffusion.weights.torch_files import TensorInfo, read_torch_tree
    from graphengine_nodes.diffusion.weights.torch_program import Made

    file = Checkpoint(path, {})

    def loaded(value: Any) -> Any:
        if isinstance(value, TensorInfo):
            return file.tensor(value).clone().to(device)
        if isinstance(value, dict):
            return {key: loaded(part) for key, part in value.items() if not isinstance(part, Made)}
        return type(value)(map(loaded, value)) if isinstance(value, list | tuple) else value

    tree = read_torch_tree(path)
    state = tree.get("state_dict", tree) if isinstance(tree, dict) else None
    if not isinstance(state, dict):
        raise ModelError(f"{str(path)!r} holds no table of tensors")
    table: dict[str, Any] = loaded(state)
    return table


def save_torch_file(
    sd: Mapping[str, "Tensor"], ckpt: str | os.PathLike[str], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors as safetensors; the file is there as a whole or not at all."""
    from safetensors.torch import save_file  # brings torch

    path = Path(ckpt)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        tensors = {name: tensor.contiguous() for name, tensor in sd.items()}
        save_file(tensors, unfinished, metadata=None if metadata is None else dict(metadata))
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def state_dict_prefix_replace(
    state_dict: MutableMapping[str, Any], replace_prefix: Mapping[str, str], filter_keys: bool = False
) -> MutableMapping[str, Any]:
    """The table with prefixes of names replaced, in place; with `filter_keys`, a new one of those alone."""
    made: MutableMapping[str, Any] = {} if filter_keys else state_dict
    for prefix, other in replace_prefix.items():
        for name in [name for name in state_dict if name.startswith(prefix)]:
            made[other + name[len(prefix) :]] = state_dict.pop(name)
    return made


def state_dict_key_replace(state_dict: dict[str, Any], keys_to_replace: Mapping[str, str]) -> dict[str, Any]:
    """The table with whole names replaced, in place."""
    for name, other in keys_to_replace.items():
        if name in state_dict:
            state_dict[other] = state_dict.pop(name)
    return state_dict


def _tensors(sd: Mapping[str, "Tensor"], prefix: str) -> Iterable["Tensor"]:
    return (tensor for name, tensor in sd.items() if name.startswith(prefix))


def calculate_parameters(sd: Mapping[str, "Tensor"], prefix: str = "") -> int:
    """How many numbers there are under names with this prefix."""
    return sum(tensor.nelement() for tensor in _tensors(sd, prefix))


def weight_dtype(sd: Mapping[str, "Tensor"], prefix: str = "") -> "torch.dtype | None":
    """The data type of most numbers under names with this prefix; None when there are none."""
    counts: dict[torch.dtype, int] = {}
    for tensor in _tensors(sd, prefix):
        counts[tensor.dtype] = counts.get(tensor.dtype, 0) + tensor.numel()
    return max(counts, key=counts.__getitem__) if counts else None


def convert_sd_to(state_dict: dict[str, "Tensor"], dtype: "torch.dtype") -> dict[str, "Tensor"]:
    """The table with all its tensors of one data type, in place."""
    for name in state_dict:
        state_dict[name] = state_dict[name].to(dtype)
    return state_dict


def get_attr(obj: Any, attr: str) -> Any:
    """The attribute of an attribute, by a name with dots."""
    for name in attr.split("."):
        obj = getattr(obj, name)
    return obj


def set_attr(obj: Any, attr: str, value: Any) -> Any:
    """Set the attribute of an attribute, by a name with dots; gives what it was."""
    owner, _, name = attr.rpartition(".")
    holder = get_attr(obj, owner) if owner else obj
    before = getattr(holder, name)
    setattr(holder, name, value)
    return before


def set_attr_param(obj: Any, attr: str, value: "Tensor") -> Any:
    """As `set_attr`, with the tensor as a parameter that is not trained."""
    from torch.nn import Parameter  # packs of plain Python import this too

    return set_attr(obj, attr, Parameter(value, requires_grad=False))


def copy_to_param(obj: Any, attr: str, value: "Tensor") -> None:
    """Copy numbers into the parameter of a name with dots."""
    get_attr(obj, attr).data.copy_(value)
