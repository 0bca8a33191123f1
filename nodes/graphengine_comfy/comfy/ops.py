"""Layers for models of packs: without initial numbers, as weights are loaded, and with weights cast when used."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from graphengine_comfy._placeholders import placeholders_of


# Any throughout: layers, and the options of packs.
def cast_bias_weight(
    s: Any,
    input: Tensor | None = None,
    dtype: Any = None,
    device: Any = None,
    bias_dtype: Any = None,
    **options: Any,
) -> tuple[Any, Any]:
    """Weight and bias of a layer in the type and on the device of its input, or those that are given."""
    if input is not None:
        dtype, device = dtype or input.dtype, device or input.device
    weight = None if s.weight is None else s.weight.to(device, dtype)
    bias = None if s.bias is None else s.bias.to(device, bias_dtype or dtype)
    return weight, bias


class _Loaded:
    """A layer whose numbers come from a file."""

    def reset_parameters(self) -> None:
        """Leave memory as it is."""


class disable_weight_init:
    """Layers of torch without initial numbers."""

    class Linear(_Loaded, nn.Linear):
        """A linear layer."""

    class Conv1d(_Loaded, nn.Conv1d):
        """A convolution over one axis."""

    class Conv2d(_Loaded, nn.Conv2d):
        """A convolution over two axes."""

    class Conv3d(_Loaded, nn.Conv3d):
        """A convolution over three axes."""

    class GroupNorm(_Loaded, nn.GroupNorm):
        """Normalisation of groups of channels."""

    class LayerNorm(_Loaded, nn.LayerNorm):
        """Normalisation of the last axes."""

    class Embedding(_Loaded, nn.Embedding):
        """Vectors for numbers."""


class manual_cast(disable_weight_init):
    """The same layers, which compute in the type and on the device of their input."""

    class Linear(disable_weight_init.Linear):
        """A linear layer."""

        def forward(self, input: Tensor) -> Tensor:
            """(…, in) → (…, out)."""
            return functional.linear(input, *cast_bias_weight(self, input))

    class Conv1d(disable_weight_init.Conv1d):
        """A convolution over one axis."""

        def forward(self, input: Tensor) -> Tensor:
            """(B, in, L) → (B, out, L)."""
            made: Tensor = self._conv_forward(input, *cast_bias_weight(self, input))
            return made

    class Conv2d(disable_weight_init.Conv2d):
        """A convolution over two axes."""

        def forward(self, input: Tensor) -> Tensor:
            """(B, in, H, W) → (B, out, H, W)."""
            made: Tensor = self._conv_forward(input, *cast_bias_weight(self, input))
            return made

    class Conv3d(disable_weight_init.Conv3d):
        """A convolution over three axes."""

        def forward(self, input: Tensor) -> Tensor:
            """(B, in, T, H, W) → (B, out, T, H, W)."""
            made: Tensor = self._conv_forward(input, *cast_bias_weight(self, input))
            return made

    class GroupNorm(disable_weight_init.GroupNorm):
        """Normalisation of groups of channels."""

        def forward(self, input: Tensor) -> Tensor:
            """Shaped like the input."""
            return functional.group_norm(input, self.num_groups, *cast_bias_weight(self, input), eps=self.eps)

    class LayerNorm(disable_weight_init.LayerNorm):
        """Normalisation of the last axes."""

        def forward(self, input: Tensor) -> Tensor:
            """Shaped like the input."""
            shape = list(self.normalized_shape)
            return functional.layer_norm(input, shape, *cast_bias_weight(self, input), eps=self.eps)


def pick_operations(
    weight_dtype: Any, compute_dtype: torch.dtype | None, **options: Any
) -> type[disable_weight_init]:
    """The layers to make a model of: those that cast when it computes in another type than its weights have."""
    return disable_weight_init if compute_dtype in (None, weight_dtype) else manual_cast


__getattr__ = placeholders_of(__name__)
