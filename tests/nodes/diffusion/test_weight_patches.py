from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from graphengine_nodes.diffusion.model.model import DiffusionModel
from graphengine_nodes.diffusion.weights.weights import Place

from . import weight_cases

NAME = "diffusion_model.qkv.weight"
SHAPES = {"q.weight": (2, 3), "k.weight": (2, 3), "v.weight": (2, 3), "out.weight": (3, 2, 1, 1)}
SOURCES = {
    "qkv.weight": (Place("q.weight", slice(0, 2)), Place("k.weight", slice(2, 4)), Place("v.weight", slice(4, 6))),
    "out.weight": (Place("out.weight"),),
}


@pytest.fixture
def model(tmp_path: Path) -> DiffusionModel:
    return weight_cases.model(weight_cases.component(tmp_path, SHAPES, SOURCES))


def weights(model: DiffusionModel, name: str = NAME) -> Tensor:
    found: Tensor = model.model_state_dict()[name]
    return found


def patched(model: DiffusionModel, patch: Any, *strengths: float, key: Any = NAME) -> DiffusionModel:
    clone = model.clone()
    assert clone.add_patches({key: patch, "diffusion_model.other": patch}, *strengths) == [key]
    return clone


def test_the_weights_have_the_names_and_shapes_of_the_file(model: DiffusionModel) -> None:
    found = model.model_state_dict()
    assert {name: tuple(weight.shape) for name, weight in found.items()} == {
        "diffusion_model.qkv.weight": (6, 3),
        "diffusion_model.out.weight": (3, 2, 1, 1),
    }
    assert model.model_state_dict("diffusion_model.out").keys() == {"diffusion_model.out.weight"}


@pytest.mark.parametrize("form", [lambda d: (d,), lambda d: ("diff", (d,))])
def test_a_difference_is_added_by_its_strength(form: Any, model: DiffusionModel) -> None:
    difference = weight_cases.random(6, 3)
    changed = patched(model, form(difference), 0.5, 0.25)
    torch.testing.assert_close(weights(changed), weights(model) * 0.25 + difference * 0.5)


def test_nothing_but_the_models_own_strength_counts_without_a_difference(model: DiffusionModel) -> None:
    torch.testing.assert_close(weights(patched(model, (None,), 0.0, 3.0)), weights(model) * 3)


def test_a_weight_is_set(model: DiffusionModel) -> None:
    given = weight_cases.random(6, 3)
    assert torch.equal(weights(patched(model, ("set", (given,)))), given)


def test_low_rank_factors_are_multiplied(model: DiffusionModel) -> None:
    up, down = weight_cases.random(6, 2), weight_cases.random(2, 3, seed=1)
    changed = patched(model, ("lora", (up, down, 1.0, None, None)), 0.5)
    torch.testing.assert_close(weights(changed), weights(model) + 0.5 * (1.0 / 2) * (up @ down))


def test_convolutions_take_differences_of_their_shape(model: DiffusionModel) -> None:
    up, down = weight_cases.random(3, 1, 1, 1), weight_cases.random(1, 2, 1, 1, seed=1)
    key = "diffusion_model.out.weight"
    changed = patched(model, ("lora", (up, down, None, None)), key=key)
    expected = weights(model, key) + (up.flatten(1) @ down.flatten(1)).reshape(3, 2, 1, 1)
    torch.testing.assert_close(weights(changed, key), expected)


def test_a_part_of_a_weight_may_be_changed(model: DiffusionModel) -> None:
    key = "diffusion_model.out.weight"
    changed = patched(model, (torch.ones(1, 2, 1, 1),), 2.0, 1.0, key=(key, (0, 1, 1)))
    before, after = weights(model, key), weights(changed, key)
    torch.testing.assert_close(after[1], before[1] + 2.0)
    assert torch.equal(after[[0, 2]], before[[0, 2]])


def test_a_model_is_mixed_with_another_as_packs_do(tmp_path: Path, model: DiffusionModel) -> None:
    other = weight_cases.model(weight_cases.component(tmp_path, SHAPES, SOURCES, seed=9))
    mixed = model.clone()
    patches = other.get_key_patches("diffusion_model.")
    for name in patches:
        mixed.add_patches({name: patches[name]}, 0.75, 0.25)
    for name, weight in mixed.model_state_dict().items():
        torch.testing.assert_close(weight, 0.25 * weights(model, name) + 0.75 * weights(other, name))


def test_patches_come_in_turn_and_leave_the_model(model: DiffusionModel) -> None:
    before = weights(model)
    twice = patched(patched(model, (torch.ones(6, 3),)), (None,), 0.0, 2.0)
    torch.testing.assert_close(weights(twice), (before + 1) * 2)
    assert torch.equal(weights(model), before)


@pytest.mark.parametrize("patch", [("glora", (torch.ones(1),)), "text", ("diff",)])
def test_a_patch_of_another_kind_is_named(patch: Any, model: DiffusionModel) -> None:
    with pytest.raises(ValueError, match=r"qkv\.weight.* of kind"):
        model.clone().add_patches({NAME: patch})


def test_a_pack_chooses_the_precision(model: DiffusionModel) -> None:
    half = model.clone()
    half.set_model_compute_dtype(torch.float16)
    assert half.model_dtype() == torch.float16
    assert half.size == model.size // 2


def test_a_model_knows_its_size(model: DiffusionModel) -> None:
    assert model.size == model.model_size() == (3 * 6 + 6) * 4
    assert model.model_dtype() == torch.float32
    assert model.is_clone(model.clone())
    assert not model.is_clone(patched(model, (None,)))
