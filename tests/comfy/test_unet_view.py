from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from graphengine_comfy.comfy.ldm.modules.attention import (
    BasicTransformerBlock,
    CrossAttention,
    SpatialTransformer,
)
from graphengine_comfy.comfy.ldm.modules.diffusionmodules.openaimodel import (
    Downsample,
    ResBlock,
    UNetModel,
    Upsample,
)
from graphengine_nodes.diffusion.model.model import DiffusionModel
from tests.nodes.diffusion.unet_models import CONTEXT, noise, small_model, told


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> DiffusionModel:
    return small_model(tmp_path_factory.mktemp("models") / "sd1.safetensors")


def named(view: Any, kind: Any) -> list[str]:
    return [name for name, module in view.named_modules() if isinstance(module, kind)]


def test_blocks_have_the_names_that_the_file_has(model: DiffusionModel) -> None:
    view = model.model.diffusion_model
    assert isinstance(view, UNetModel)
    assert named(view, SpatialTransformer) == [
        "input_blocks.1.1",
        "input_blocks.3.1",
        "middle_block.1",
        "output_blocks.2.1",
        "output_blocks.3.1",
        "output_blocks.4.1",
        "output_blocks.5.1",
    ]
    assert named(view, BasicTransformerBlock)[0] == "input_blocks.1.1.transformer_blocks.0"
    assert len(named(view, CrossAttention)) == 14
    assert named(view, ResBlock) == [
        *(f"input_blocks.{number}.0" for number in (1, 3, 5)),
        *("middle_block.0", "middle_block.2"),
        *(f"output_blocks.{number}.0" for number in range(6)),
    ]
    assert named(view, Downsample) == ["input_blocks.2.0", "input_blocks.4.0"]
    assert named(view, Upsample) == ["output_blocks.1.1", "output_blocks.3.2"]


def test_parts_are_those_of_the_model(model: DiffusionModel) -> None:
    part = model.get_model_object("diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_q.weight")
    parameter = model.network.component.ready().get_parameter(
        "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_q.weight"
    )
    assert part is parameter
    view = model.model.diffusion_model
    assert (view.in_channels, view.out_channels, view.model_channels) == (4, 4, 32)
    assert view.dtype == torch.float32
    assert model.model.model_config.unet_config["context_dim"] == CONTEXT


def test_a_pack_may_ask_the_network_itself(model: DiffusionModel) -> None:
    x, sigma = noise(1, 4, 8, 8), torch.tensor([2.0])
    context = noise(1, 5, CONTEXT, seed=1)
    answer = model.model.diffusion_model(
        x, model.sampling.timestep(sigma), context=context, transformer_options={}
    )
    assert torch.equal(answer, told(model, x))


def test_what_stands_for_modules_cannot_be_made() -> None:
    with pytest.raises(
        Exception, match=r"comfy\.ldm\.modules\.attention\.BasicTransformerBlock of ComfyUI only stands"
    ):
        BasicTransformerBlock(320, 8, 40)

    class Own(BasicTransformerBlock):  # type: ignore[misc,valid-type]  # the class is made at run time
        pass

    assert not isinstance(Path(), Own)
