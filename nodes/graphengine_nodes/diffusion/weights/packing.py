"""Weights in the order in which oneDNN reads them, so that the CPU does not reorder them at each call.

A convolution over few places (deep in a UNet, where pictures are small and channels many) spends more time on
bringing its weights into oneDNN's blocked order than on the sums. Layers that are called at every step of a
sampler keep them in that order instead, as PyTorch's own compiler does when it freezes a graph. The sums are the
same up to their order: results differ by some 1e-6, and do not depend on the size that weights were packed for.
The memory is the same too: the packed weights stand in place of the plain.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

_PATIENCE = 2  # calls of one other size in a row before weights are packed anew: sizes may take turns at each step

# Packed for a single row, weights make oneDNN add up in another order: what a row gives would depend on whether
# one or several came first.
_LEAST_ROWS = 2

Publish = Callable[[nn.Parameter], None]
"""Told of the packed weight, for others who share it."""


class _Packing:
    """What a packed layer remembers: for which size its weights are packed, and who shares them."""

    def __init__(self, publish: Publish) -> None:
        self.size: torch.Size | None = None
        self._last: torch.Size | None = None
        self._times = 0
        self._publish = publish

    def wants(self, weight: Tensor, size: torch.Size) -> bool:
        """Whether the weights should be packed for inputs of this size now."""
        if self.size is None and weight.is_mkldnn:  # packed by another network that shares them
            self.size = size
        self._times = self._times + 1 if size == self._last else 1
        self._last = size
        return size != self.size and (self.size is None or self._times > _PATIENCE)

    def packed(self, layer: nn.Module, weight: Tensor, size: torch.Size) -> Tensor:
        """The weight, which is the layer's from now on."""
        parameter = nn.Parameter(weight, requires_grad=False)
        layer._parameters["weight"] = parameter  # the setter of modules refuses another layout
        self.size = size
        self._publish(parameter)
        return parameter


class PackedConv2d(nn.Conv2d):
    """A convolution (B, C, H, W) whose weights are packed at its first call."""

    packing: _Packing

    def forward(self, input: Tensor) -> Tensor:
        """The convolved input."""
        weight: Tensor = self.weight
        if self.packing.wants(weight, input.shape):
            plain = weight.to_dense() if weight.is_mkldnn else weight
            reordered: Tensor = torch.ops.mkldnn._reorder_convolution_weight(
                plain, self.padding, self.stride, self.dilation, self.groups, input.shape
            )
            weight = self.packing.packed(self, reordered, input.shape)
        result: Tensor = torch.ops.mkldnn._convolution_pointwise(
            input, weight, self.bias, self.padding, self.stride, self.dilation, self.groups, "none", [], ""
        )
        return result


class PackedLinear(nn.Linear):
    """A linear layer (…, C) whose weights are packed at its first call."""

    packing: _Packing

    def forward(self, input: Tensor) -> Tensor:
        """The projected input."""
        weight: Tensor = self.weight
        if self.packing.wants(weight, input.shape):
            plain = weight.to_dense() if weight.is_mkldnn else weight
            rows = max(input.numel() // input.shape[-1], _LEAST_ROWS)
            reordered: Tensor = torch.ops.mkldnn._reorder_linear_weight(plain, rows)
            weight = self.packing.packed(self, reordered, input.shape)
        result: Tensor = torch.ops.mkldnn._linear_pointwise(input, weight, self.bias, "none", [], "")
        return result


_PACKED: dict[type[nn.Module], type[nn.Module]] = {nn.Conv2d: PackedConv2d, nn.Linear: PackedLinear}


def can_pack(device: str, dtype: torch.dtype) -> bool:
    """Whether packed layers compute on this device in this dtype."""
    available = torch._C._has_mkldnn and hasattr(torch.ops.mkldnn, "_reorder_convolution_weight")
    return available and dtype == torch.float32 and torch.device(device).type == "cpu"


def pack(module: nn.Module, publish: Callable[[str], Publish]) -> None:
    """Let the convolutions and linear layers of the module pack their weights when they are called.

    Convolutions with another padding than zeros stay as they are, and so does every subclass of a library's own.
    publish(name of a parameter) gives the function that is told of its packed form.
    """
    for name, layer in module.named_modules():
        kind = type(layer)
        if kind in _PACKED and getattr(layer, "padding_mode", "zeros") == "zeros":
            if isinstance(getattr(layer, "padding", ()), str):
                continue
            # The layer stays itself, with its parameters, hooks and name; only its call is another.
            layer.__class__ = _PACKED[kind]
        if isinstance(layer, PackedConv2d | PackedLinear):
            layer.packing = _Packing(publish(f"{name}.weight"))
