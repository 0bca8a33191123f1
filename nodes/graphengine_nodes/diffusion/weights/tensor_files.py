"""Small model files of any format, read whole."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from .checkpoint import open_checkpoint

State = dict[str, Tensor]

_WRAPPERS = ("params_ema.", "params-ema.", "params.")


def read_tensors(path: Path) -> State:
    """All tensors of a file, by name, on the CPU; without the table that trainers put around a network.

    Raises:
        ModelError: the file is damaged, in an unknown format, or holds no tensors.
    """
    checkpoint = open_checkpoint(path)
    entries = checkpoint.entries
    for wrapper in _WRAPPERS:
        if any(name.startswith(wrapper) for name in entries):
            entries = {name[len(wrapper) :]: info for name, info in entries.items() if name.startswith(wrapper)}
    return {name: checkpoint.tensor(info).clone() for name, info in entries.items()}
