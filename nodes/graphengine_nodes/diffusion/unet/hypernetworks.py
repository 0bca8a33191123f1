"""Hypernetworks: small networks that change what the attentions of a UNet make keys and values of.

For states x of a width that the file has networks for, keys are made of x + strength · f(x) and values of
x + strength · g(x), in every attention. f and g are stacks of linear layers with one activation function between
them, and sometimes norms behind it, as in the web UI that brought them up.

Its files of `torch.save` are read, and safetensors files with the same tensors and settings:
names are `<width>.0.linear.<n>.weight` for f and `<width>.1.linear.<n>.weight` for g, in the order of n, with
`.bias`; the metadata hold "activation_func" ("linear", "relu", …) and "activate_output" ("true", "false").
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from graphengine.node.api import ModelError
from graphengine_nodes.diffusion.model.model import DiffusionModel
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint, open_checkpoint

_ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    "relu": F.relu,
    "leakyrelu": F.leaky_relu,
    "elu": F.elu,
    "swish": F.hardswish,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softsign": F.softsign,
    "mish": F.mish,
}
_NAME = re.compile(r"(?P<width>\d{1,6})\.(?P<side>[01])\.(?:\w+\.)?(?P<number>\d{1,3})\.(?P<part>weight|bias)")
_FAMILIES = frozenset({"sd1", "sd2", "sdxl", "sdxl_refiner"})


@dataclass(frozen=True, slots=True)
class Layer:
    """A linear layer, or a norm where the weight has one dimension."""

    weight: Tensor
    bias: Tensor


@dataclass(frozen=True, slots=True)
class Stack:
    """Layers in their order: (…, width) → (…, width)."""

    layers: tuple[Layer, ...]
    activation: str
    activate_output: bool

    def __call__(self, x: Tensor) -> Tensor:
        """The result, of the shape, dtype and device of x."""
        last = max(number for number, layer in enumerate(self.layers) if layer.weight.ndim == 2)
        for number, layer in enumerate(self.layers):
            weight, bias = layer.weight.to(x), layer.bias.to(x)
            if weight.ndim == 1:
                x = F.layer_norm(x, weight.shape, weight, bias)
                continue
            x = F.linear(x, weight, bias)
            if number != last or self.activate_output:
                x = _ACTIVATIONS[self.activation](x)
        return x


@dataclass(frozen=True, slots=True)
class Hypernetwork:
    """A patch of attentions: networks for keys and for values by the width of the states."""

    stacks: Mapping[int, tuple[Stack, Stack]]
    strength: float

    def __call__(self, n: Tensor, context: Tensor, value: Tensor | None, options: Any) -> tuple[Tensor, ...]:
        """What queries, keys and values are made of; options, those of the attention, are not used."""
        value = context if value is None else value
        pair = self.stacks.get(context.shape[-1])
        if pair is None:
            return n, context, value
        return n, context + pair[0](context) * self.strength, value + pair[1](value) * self.strength


def apply_hypernetwork(model: DiffusionModel, path: Path, strength: float) -> DiffusionModel:
    """The MODEL with a hypernetwork in all its attentions.

    Raises:
        ModelError: the file is damaged or no hypernetwork, or the MODEL has no UNet.
    """
    if model.network.family not in _FAMILIES:
        raise ModelError(f"a model of the family {model.network.family!r} has no place for a hypernetwork")
    patch = Hypernetwork(read_hypernetwork(open_checkpoint(path)), strength)
    patched = model.clone()
    patched.set_model_attn1_patch(patch)
    patched.set_model_attn2_patch(patch)
    return patched


def read_hypernetwork(checkpoint: Checkpoint) -> dict[int, tuple[Stack, Stack]]:
    """The networks for keys and values by width.

    Raises:
        ModelError: the file holds something else, an unknown activation, or layers that do not fit each other.
    """
    file = checkpoint.path.name
    activation = checkpoint.metadata.get("activation_func", "linear")
    activates_output = checkpoint.metadata.get("activate_output", "false").lower() == "true"
    if activation not in _ACTIVATIONS:
        raise ModelError(
            f"hypernetwork {file!r} has the unknown activation {activation!r}",
            hint=f"known are {', '.join(_ACTIVATIONS)}",
        )
    tensors: dict[tuple[int, int], dict[int, dict[str, Tensor]]] = defaultdict(lambda: defaultdict(dict))
    for name, info in checkpoint.entries.items():
        found = _NAME.fullmatch(name)
        if found:
            layers = tensors[int(found["width"]), int(found["side"])]
            layers[int(found["number"])][found["part"]] = checkpoint.tensor(info)
    widths = {width for width, _ in tensors}
    if not widths:
        raise ModelError(f"model file {file!r} is no hypernetwork: it has no tensors like '768.0.linear.0.weight'")
    return {
        width: (
            _stack(file, width, tensors[width, 0], activation, activates_output),
            _stack(file, width, tensors[width, 1], activation, activates_output),
        )
        for width in widths
    }


def _stack(
    file: str, width: int, parts: Mapping[int, Mapping[str, Tensor]], activation: str, activates_output: bool
) -> Stack:
    layers, before = [], width
    for _, layer in sorted(parts.items()):
        weight, bias = layer.get("weight"), layer.get("bias")
        fits = weight is not None and bias is not None and weight.ndim in (1, 2) and weight.shape[-1] == before
        if weight is None or bias is None or not fits or bias.shape != weight.shape[:1]:
            raise ModelError(f"hypernetwork {file!r} is damaged: layers for the width {width} do not fit")
        before = weight.shape[0]
        layers.append(Layer(weight, bias))
    if before != width or not any(layer.weight.ndim == 2 for layer in layers):
        raise ModelError(f"hypernetwork {file!r} is damaged: layers for the width {width} do not fit")
    return Stack(tuple(layers), activation, activates_output)
