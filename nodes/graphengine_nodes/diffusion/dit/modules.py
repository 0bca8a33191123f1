"""Building the modules of diffusers without weights, and the few of their layers that files order differently."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def without_warnings() -> Iterator[None]:
    """Without the warnings that the libraries give of their own parts while they are imported and built."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def diffusers_class(name: str, module: str = "diffusers") -> Any:  # Any: the class is chosen by name
    """A class of diffusers."""
    from importlib import import_module

    with without_warnings():
        return getattr(import_module(module), name)  # heavy: seconds to import


def on_meta(make: Any, **config: Any) -> Any:
    """The module of these sizes without weights: nothing is allocated."""
    with without_warnings(), torch.device("meta"):
        return make(**config)


class ShiftFirst(nn.Module):
    """An adaptive norm whose projection gives the shift before the scale, as the files have it.

    diffusers' AdaLayerNormContinuous wants them the other way round; swapping the rows would copy the weight.
    """

    def __init__(self, norm: Any) -> None:
        super().__init__()
        self.linear, self.norm = norm.linear, getattr(norm, "norm", nn.Identity())

    def forward(self, x: Tensor, conditioning: Tensor) -> Tensor:
        """x (B, T, D), conditioning (B, D) → (B, T, D)."""
        shift, scale = self.linear(nn.functional.silu(conditioning).to(x.dtype)).chunk(2, dim=1)
        normed: Tensor = self.norm(x) * (1 + scale)[:, None, :] + shift[:, None, :]
        return normed


class GateFirst(nn.Module):
    """A gated layer whose projection gives the gate before what it lets through, as the files have it.

    diffusers' SwiGLU wants them the other way round; swapping the rows would copy the weight.
    """

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.proj = layer.proj

    def forward(self, x: Tensor) -> Tensor:
        """x (B, T, D) → (B, T, inner)."""
        gate, passed = self.proj(x).chunk(2, dim=-1)
        gated: Tensor = nn.functional.silu(gate) * passed
        return gated


def buffer_as_parameter(owner: nn.Module, name: str, shape: tuple[int, ...]) -> None:
    """Make a table of the module, which a file holds among its weights, one of its parameters."""
    delattr(owner, name)
    owner.register_parameter(name, nn.Parameter(torch.empty(shape, device="meta")))
