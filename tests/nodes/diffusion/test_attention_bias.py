import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from graphengine_nodes.diffusion.control.style import StyleModel, with_style
from graphengine_nodes.diffusion.dit.attention_bias import attention_bias
from graphengine_nodes.diffusion.families.families import load_model
from graphengine_nodes.diffusion.model.model import DiffusionModel, Job, NetworkCall
from graphengine_nodes.diffusion.vision.vision import VisionOutput
from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

from . import tiny_dit

X = torch.randn(1, 16, 8, 6, generator=torch.Generator().manual_seed(2))
TEXT = torch.randn(1, 5, 48, generator=torch.Generator().manual_seed(3))
JOB = Job((1, 16, 8, 6))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> DiffusionModel:
    path = tmp_path_factory.mktemp("flux") / "flux.safetensors"
    return load_model(open_checkpoint(tiny_dit.write(path, tiny_dit.flux())), "cpu")


def predicted(model: DiffusionModel, context: torch.Tensor, **options: Any) -> torch.Tensor:
    job = replace(JOB, latent_format=model.latent_format)
    extras = model.network.extras({"pooled_output": torch.ones(1, 40), **options}, job)
    inputs = {**extras.values, **extras.spatial}
    return model.network(NetworkCall(X, torch.tensor([0.7]), context, inputs))


def test_a_mask_for_one_token_of_a_picture_counts_for_all_of_them() -> None:
    mask = torch.arange(9.0).reshape(1, 3, 3)
    bias = attention_bias({"attention_mask": mask}, JOB)["attention_bias"][0]
    assert bias.shape == (14, 14)
    assert torch.equal(bias[:2, :2], mask[0, :2, :2])
    assert torch.equal(bias[:2, 2:], mask[0, :2, 2:].expand(2, 12))
    assert torch.equal(bias[2:, :2], mask[0, 2:, :2].expand(12, 2))
    assert torch.equal(bias[2:, 2:], mask[0, 2:, 2:].expand(12, 12))


def test_a_mask_of_the_pictures_size_stays_as_it_is() -> None:
    mask = torch.rand(1, 14, 14)
    options = {"attention_mask": mask, "attention_mask_img_shape": (4, 3)}
    assert torch.equal(attention_bias(options, JOB)["attention_bias"], mask)


def test_false_means_never() -> None:
    mask = torch.ones(1, 3, 3, dtype=torch.bool)
    mask[0, 0, 1] = False
    bias = attention_bias({"attention_mask": mask}, JOB)["attention_bias"]
    assert bias.isfinite().all()
    assert math.exp(float(bias[0, 0, 1])) == 0.0
    assert int((bias == 0).sum()) == 14 * 14 - 1


def test_a_mask_of_another_shape_is_refused(model: DiffusionModel) -> None:
    for shape in ((1, 3, 4), (3, 3)):
        with pytest.raises(ValueError, match="attention_mask has the shape"):
            attention_bias({"attention_mask": torch.zeros(shape)}, JOB)
    with pytest.raises(ValueError, match="is for 32 tokens of text and picture, there are 5 and 12"):
        predicted(model, TEXT, attention_mask=torch.zeros(1, 21, 21))


def test_tokens_that_nothing_attends_to_have_no_effect(model: DiffusionModel) -> None:
    """Hidden to the others by strength 0, two tokens of a style leave the prediction as it is without them."""

    class Two(StyleModel):
        def get_cond(self, output: VisionOutput) -> torch.Tensor:
            return torch.full((1, 2, 48), 3.0)

    style: Any = object.__new__(Two)
    ((joined, options),) = with_style([(TEXT, {})], style, VisionOutput(), 0.0, "attn_bias")
    hidden, seen, plain = (
        predicted(model, joined, **options),
        predicted(model, joined),
        predicted(model, TEXT),
    )
    torch.testing.assert_close(hidden, plain, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(seen, plain, atol=1e-4)
