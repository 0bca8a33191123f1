from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from graphengine_nodes.diffusion.families.families import load_model
from graphengine_nodes.diffusion.model.model import (
    Conditioning,
    DiffusionModel,
    Job,
    LatentFormat,
    NetworkCall,
    PlainNetwork,
)
from graphengine_nodes.diffusion.model.regions import prepare_conditions
from graphengine_nodes.diffusion.nodes.attention_guidance_nodes import (
    PerturbedAttentionGuidance,
    SelfAttentionGuidance,
    SkipLayerGuidanceDiT,
    SkipLayerGuidanceDiTSimple,
    SkipLayerGuidanceSD3,
)
from graphengine_nodes.diffusion.sampling.guidance import GuidedDenoiser
from graphengine_nodes.diffusion.sampling.guidance_away import (
    attend_and_record,
    blurred,
    blurred_where_attended,
    layer_numbers,
    unchanged,
    values_alone,
)
from graphengine_nodes.diffusion.sampling.guiders import ClassifierFree
from graphengine_nodes.diffusion.unet.unet import split_attention
from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

from . import tiny_dit
from .sampling_cases import MODEL_SAMPLINGS, text
from .unet_models import CONTEXT, noise, small_model

SIGMA = torch.tensor(2.0)


@pytest.fixture(scope="module")
def unet(tmp_path_factory: pytest.TempPathFactory) -> DiffusionModel:
    return small_model(tmp_path_factory.mktemp("models") / "sd1.safetensors")


def run_of(model: DiffusionModel, x: Tensor, texts: Mapping[str, Conditioning], cfg: float) -> GuidedDenoiser:
    conditions = {
        side: prepare_conditions(value, model, Job(tuple(x.shape), side=side)) for side, value in texts.items()
    }
    return GuidedDenoiser(model, conditions, ClassifierFree(cfg))


def unet_texts() -> dict[str, Conditioning]:
    return {"positive": [(noise(1, 5, CONTEXT, seed=1), {})], "negative": [(noise(1, 5, CONTEXT, seed=2), {})]}


def denoised(model: DiffusionModel, x: Tensor, cfg: float = 3.0) -> Tensor:
    return run_of(model, x, unet_texts(), cfg)(x, SIGMA)


# Perturbed attention


def test_perturbed_attention_guides_away_from_a_middle_block_that_attends_to_nothing_else(
    unet: DiffusionModel,
) -> None:
    x = noise(1, 4, 8, 8)
    blind = unet.clone()
    blind.set_model_attn1_replace(values_alone, "middle", 0)
    [patched] = PerturbedAttentionGuidance().patch(unet, scale=2.0)
    cond, perturbed = denoised(unet, x, cfg=1.0), denoised(blind, x, cfg=1.0)
    expected = denoised(unet, x) + 2.0 * (cond - perturbed)
    torch.testing.assert_close(denoised(patched, x), expected, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(cond, perturbed, atol=1e-4)


def test_without_scale_nothing_is_asked_again() -> None:
    calls: list[NetworkCall] = []
    [patched] = PerturbedAttentionGuidance().patch(blocks(calls), scale=0.0)
    run_of(patched, noise(1, 4, 8, 8), {"positive": [text(0.5)], "negative": [text(0.1)]}, 3.0)(
        noise(1, 4, 8, 8), SIGMA
    )
    assert len(calls) == 1


# Skipped layers: a network whose output is the text's mean times the sum of its blocks' numbers


def blocks(calls: list[NetworkCall]) -> DiffusionModel:
    def network(call: NetworkCall) -> Tensor:
        calls.append(call)
        patches = call.options.get("patches_replace", {}).get("dit", {})
        total = 0.0
        for kind, weight in (("double_block", 1.0), ("single_block", 10.0)):
            for number in range(4):
                states = {"img": torch.tensor(0.0)}
                patch = patches.get(
                    (kind, number), lambda args, more, weight=weight: {"img": args["img"] + weight}
                )
                total += float(patch(states, {})["img"])
        return call.x * 0 + total * call.context.mean(dim=(1, 2)).reshape(-1, 1, 1, 1)

    return DiffusionModel(PlainNetwork(network), MODEL_SAMPLINGS["eps"], LatentFormat())


def noise_in(model: DiffusionModel, cfg: float, sigma: Tensor = SIGMA) -> float:
    """The noise that the model sees in 0: the guided sum of blocks times the texts' values 0.5 and 0.1."""
    x = torch.zeros(1, 4, 2, 2)
    texts: dict[str, Conditioning] = {"positive": [text(0.5)], "negative": [text(0.1)]}
    result: Tensor = -run_of(model, x, texts, cfg)(x, sigma) / sigma
    return float(result.mean())


def test_skipped_blocks_of_sd3_are_guided_away_from() -> None:
    calls: list[NetworkCall] = []
    [model] = SkipLayerGuidanceSD3().patch(blocks(calls), "0, 3", 2.0, start_percent=0.0, end_percent=1.0)
    # 44 with all blocks, 42 without two double ones
    assert noise_in(model, 1.0) == pytest.approx(0.5 * 44 + 2.0 * 0.5 * (44 - 42))
    assert len(calls) == 2


def test_blocks_are_skipped_in_their_range_only() -> None:
    calls: list[NetworkCall] = []
    model = blocks(calls)
    [patched] = SkipLayerGuidanceSD3().patch(model, "0", 2.0, start_percent=0.2, end_percent=0.5)
    low, high = (model.sampling.percent_to_sigma(percent) for percent in (0.5, 0.2))
    for sigma, asked in ((high * 1.01, 1), (high * 0.99, 2), (low * 1.01, 2), (low * 0.99, 1)):
        calls.clear()
        noise_in(patched, 1.0, torch.tensor(sigma))
        assert len(calls) == asked


def test_double_and_single_blocks_are_skipped() -> None:
    arguments: dict[str, Any] = {"scale": 1.0, "start_percent": 0.0, "end_percent": 1.0, "rescaling_scale": 0.0}
    [model] = SkipLayerGuidanceDiT().patch(blocks([]), "1", "0, 1", **arguments)
    assert noise_in(model, 1.0) == pytest.approx(0.5 * 44 + 0.5 * (44 - 23))


def test_the_deviation_may_be_brought_back(unet: DiffusionModel) -> None:
    x = noise(1, 4, 8, 8)
    [plain] = SkipLayerGuidanceDiT().patch(unet, "", "1", 1.0, 0.0, 1.0, 0.0)
    [rescaled] = SkipLayerGuidanceDiT().patch(unet, "", "1", 1.0, 0.0, 1.0, 1.0)
    torch.testing.assert_close(denoised(rescaled, x, 5.0).std(), denoised(plain, x, 1.0).std())


def test_blocks_of_sd3_itself_are_skipped(tmp_path: Path) -> None:
    path = tiny_dit.write(tmp_path / "sd3.safetensors", tiny_dit.sd3(), prefix=tiny_dit.PREFIX)
    model = load_model(open_checkpoint(path), "cpu")
    sides = {"positive": 1, "negative": 2}
    texts: dict[str, Conditioning] = {
        side: [(noise(1, 5, 64, seed=seed), {"pooled_output": noise(1, 96, seed=seed)})]
        for side, seed in sides.items()
    }
    x, sigma = noise(1, 16, 4, 4), torch.tensor(0.7)
    shortened = model.clone()
    shortened.set_model_patch_replace(unchanged, "dit", "double_block", 1)
    [patched] = SkipLayerGuidanceSD3().patch(model, "1", 2.0, start_percent=0.0, end_percent=1.0)
    cond, worse = (run_of(made, x, texts, 1.0)(x, sigma) for made in (model, shortened))
    assert not torch.allclose(cond, worse, atol=1e-3)
    torch.testing.assert_close(run_of(patched, x, texts, 1.0)(x, sigma), cond + 2.0 * (cond - worse))


def test_the_negative_side_alone_may_skip_blocks() -> None:
    calls: list[NetworkCall] = []
    [model] = SkipLayerGuidanceDiTSimple().patch(blocks(calls), "0", "0", start_percent=0.0, end_percent=1.0)
    assert noise_in(model, 3.0) == pytest.approx(0.1 * 33 + 3.0 * (0.5 * 44 - 0.1 * 33))
    assert len(calls) == 2
    assert noise_in(model, 1.0) == pytest.approx(0.5 * 44)


def test_layers_are_the_numbers_in_a_text() -> None:
    assert layer_numbers("7, 8,9 and 10") == (7, 8, 9, 10)
    assert layer_numbers("none") == ()


# Self-attention


def test_recorded_attention_is_attention() -> None:
    q, k, v = (noise(2, 6, 8, seed=seed) for seed in range(3))
    options: dict[str, Any] = {"n_heads": 2, "cond_or_uncond": [0, 1], "memory": {}}
    torch.testing.assert_close(attend_and_record(q, k, v, options), split_attention(q, k, v, 2))
    [weights] = options["memory"].values()
    assert weights.shape == (1, 2, 6, 6)  # that of the negative side
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(1, 2, 6))


