"""What the tensors of an adapter file do to a weight: one adapter per format, checked when it is made.

The endings of names are told apart in `lora_tensors`; the mathematics is in `lora_formulas`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Protocol

import torch
from torch import Tensor

from graphengine_nodes.diffusion.model import lora_formulas as formulas

from .tensors import Shape, Tensors, sorted_tensors


class Adapter(Protocol):
    """What a file does to one weight (target "weight") or to its bias (target "bias").

    size: how many outputs the weight has, and how many numbers for each of them; None when any number fits.
    by_rows: whether some outputs of the weight can be changed without knowing the others.
    """

    @property
    def target(self) -> str:
        """ "weight" or "bias"."""

    @property
    def size(self) -> tuple[int, int | None]:
        """Outputs, and numbers for each."""

    @property
    def by_rows(self) -> bool:
        """Whether rows can be changed alone."""

    def changed(self, weight: Tensor, strength: float, rows: slice | None) -> Tensor:
        """The changed weight, of the same shape; float32.

        rows: which outputs of the adapter's weight the given weight has; None for all.

        Raises:
            ModelError: the file holds numbers that are not finite.
        """


Delta = Callable[[Tensors, torch.device, slice | None], Tensor]
"""What is added to a weight, for some of its rows; a new tensor of any shape with their numbers."""


@dataclass(frozen=True, slots=True)
class Additive:
    """W + strength · ΔW, or the DoRA of it: W + strength · (DoRA - W)."""

    tensors: Tensors
    size: tuple[int, int | None]
    scale: float
    delta: Delta
    target: str = "weight"

    def __post_init__(self) -> None:
        """Check that a magnitude belongs to the outputs or to the inputs.

        Raises:
            ModelError: it belongs to neither.
        """
        if self.target == "weight" and "dora_scale" in self.tensors:
            shape, (outputs, each) = self.tensors.shape("dora_scale"), self.size
            count = prod(shape)
            of_inputs = shape[0] == 1 and each is not None and each % count == 0
            self.tensors.require(count == shape[0] == outputs or of_inputs, "dora_scale")

    @property
    def by_rows(self) -> bool:
        """Not when a magnitude belongs to the inputs."""
        plain = self.target == "bias" or "dora_scale" not in self.tensors
        if plain:
            return True
        shape = self.tensors.shape("dora_scale")
        return shape[0] == prod(shape) == self.size[0]

    def changed(self, weight: Tensor, strength: float, rows: slice | None) -> Tensor:
        """The changed weight."""
        delta = self.delta(self.tensors, weight.device, rows).reshape(weight.shape)
        if self.target == "bias" or "dora_scale" not in self.tensors:
            return delta.mul_(strength * self.scale).add_(weight)
        magnitude = self.tensors.value("dora_scale", weight.device)
        magnitude = magnitude if rows is None else magnitude.reshape(-1, 1)[rows]
        decomposed = formulas.decomposed(weight, delta.mul_(self.scale), magnitude)
        return decomposed if strength == 1 else weight + (decomposed - weight) * strength


def _in_rows(delta: Callable[[Tensors, torch.device], Tensor], outputs: int) -> Delta:
    """A delta that is computed whole."""

    def part(tensors: Tensors, device: torch.device, rows: slice | None) -> Tensor:
        whole = delta(tensors, device)
        return whole if rows is None else whole.reshape(outputs, -1)[rows]

    return part


def _low_rank(tensors: Tensors) -> Adapter:
    up, down = tensors.matrix("up"), tensors.shape("down", at_least=2)
    kernel = prod(down[2:])
    if "middle" in tensors:
        middle = tensors.shape("middle", at_least=2)
        tensors.require(middle[:2] == (up[1], down[0]) and kernel == 1, "up", "middle", "down")
        kernel = prod(middle[2:])
    else:
        tensors.require(up[1] == down[0], "up", "down")

    def delta(tensors: Tensors, device: torch.device, rows: slice | None) -> Tensor:
        middle = tensors.value("middle", device) if "middle" in tensors else None
        up, down = tensors.value("up", device), tensors.value("down", device)
        up = up if rows is None else up[rows]
        return formulas.low_rank(up, down if middle is None else down.flatten(1), middle)

    return Additive(tensors, (up[0], down[1] * kernel), tensors.scale(down[0]), delta)


def _hadamard(tensors: Tensors) -> Adapter:
    names = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")
    if "hada_t1" in tensors or "hada_t2" in tensors:
        return _hadamard_with_cores(tensors, names)
    (a, c), (b, d) = (
        (tensors.matrix(name) for name in names[::2]),
        (tensors.shape(n, at_least=2) for n in names[1::2]),
    )
    tensors.require((a[1], c[1]) == (b[0], d[0]) and (a[0], prod(b[1:])) == (c[0], prod(d[1:])), *names)
    return Additive(tensors, (a[0], prod(b[1:])), tensors.scale(b[0]), _in_rows(_hadamard_delta, a[0]))


def _hadamard_with_cores(tensors: Tensors, names: Sequence[str]) -> Adapter:
    a, b, c, d = (tensors.matrix(name) for name in names)
    first, second = (tensors.shape(name, at_least=2) for name in ("hada_t1", "hada_t2"))
    tensors.require(first[:2] == (a[0], b[0]) and second[:2] == (c[0], d[0]), "hada_t1", "hada_t2", *names)
    tensors.require((a[1], b[1], first[2:]) == (c[1], d[1], second[2:]), "hada_t1", "hada_t2", *names)
    size = a[1], b[1] * prod(first[2:])
    return Additive(tensors, size, tensors.scale(b[0]), _in_rows(_hadamard_tucker, size[0]))


def _hadamard_delta(tensors: Tensors, device: torch.device) -> Tensor:
    a, b, c, d = (tensors.value(f"hada_{name}", device) for name in ("w1_a", "w1_b", "w2_a", "w2_b"))
    return formulas.hadamard((a, b), (c, d))


def _hadamard_tucker(tensors: Tensors, device: torch.device) -> Tensor:
    first, second = (
        formulas.tucker(*(tensors.value(f"hada_{name}", device) for name in names))
        for names in (("t1", "w1_a", "w1_b"), ("t2", "w2_a", "w2_b"))
    )
    return first * second


def _kronecker(tensors: Tensors) -> Adapter:
    first, rank_1 = _kronecker_factor(tensors, "lokr_w1")
    second, rank_2 = _kronecker_factor(tensors, "lokr_w2")
    size = first[0] * second[0], prod(first[1:]) * prod(second[1:])
    return Additive(tensors, size, tensors.scale(rank_2 or rank_1), _in_rows(_kronecker_delta, size[0]))


def _kronecker_factor(tensors: Tensors, name: str) -> tuple[Shape, int | None]:
    """Shape of a factor, and its rank when it is a product itself."""
    if name in tensors:
        return tensors.shape(name, at_least=2), None
    a, b = tensors.matrix(f"{name}_a"), tensors.shape(f"{name}_b", at_least=2)
    if name == "lokr_w2" and "lokr_t2" in tensors:
        b = tensors.matrix(f"{name}_b")
        core = tensors.shape("lokr_t2", at_least=2)
        tensors.require(core[:2] == (a[0], b[0]), "lokr_t2", f"{name}_a", f"{name}_b")
        return (a[1], b[1], *core[2:]), b[0]
    tensors.require(a[1] == b[0], f"{name}_a", f"{name}_b")
    return (a[0], *b[1:]), b[0]


def _kronecker_delta(tensors: Tensors, device: torch.device) -> Tensor:
    factors = []
    for name in ("lokr_w1", "lokr_w2"):
        shape, _ = _kronecker_factor(tensors, name)
        if name in tensors:
            factor = tensors.value(name, device)
        elif name == "lokr_w2" and "lokr_t2" in tensors:
            factor = formulas.tucker(*(tensors.value(f"lokr_{part}", device) for part in ("t2", "w2_a", "w2_b")))
        else:
            factor = formulas.low_rank(tensors.value(f"{name}_a", device), tensors.value(f"{name}_b", device))
        factors.append(factor.reshape(shape))
    return formulas.kronecker(factors[0], factors[1])


def _difference(tensors: Tensors) -> Adapter:
    return _stored(tensors, "diff", "weight")


def _bias(tensors: Tensors) -> Adapter:
    return _stored(tensors, "diff_b", "bias")


def _stored(tensors: Tensors, role: str, target: str) -> Adapter:
    shape = tensors.shape(role)
    delta = _in_rows(lambda given, device: given.value(role, device).clone(), shape[0])
    return Additive(tensors, (shape[0], prod(shape[1:])), 1.0, delta, target)


@dataclass(frozen=True, slots=True)
class Generalized:
    """W + strength · alpha / rank · (W · A + B), GLoRA."""

    tensors: Tensors
    size: tuple[int, int | None]
    by_rows: bool = True
    target: str = "weight"

    def changed(self, weight: Tensor, strength: float, rows: slice | None) -> Tensor:
        """The changed weight."""
        names = ["a1", "a2", "b1", "b2"]
        a1, a2, b1, b2 = (self.tensors.value(name, weight.device) for name in names)
        middle = self.tensors.value("bm", weight.device) if "bm" in self.tensors else None
        outer = formulas.low_rank(b1, b2 if middle is None else b2.flatten(1), middle)
        outer = outer if rows is None else outer.flatten(1)[rows]
        scale = strength * self.tensors.scale(a2.shape[0])
        return weight + formulas.generalized(weight, (a1, a2), outer) * scale


def _generalized(tensors: Tensors) -> Adapter:
    a1, a2, b1 = (tensors.matrix(name) for name in ("a1", "a2", "b1"))
    b2 = tensors.shape("b2", at_least=2)
    tensors.require((a1[1], a1[0]) == a2, "a1", "a2")
    rank, kernel = b2[0], prod(b2[2:])
    if "bm" in tensors:
        middle = tensors.shape("bm", at_least=2)
        tensors.require(middle[:2] == (b1[1], b2[0]) and kernel == 1, "bm", "b1", "b2")
        rank, kernel = middle[0], prod(middle[2:])
    tensors.require(b1[1] == rank and b2[1] == a1[0], "a1", "b1", "b2")
    return Generalized(tensors, (b1[0], b2[1] * kernel))


@dataclass(frozen=True, slots=True)
class Rotated:
    """R · W: Diag-OFT with blocks (n, b, b), BOFT with (m, n, b, b); strength mixes in the rescaling too."""

    tensors: Tensors
    size: tuple[int, int | None]
    by_rows: bool = False
    target: str = "weight"

    def changed(self, weight: Tensor, strength: float, rows: slice | None) -> Tensor:
        """The changed weight; rows is always None."""
        blocks = self.tensors.value("oft_blocks", weight.device)
        turn = formulas.rotated if blocks.ndim == 3 else formulas.butterfly
        # LyCORIS writes the limit for one output as alpha.
        limit = (self.tensors.number("alpha") or 0.0) * self.size[0]
        changed = turn(weight, blocks, strength, limit)
        if "rescale" not in self.tensors:
            return changed
        rescale = self.tensors.value("rescale", weight.device).reshape(-1, *[1] * (weight.ndim - 1))
        return changed * (1 + (rescale - 1) * strength)


def _rotated(tensors: Tensors) -> Adapter:
    blocks = tensors.shape("oft_blocks", at_least=3)
    size = blocks[-1]
    butterfly = len(blocks) == 4
    tensors.require(len(blocks) in (3, 4) and blocks[-2] == size and not (butterfly and size % 2), "oft_blocks")
    outputs = blocks[-3] * size
    layers = blocks[0] if butterfly else 1
    tensors.require(outputs % (2 ** (layers - 1) * size) == 0 or not butterfly, "oft_blocks")
    if "rescale" in tensors:
        tensors.require(prod(tensors.shape("rescale")) == outputs, "rescale", "oft_blocks")
    return Rotated(tensors, (outputs, None))


@dataclass(frozen=True, slots=True)
class Replaced:
    """The values of the file in place of the weight, whatever the strength."""

    tensors: Tensors
    size: tuple[int, int | None]
    by_rows: bool = True
    target: str = "weight"

    def changed(self, weight: Tensor, strength: float, rows: slice | None) -> Tensor:
        """The values of the file."""
        values = self.tensors.value("set_weight", weight.device)
        return (values if rows is None else values.reshape(self.size[0], -1)[rows]).reshape(weight.shape)


def _replaced(tensors: Tensors) -> Adapter:
    shape = tensors.shape("set_weight")
    return Replaced(tensors, (shape[0], prod(shape[1:])))


#: A role that shows which formula is meant → what makes the adapter of it.
_FORMULAS: Mapping[str, Callable[[Tensors], Adapter]] = {
    "up": _low_rank,
    "down": _low_rank,
    "hada_w1_a": _hadamard,
    "lokr_w1": _kronecker,
    "lokr_w1_a": _kronecker,
    "a1": _generalized,
    "oft_blocks": _rotated,
    "diff": _difference,
    "diff_b": _bias,
    "set_weight": _replaced,
}


@dataclass(frozen=True, slots=True)
class AdapterFile:
    """The adapters of a file by the stems they stand for, and the names of tensors that say nothing known."""

    file: str
    adapters: Mapping[str, Collection[Adapter]]
    unknown: Collection[str]


def read_adapters(file: str, tensors: Mapping[str, Tensor]) -> AdapterFile:
    """The adapters that tensors of these names are; file is for messages.

    Raises:
        ModelError: tensors are missing or have shapes that no formula can use.
    """
    by_stem, unknown = sorted_tensors(file, tensors)
    adapters = {}
    for of_stem in by_stem:
        roles = of_stem.names
        made = [make(of_stem) for make in dict.fromkeys(_FORMULAS[role] for role in roles if role in _FORMULAS)]
        if made:
            adapters[of_stem.stem] = made
        else:
            unknown.extend(name for role, name in roles.items() if role != "alpha")
    return AdapterFile(file, adapters, unknown)
