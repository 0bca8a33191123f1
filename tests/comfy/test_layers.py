"""comfy.ops: layers of packs' own models."""

from typing import Any

import pytest
import torch
from torch import nn

from graphengine_comfy.comfy import ops

LAYERS: dict[str, tuple[tuple[Any, ...], tuple[int, ...]]] = {
    "Linear": ((4, 3), (2, 4)),
    "Conv1d": ((4, 3, 3), (1, 4, 8)),
    "Conv2d": ((4, 3, 3), (1, 4, 8, 8)),
    "Conv3d": ((4, 3, 3), (1, 4, 8, 8, 8)),
    "GroupNorm": ((2, 4), (1, 4, 8)),
    "LayerNorm": ((4,), (2, 4)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_computes_in_the_type_of_its_input_whatever_its_weights_are(name: str) -> None:
    arguments, shape = LAYERS[name]
    plain = getattr(nn, name)(*arguments)
    layer = getattr(ops.manual_cast, name)(*arguments, dtype=torch.float16)
    layer.load_state_dict(plain.state_dict())
    plain.load_state_dict(layer.state_dict())  # the same numbers, rounded
    x = torch.rand(shape)
    assert torch.allclose(layer(x), plain(x), atol=1e-6)


def test_layers_are_made_without_numbers_and_take_those_of_a_file() -> None:
    plain = nn.Embedding(3, 2)
    layer = ops.disable_weight_init.Embedding(3, 2)
    layer.load_state_dict(plain.state_dict())
    assert torch.equal(layer(torch.tensor([2, 0])), plain(torch.tensor([2, 0])))


def test_layers_cast_only_when_the_types_differ() -> None:
    assert ops.pick_operations(torch.float16, torch.float32) is ops.manual_cast
    assert ops.pick_operations(torch.float32, torch.float32) is ops.disable_weight_init
    assert ops.pick_operations(torch.float32, None) is ops.disable_weight_init
