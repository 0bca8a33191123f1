"""Nodes that only calculate with pictures, masks and latents take them in any size, and leave them as they are."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from graphengine.node.api import GraphEngineError
from graphengine.node.comfy_classes import define
from graphengine.node.definition import NodeDefinition
from graphengine_nodes import image, latent, mask

# Any throughout: inputs of every node.

_TENSORS = {"IMAGE", "MASK", "LATENT"}
_WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
_CLASSES: Mapping[str, Any] = {
    **image.NODE_CLASS_MAPPINGS,
    **mask.NODE_CLASS_MAPPINGS,
    **latent.NODE_CLASS_MAPPINGS,
}
#: Nodes that refuse values of different sizes, and how.
_ONE_SIZE = {"LatentConcat": "do not fit along 'x'", "ImageYUVToRGB": "'Y', 'U' and 'V' have different sizes"}
#: Batch, height, width of the first value of its type, and of the others.
SIZES = {
    "one pixel": ((1, 1, 1), (1, 1, 1)),
    "odd sides and three pictures": ((3, 7, 5), (3, 7, 5)),
    "another size": ((3, 5, 9), (3, 2, 3)),
    "one beside three": ((3, 4, 6), (1, 4, 6)),
    "three beside one": ((1, 4, 6), (3, 4, 6)),
}


def calculating() -> Iterator[str]:
    """The nodes whose inputs are widgets, pictures, masks and latents alone."""
    for name, node_class in _CLASSES.items():
        definition = define(name, node_class)
        types = {spec.type for spec in definition.inputs.values()}
        if types & _TENSORS and types <= _TENSORS | _WIDGETS and not definition.hidden:
            yield name


def default(options: Mapping[str, Any], choices: Any) -> Any:
    """The value that a fresh node shows."""
    return options.get("default", choices[0] if choices else 0)


def inputs_of(
    definition: NodeDefinition, channels: int, sizes: tuple[tuple[int, int, int], ...]
) -> dict[str, Any]:
    """Values for every input; the first tensor has the first size."""
    generator = torch.Generator().manual_seed(1)
    made, rest = {}, iter(sizes)
    for spec in definition.inputs.values():
        if spec.type in _TENSORS:
            batch, height, width = next(rest, sizes[-1])
            shape = {"IMAGE": (batch, height, width, channels), "MASK": (batch, height, width)}.get(
                spec.type, (batch, channels, height, width)
            )
            values = torch.rand(shape, generator=generator)
            made[spec.name] = {"samples": values} if spec.type == "LATENT" else values
        else:
            made[spec.name] = default(spec.options, spec.choices)
    return made


def tensors(value: Any) -> list[Tensor]:
    """All tensors in inputs or outputs."""
    if isinstance(value, Tensor):
        return [value]
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [found for member in members for found in tensors(member)]


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("name", list(calculating()))
def test_a_node_takes_any_size_and_leaves_its_inputs(
    name: str, sizes: tuple[tuple[int, int, int], ...], channels: int
) -> None:
    node_class = _CLASSES[name]
    inputs = inputs_of(define(name, node_class), channels, sizes)
    if getattr(node_class, "INPUT_IS_LIST", False):
        inputs = {name: [value] for name, value in inputs.items()}
    before = [tensor.clone() for tensor in tensors(inputs)]
    if name in _ONE_SIZE and sizes[0][1:] != sizes[1][1:]:
        with pytest.raises(GraphEngineError, match=_ONE_SIZE[name]):
            getattr(node_class(), node_class.FUNCTION)(**inputs)
        return
    outputs = getattr(node_class(), node_class.FUNCTION)(**inputs)
    for tensor in tensors(outputs):
        assert tensor.dtype == torch.float32
        assert tensor.numel() > 0 or name in ("LatentCrop", "TrimVideoLatent")
        assert tensor.isfinite().all()
    assert all(torch.equal(now, then) for now, then in zip(tensors(inputs), before, strict=True))


def test_most_nodes_are_looked_at() -> None:
    assert len(list(calculating())) > 45
