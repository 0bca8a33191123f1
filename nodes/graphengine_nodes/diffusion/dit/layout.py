"""Tensor names of a file → parameter names of a module, as tables of regular expressions.

A rule replaces part of a name. Braces in a replacement stand for several parameters that the file keeps as rows of
one tensor: `attn.{to_q|to_k|to_v}.weight`. Rows of a mapped tensor are a view, so nothing is copied.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType

from graphengine.node.api import ModelError

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]

Renames = Sequence[tuple[str, str]]
"""Pairs (pattern, replacement) for `re.sub`, done in this order."""

Parts = Callable[[str, int, int], Sequence[int]]
"""How many rows each parameter gets: (name in the file, rows of the tensor, number of parameters) → rows."""

Destination = tuple[str, slice | None]
"""A parameter, and the rows of the file's tensor that it consists of; None for all of them."""


def equal_parts(name: str, rows: int, count: int) -> Sequence[int]:
    """Rows in equal parts, the rest to the last one."""
    part = rows // count
    return [part] * (count - 1) + [rows - part * (count - 1)]


def destinations(
    shapes: Shapes, renames: Renames, parts: Parts = equal_parts
) -> dict[str, tuple[Destination, ...]]:
    """Where each tensor of the file goes; names that no rule knows stay as they are."""
    return {name: _places(name, shape, _renamed(name, renames), parts) for name, shape in shapes.items()}


def _renamed(name: str, renames: Renames) -> str:
    for pattern, replacement in renames:
        name = re.sub(pattern, replacement, name)
    return name


def _places(name: str, shape: Shape, new: str, parts: Parts) -> tuple[Destination, ...]:
    found = re.fullmatch(r"(.*)\{(.+)\}(.*)", new)
    if found is None:
        return ((new, None),)
    names = [found[1] + middle + found[3] for middle in found[2].split("|")]
    places, start = [], 0
    for target, rows in zip(names, parts(name, shape[0] if shape else 0, len(names)), strict=True):
        places.append((target, slice(start, start + rows)))
        start += rows
    return tuple(places)


class Reader:
    """Shapes of a file's tensors by name, with errors that name the file; metadata: texts of its header."""

    def __init__(self, file: str, shapes: Shapes, metadata: Mapping[str, str] = MappingProxyType({})) -> None:
        self.file = file
        self.shapes = shapes
        self.metadata = metadata

    def shape(self, name: str, dimensions: int | None = None) -> Shape:
        """The shape of a tensor.

        Raises:
            ModelError: it is missing, or has another number of dimensions.
        """
        shape = self.shapes.get(name)
        if shape is None:
            raise ModelError(f"model file {self.file!r} lacks tensor {name!r}", hint="the file is incomplete")
        if dimensions is not None and len(shape) != dimensions:
            raise self.impossible(f"tensor {name!r} has the shape {list(shape)}")
        return shape

    def count(self, pattern: str) -> int:
        """How many different numbers the group of the pattern matches at the start of a name."""
        return len(self.numbers(pattern))

    def numbers(self, pattern: str) -> tuple[int, ...]:
        """The different numbers that the group of the pattern matches at the start of a name, rising."""
        return tuple(sorted({int(found[1]) for name in self.shapes if (found := re.match(pattern, name))}))

    def has(self, name: str) -> bool:
        """Whether there is a tensor of this name."""
        return name in self.shapes

    def heads(self, width: int, size: int) -> int:
        """How many heads of this size a width has.

        Raises:
            ModelError: it is no multiple.
        """
        if size <= 0 or width <= 0 or width % size:
            raise self.impossible(f"the width {width} is no multiple of the head size {size}")
        return width // size

    def impossible(self, what: str) -> ModelError:
        """The error for sizes that fit no model of the family."""
        return ModelError(f"model file {self.file!r} has an unsupported layout: {what}")


def any_name(names: Collection[str], pattern: str) -> bool:
    """Whether the pattern is found in one of the names."""
    search = re.compile(pattern).search
    return any(search(name) for name in names)
