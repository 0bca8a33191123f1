"""The weights that a file has, and what was made of them for a device: one copy for everyone who asks."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from .checkpoint import Checkpoint


@dataclass(frozen=True, slots=True, eq=False)
class StoredWeights:
    """The weights of a network as its file has them.

    mapped: by parameter name. first_name: a weight that the network has under two names is kept under the first.
    rounded: a dtype that weights are rounded to before they are cast. cast: the weights on the devices of the
    process, held weakly: what no network holds is forgotten. Loaders that open the same file share it.
    """

    checkpoint: Checkpoint
    mapped: Mapping[str, Tensor]
    first_name: Mapping[str, str]
    device: str
    dtype: torch.dtype
    rounded: torch.dtype | None
    cast: MutableMapping[Hashable, Any]  # Any: the process shares it among values of all kinds
    lock: threading.Lock = field(default_factory=threading.Lock)

    def original(self, name: str) -> Tensor:
        """The weight as the file has it, but for the rounding; float32 on the CPU."""
        return self._rounded(name).to(torch.float32)

    def shared(self, name: str) -> nn.Parameter:
        """The weight on the device, the same tensor for everyone who asks."""
        parameter: nn.Parameter | None = self.cast.get(self._key(name))
        if parameter is None:
            parameter = frozen(self._rounded(name).to(self.device, self.dtype))
            self.share(name, parameter)
        return parameter

    def share(self, name: str, parameter: nn.Parameter) -> None:
        """Let everyone who asks for the weight have this tensor from now on."""
        self.cast[self._key(name)] = parameter

    def is_cast(self, name: str) -> bool:
        """Whether somebody holds the weight on the device."""
        return self._key(name) in self.cast

    def _rounded(self, name: str) -> Tensor:
        weight = self.mapped[name]
        return weight if self.rounded is None else weight.to(self.rounded)

    def _key(self, name: str) -> Hashable:
        """What tells the weight from all others of the process: its bytes, and what is made of them."""
        weight = self.mapped[name]
        place = self.checkpoint.place(weight.data_ptr())
        # A weight that is not a piece of the file, as it is there, was made for this network alone.
        source: Hashable = (id(self), name) if place is None else (*place, tuple(weight.shape), weight.stride())
        return (source, weight.dtype, self.device, self.dtype, self.rounded)


def frozen(weight: Tensor) -> nn.Parameter:
    """The weight as a parameter that takes no gradient."""
    return nn.Parameter(weight, requires_grad=False)
