from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from graphengine.node.api import Folders, NodeContext
from graphengine_nodes.diffusion.lora.extraction import extracted_lora, factors
from graphengine_nodes.diffusion.lora.lora import apply_lora, load_lora
from graphengine_nodes.diffusion.lora.merging import difference, merged_clips, merged_models
from graphengine_nodes.diffusion.nodes.lora_nodes import LoraModelLoader
from graphengine_nodes.diffusion.nodes.saving_nodes import NODE_CLASS_MAPPINGS
from graphengine_nodes.diffusion.weights.weights import Component, Place

from .weight_cases import clip, component, model, random

SHAPES = {
    "q.weight": (3, 4),
    "k.weight": (3, 4),
    "conv.weight": (4, 2, 3, 3),
    "conv.bias": (4,),
    "norm.weight": (4,),
    "table": (2,),
}
SOURCES = {
    **{name: (Place(name),) for name in SHAPES if name[0] not in "qk"},
    "qk.weight": (Place("q.weight", slice(0, 3)), Place("k.weight", slice(3, 6))),
}


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Component, Component]:
    first, second = (component(tmp_path, SHAPES, SOURCES, seed=seed) for seed in (1, 2))
    return first, second


@pytest.fixture
def context(tmp_path: Path) -> NodeContext:
    return NodeContext(folders=Folders(output=tmp_path / "output"))


def test_factors_of_full_rank_give_the_weight_back_but_for_the_largest_numbers() -> None:
    weight = random(30, 20)
    up, down = factors(weight, 64)
    assert (up.shape, down.shape) == ((30, 20), (20, 20))
    assert torch.linalg.matrix_norm(up @ down - weight) < 0.2 * torch.linalg.matrix_norm(weight)


def test_factors_of_a_low_rank_are_the_largest_singular_values() -> None:
    weight = random(40, 2, seed=1) @ random(2, 30, seed=2) + 1e-3 * random(40, 30, seed=3)
    one, two = (torch.linalg.matrix_norm(weight - up @ down) for up, down in (factors(weight, r) for r in (1, 2)))
    assert two < one < torch.linalg.matrix_norm(weight)
    kernel = factors(random(6, 4, 3, 3), 2)
    assert [tuple(factor.shape) for factor in kernel] == [(6, 2, 1, 1), (2, 4, 3, 3)]


def test_the_difference_of_two_models_turns_one_into_the_other(
    pair: tuple[Component, Component], context: NodeContext
) -> None:
    first, second = pair
    made = NODE_CLASS_MAPPINGS["LoraSave"]()
    subtracted = merged_models(model(second), model(first), difference(1.0))
    texts = merged_clips(clip(l=second), clip(l=first), difference(1.0))
    made.save("loras/x", 8, "full_diff", True, context, subtracted, texts)
    file = load_lora(context.folders.output / "loras" / "x_00001_.safetensors")
    changed, changed_clip = apply_lora(file, model(first), clip(l=first), 1.0, 1.0)
    assert changed is not None
    assert changed_clip is not None
    for result in (changed.network.component, changed_clip.components()["l"]):
        for name in SHAPES.keys() - {"table"}:
            torch.testing.assert_close(result.weight(name), second.weight(name), rtol=0, atol=2e-3)


def test_what_is_written_depends_on_the_kind_and_the_biases(pair: tuple[Component, Component]) -> None:
    def written(kind: str, biases: bool) -> set[str]:
        names = extracted_lora(model(pair[0]), None, kind, 2, biases=biases)  # type: ignore[arg-type]
        assert {tensor.dtype for tensor in names.values()} == {torch.float16}
        return {name.removeprefix("diffusion_model.") for name in names}

    both = {f"{stem}.lora_{side}.weight" for stem in ("qk", "conv") for side in ("up", "down")}
    assert written("standard", False) == both
    assert written("standard", True) == both | {"conv.diff_b", "norm.diff"}
    assert written("full_diff", True) == {"qk.diff", "conv.diff", "norm.diff", "conv.diff_b"}


def test_nothing_is_written_without_a_difference(context: NodeContext) -> None:
    assert NODE_CLASS_MAPPINGS["LoraSave"]().save("x", 8, "standard", True, context) == {}
    assert not context.folders.output.exists()


def test_a_lora_that_a_node_gives_can_be_saved_and_applied(
    pair: tuple[Component, Component], context: NodeContext
) -> None:
    lora = {"diffusion_model.norm.diff": torch.ones(4)}
    NODE_CLASS_MAPPINGS["SaveLoRANode"]().save(lora, "l", context, steps=16)
    assert load_file(context.folders.output / "l_16_steps_00001_.safetensors").keys() == lora.keys()
    (changed,) = LoraModelLoader().load_lora_model(model(pair[0]), lora, 2.0)
    assert changed is not None
    assert torch.equal(changed.network.component.weight("norm.weight"), pair[0].weight("norm.weight") + 2)
