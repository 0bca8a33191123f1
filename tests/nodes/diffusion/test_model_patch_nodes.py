from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from graphengine.node.api import ModelError
from graphengine_nodes.diffusion.model.model import DiffusionModel
from graphengine_nodes.diffusion.nodes.attention_nodes import (
    UNetCrossAttentionMultiply,
    UNetSelfAttentionMultiply,
    UNetTemporalAttentionMultiply,
)
from graphengine_nodes.diffusion.nodes.model_patch_nodes import (
    DifferentialDiffusion,
    ModelComputeDtype,
    TorchCompileModel,
)
from graphengine_nodes.diffusion.sampling.custom_sampling import sample_custom
from graphengine_nodes.diffusion.sampling.guiders import ClassifierFree, Guider
from graphengine_nodes.diffusion.sampling.noise import SeededNoise
from graphengine_nodes.diffusion.sampling.samplers import find_sampler
from graphengine_nodes.diffusion.sampling.schedules import calculate_sigmas

from . import weight_cases
from .sampling_cases import text, tiny_model
from .unet_models import noise, small_model, told

BLOCK = "down_blocks.0.attentions.0.transformer_blocks.0"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> DiffusionModel:
    return small_model(tmp_path_factory.mktemp("models") / "sd1.safetensors")


# Attention


@pytest.mark.parametrize(
    ("node", "attention"), [(UNetSelfAttentionMultiply, "attn1"), (UNetCrossAttentionMultiply, "attn2")]
)
def test_projections_are_multiplied_each_by_its_factor(node: Any, attention: str, model: DiffusionModel) -> None:
    [patched] = node().patch(model, q=2.0, k=1.0, v=0.5, out=3.0)
    before, after = model.network.component, patched.network.component
    factors = {"to_q.weight": 2.0, "to_v.weight": 0.5, "to_out.0.weight": 3.0, "to_out.0.bias": 3.0}
    for end, factor in factors.items():
        name = f"{BLOCK}.{attention}.{end}"
        torch.testing.assert_close(after.weight(name), before.weight(name) * factor)
    assert len(after.changed) == 4 * 7
    assert all(f".{attention}." in name for name in after.changed)
    assert not before.changed


def test_values_and_outputs_of_attention_multiply_the_same(model: DiffusionModel) -> None:
    [values] = UNetCrossAttentionMultiply().patch(model, q=1.0, k=1.0, v=0.0, out=1.0)
    [turned] = UNetCrossAttentionMultiply().patch(model, q=1.0, k=0.0, v=0.0, out=1.0)
    x = noise(1, 4, 8, 8)
    torch.testing.assert_close(told(values, x), told(turned, x))
    assert not torch.allclose(told(values, x), told(model, x), atol=1e-3)


def test_within_frames_the_outputs_are_multiplied(model: DiffusionModel) -> None:
    factors = {"self_structural": 2.0, "self_temporal": 5.0, "cross_structural": 3.0, "cross_temporal": 5.0}
    [patched] = UNetTemporalAttentionMultiply().patch(model, **factors)
    before, after = model.network.component, patched.network.component
    for attention, factor in (("attn1", 2.0), ("attn2", 3.0)):
        name = f"{BLOCK}.{attention}.to_out.0.weight"
        torch.testing.assert_close(after.weight(name), before.weight(name) * factor)
    assert len(after.changed) == 2 * 2 * 7


# Differential diffusion


def painted(mask: Tensor, strength: float = 1.0) -> list[Tensor]:
    """The masks of a run of four steps, in turn."""
    seen: list[Tensor] = []
    [model] = DifferentialDiffusion().patch(tiny_model(), strength)
    inner = model.model_options["denoise_mask_function"]

    def note(sigma: Tensor, mask: Tensor, extra_options: Any) -> Tensor:
        seen.append(inner(sigma, mask, extra_options))
        return seen[-1]

    model.set_model_denoise_mask_function(note)
    texts: dict[str, Any] = {"positive": [text(0.5)], "negative": [text(0.1)]}
    sample_custom(
        Guider(model, texts, ClassifierFree(1.0)),
        noise=SeededNoise(1),
        sampler=find_sampler("euler"),
        sigmas=calculate_sigmas(model.sampling, "normal", 4),
        latent={"samples": torch.ones(1, 4, 1, 5), "noise_mask": mask},
    )
    return seen


def test_darker_places_are_painted_later() -> None:
    masks = painted(torch.tensor([[[0.0, 0.3, 0.5, 0.9, 1.0]]]))
    # the four steps begin when 1, 2/3, 1/3 and 0 of the time is left
    assert [mask.flatten().tolist() for mask in masks] == [
        [0, 0, 0, 0, 1],
        [0, 0, 0, 1, 1],
        [0, 0, 1, 1, 1],
        [1, 1, 1, 1, 1],
    ]


def test_a_weaker_mask_is_mixed_with_the_given_one() -> None:
    mask = torch.tensor([[[0.0, 0.25, 0.5, 0.75, 1.0]]])
    first = painted(mask, strength=0.5)[0].flatten()
    torch.testing.assert_close(first, torch.tensor([0.0, 0.125, 0.25, 0.375, 1.0]))


# Precision and compilation


def test_a_model_can_compute_in_another_precision(model: DiffusionModel) -> None:
    [patched] = ModelComputeDtype().patch(model, "bf16")
    x = noise(1, 4, 8, 8)
    assert patched.model_dtype() == torch.bfloat16
    assert next(patched.network.component.ready().parameters()).dtype == torch.bfloat16
    assert model.model_dtype() == torch.float32
    result, exact = told(patched, x), told(model, x)
    assert result.dtype == torch.float32
    assert not torch.equal(result, exact)
    torch.testing.assert_close(result, exact, atol=0.05 * float(exact.abs().max()), rtol=0)


def test_the_precision_may_be_left(model: DiffusionModel) -> None:
    assert ModelComputeDtype().patch(model, "default") == (model,)


def test_a_network_without_weights_computes_as_it_does() -> None:
    with pytest.raises(ModelError, match="no weights"):
        ModelComputeDtype().patch(tiny_model(), "fp16")


def compiled_for_nothing(model: DiffusionModel) -> DiffusionModel:
    """The model with the backend that compiles nothing: what is tested is the way there."""
    component = model.network.component.compiled("eager")
    return replace(model, network=model.network.with_component(component))


def test_compiled_blocks_belong_to_the_patched_model_only(model: DiffusionModel) -> None:
    both = (compiled_for_nothing(model), model)
    compiled, plain = (made.network.component.ready().get_submodule(BLOCK) for made in both)
    assert plain._compiled_call_impl is None
    assert compiled._compiled_call_impl is not None


def test_a_node_names_the_backend(model: DiffusionModel) -> None:
    [patched] = TorchCompileModel().patch(model, "cudagraphs")
    assert patched.network.component._backend == "cudagraphs"
    assert model.network.component._backend is None


def test_a_module_that_does_not_know_its_blocks_cannot_be_compiled(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="block by block"):
        weight_cases.component(tmp_path, {"a.weight": (2, 2)}).compiled("inductor")
