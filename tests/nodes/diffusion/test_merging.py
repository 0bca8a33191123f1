import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from graphengine.errors import ModelError
from graphengine_nodes.diffusion.lora.merging import (
    SUM,
    by_block,
    difference,
    interpolation,
    merged_clips,
    merged_models,
)
from graphengine_nodes.diffusion.model.model import DiffusionModel
from graphengine_nodes.diffusion.nodes.merging_nodes import NODE_CLASS_MAPPINGS
from graphengine_nodes.diffusion.weights.weights import Component, Place

from .weight_cases import clip, component, model, ready_weights

SHAPES = {"conv_in.weight": (3, 2), "mid_block.a.weight": (2, 2), "up_blocks.0.b.bias": (4,)}
SOURCES = {
    "input_blocks.0.0.weight": (Place("conv_in.weight"),),
    "middle_block.0.a.weight": (Place("mid_block.a.weight"),),
    "output_blocks.0.b.bias": (Place("up_blocks.0.b.bias"),),
}


@pytest.fixture
def first(tmp_path: Path) -> Component:
    return component(tmp_path, SHAPES, SOURCES, seed=1)


@pytest.fixture
def second(tmp_path: Path) -> Component:
    return component(tmp_path, SHAPES, SOURCES, seed=2)


def weights(merged: DiffusionModel) -> dict[str, Tensor]:
    return ready_weights(merged.network.component)


def equals(merged: DiffusionModel, expected: Callable[[str], Tensor]) -> bool:
    return all(torch.equal(weight, expected(name)) for name, weight in weights(merged).items())


def test_ratio_one_is_the_first_model_and_zero_the_second_bit_for_bit(first: Component, second: Component) -> None:
    models = model(first), model(second)
    assert equals(merged_models(*models, interpolation(1.0)), first.weight)
    assert equals(merged_models(*models, interpolation(0.0)), second.weight)


def test_a_ratio_between_mixes_the_weights(first: Component, second: Component) -> None:
    merged = merged_models(model(first), model(second), interpolation(0.3))
    assert equals(merged, lambda name: first.weight(name) * 0.3 + second.weight(name) * (1.0 - 0.3))


def test_a_difference_can_be_added_to_a_third_model(first: Component, second: Component, tmp_path: Path) -> None:
    third = component(tmp_path, SHAPES, SOURCES, seed=3)
    subtracted = merged_models(model(first), model(second), difference(0.5))
    assert equals(subtracted, lambda name: first.weight(name) * 0.5 + second.weight(name) * -0.5)
    added = merged_models(model(third), subtracted, SUM)
    assert equals(added, lambda name: third.weight(name) + subtracted.network.component.weight(name))


def test_the_models_that_are_merged_keep_their_weights(first: Component, second: Component) -> None:
    before = {name: weight.clone() for name, weight in ready_weights(first).items()}
    weights(merged_models(model(first), model(second), interpolation(0.5)))
    assert all(torch.equal(weight, before[name]) for name, weight in ready_weights(first).items())


def test_blocks_are_told_by_the_names_of_the_original_file(first: Component, second: Component) -> None:
    ratios = {"input": 1.0, "middle": 0.0, "out": 0.25}
    (merged,) = NODE_CLASS_MAPPINGS["ModelMergeBlocks"]().merge(model(first), model(second), **ratios)
    expected = {
        "conv_in.weight": first.weight("conv_in.weight"),
        "mid_block.a.weight": second.weight("mid_block.a.weight"),
        "up_blocks.0.b.bias": first.weight("up_blocks.0.b.bias") * 0.25
        + second.weight("up_blocks.0.b.bias") * 0.75,
    }
    assert equals(merged, expected.__getitem__)
    assert merged.network.component.changed == {"mid_block.a.weight", "up_blocks.0.b.bias"}


def test_the_longest_beginning_of_a_name_decides_and_other_names_take_the_default() -> None:
    factors = by_block({"input_blocks.1": 0.25, "input_blocks.10.": 0.75}, default=0.5)
    assert factors("input_blocks.1.0.weight") == (0.25, 0.75)
    assert factors("input_blocks.10.0.weight") == (0.75, 0.25)
    assert factors("time_embed.0.weight") == (0.5, 0.5)


def test_text_encoders_are_merged_tower_by_tower(first: Component, second: Component) -> None:
    merged = merged_clips(clip(l=first, g=first), clip(l=second), interpolation(0.5)).components()
    assert merged["g"] is first
    assert torch.equal(
        ready_weights(merged["l"])["conv_in.weight"],
        first.weight("conv_in.weight") * 0.5 + second.weight("conv_in.weight") * 0.5,
    )


def test_nodes_of_text_encoders_subtract_and_add(first: Component, second: Component) -> None:
    pair = {"clip1": clip(l=first), "clip2": clip(l=second)}
    (simple,) = NODE_CLASS_MAPPINGS["CLIPMergeSimple"]().merge(**pair, ratio=0.0)
    assert torch.equal(simple.components()["l"].weight("conv_in.weight"), second.weight("conv_in.weight"))
    (less,) = NODE_CLASS_MAPPINGS["CLIPMergeSubtract"]().merge(**pair, multiplier=1.0)
    (more,) = NODE_CLASS_MAPPINGS["CLIPMergeAdd"]().merge(clip1=less, clip2=clip(l=second))
    torch.testing.assert_close(more.components()["l"].weight("conv_in.weight"), first.weight("conv_in.weight"))


def test_weights_of_another_shape_stay_those_of_the_first_model_and_are_told(
    first: Component, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inpainting = component(tmp_path, {**SHAPES, "conv_in.weight": (3, 5)}, SOURCES, seed=4)
    with caplog.at_level(logging.WARNING):
        merged = merged_models(model(inpainting), model(first), interpolation(0.0))
    assert torch.equal(weights(merged)["conv_in.weight"], inpainting.weight("conv_in.weight"))
    assert torch.equal(weights(merged)["mid_block.a.weight"], first.weight("mid_block.a.weight"))
    assert [record.getMessage() for record in caplog.records] == [
        "1 weights differ in shape between the models and are not merged: conv_in.weight"
    ]


def test_models_of_two_families_and_clips_without_a_common_tower_are_refused(
    first: Component, second: Component, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="'sd1' and one of the family 'sdxl' cannot be merged"):
        merged_models(model(first), model(second, "sdxl"), SUM)
    with pytest.raises(ModelError, match="towers l and one with g cannot be merged"):
        merged_clips(clip(l=first), clip(g=second), SUM)
    with pytest.raises(ModelError, match="no weight has the same name and shape"):
        merged_models(model(first), model(component(tmp_path, {"other": (2,)})), SUM)