def test_a_blur_keeps_what_is_even() -> None:
    even = torch.full((1, 3, 9, 9), 2.0)
    torch.testing.assert_close(blurred(even, 2.0), even)
    dot = torch.zeros(1, 1, 11, 11)
    dot[0, 0, 5, 5] = 1.0
    spread = blurred(dot, 1.0)
    torch.testing.assert_close(spread[0, 0, 5, 6] / spread[0, 0, 5, 5], torch.exp(torch.tensor(-0.5)))
    torch.testing.assert_close(spread.sum(), torch.tensor(1.0))
    assert blurred(dot, 0.0) is dot


def test_only_what_gets_more_than_its_share_of_attention_is_blurred() -> None:
    x = noise(1, 4, 8, 8)
    attention = torch.zeros(1, 2, 16, 16)
    attention[..., 5] = 1.0  # all tokens look at row 1, column 1 of 4 x 4
    changed = blurred_where_attended(x, attention, 2.0) != x
    assert changed[0, 0].nonzero().tolist() == [[2, 2], [2, 3], [3, 2], [3, 3]]


def test_self_attention_guidance_is_that_of_its_formula(unet: DiffusionModel) -> None:
    x, texts = noise(1, 4, 8, 8), unet_texts()
    [patched] = SelfAttentionGuidance().patch(unet, scale=0.75, blur_sigma=2.0)
    run = run_of(patched, x, texts, 3.0)
    result = run(x, SIGMA)
    [attention] = [value for value in run.memory.values() if isinstance(value, Tensor)]
    cond, uncond = (run_of(unet, x, {"positive": texts[side]}, 1.0)(x, SIGMA) for side in texts)
    degraded = blurred_where_attended(uncond, attention, 2.0)
    again = degraded + x - uncond
    answer = run_of(unet, x, {"positive": texts["negative"]}, 1.0)(again, SIGMA)
    expected = uncond + 3.0 * (cond - uncond) + 0.75 * (degraded - answer)
    torch.testing.assert_close(result, expected, atol=1e-4, rtol=1e-4)


def test_a_small_latent_is_guided_plainly(unet: DiffusionModel) -> None:
    x = noise(1, 4, 4, 8)
    [patched] = SelfAttentionGuidance().patch(unet, scale=0.75, blur_sigma=2.0)
    torch.testing.assert_close(denoised(patched, x), denoised(unet, x), atol=1e-5, rtol=1e-5)
