"""Small model files of any format, read whole; what would run code is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from graphengine.node.api import ModelError

from .checkpoint import open_checkpoint

State = dict[str, Tensor]

_OLD_FORMATS = frozenset({".pth", ".pt", ".bin", ".ckpt"})
_WRAPPERS = ("state_dict", "params_ema", "params-ema", "params", "model", "net")


def read_tensors(path: Path) -> State:
    """All tensors of a file, by name; on the CPU. Files of `torch.save` are read without running code in them.

    Raises:
        ModelError: the file is damaged or holds more than tensors.
    """
    if path.suffix.lower() not in _OLD_FORMATS:
        checkpoint = open_checkpoint(path)
        return {name: checkpoint.tensor(info).clone() for name, info in checkpoint.entries.items()}
    return _unwrapped(path, _read_old(path))


# Any: the file may hold anything.
def _read_old(path: Path) -> Any:
    import pickle  # for the name of the error alone

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"model file {path.name!r} is no file of tensors alone: {first}",
            hint="use the .safetensors version of the model",
        ) from error


def _unwrapped(path: Path, loaded: Any) -> State:
    """The table of tensors, out of the tables that trainers put around it."""
    for name in _WRAPPERS:
        if isinstance(loaded, dict) and isinstance(loaded.get(name), dict):
            loaded = loaded[name]
    if not isinstance(loaded, dict):
        raise ModelError(f"model file {path.name!r} holds no table of tensors")
    return {str(name): value for name, value in loaded.items() if isinstance(value, Tensor)}
