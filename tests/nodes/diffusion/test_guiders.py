import math
from typing import Any

import pytest
import torch
from torch import Tensor

from graphengine_nodes.diffusion.model.combining import (
    Guidance,
    LimitedNorm,
    LinearFrames,
    OnDifference,
    Predictions,
    Rescaled,
    TriangleFrames,
    tangential,
    zero_star,
)
from graphengine_nodes.diffusion.model.model import DiffusionModel, Job
from graphengine_nodes.diffusion.model.regions import prepare_conditions
from graphengine_nodes.diffusion.nodes.custom_sampling_nodes import DualCFGGuider, PerpNegGuider
from graphengine_nodes.diffusion.nodes.guidance_nodes import (
    TCFG,
    CFGNorm,
    CFGZeroStar,
    LatentApplyOperationCFG,
    RescaleCFG,
    VideoLinearCFGGuidance,
    VideoTriangleCFGGuidance,
)
from graphengine_nodes.diffusion.sampling.guidance import GuidedDenoiser
from graphengine_nodes.diffusion.sampling.guiders import ClassifierFree, Guider

from .sampling_cases import MODEL_SAMPLINGS, RecordingNetwork, text, tiny_model

SAMPLING = MODEL_SAMPLINGS["eps"]
X = torch.linspace(-3, 3, 64).reshape(1, 4, 4, 4)
SIGMA = SAMPLING.sigmas[500]


def denoiser(guider: Guider) -> GuidedDenoiser:
    conditions = {
        side: prepare_conditions(value, guider.model, Job(tuple(X.shape), side=side))
        for side, value in guider.conditionings.items()
    }
    return GuidedDenoiser(guider.model, conditions, guider.rule)


def cfg_denoiser(model: DiffusionModel, cfg: float) -> GuidedDenoiser:
    return denoiser(Guider(model, {"positive": [text(0.5)], "negative": [text(0.1)]}, ClassifierFree(cfg)))


def expected(value: float) -> Tensor:
    """What the recording network denoises X to for a text of this value."""
    return X - SIGMA * torch.tanh(X / (SIGMA**2 + 1).sqrt()) * value


def dual(network: RecordingNetwork, **changes: Any) -> GuidedDenoiser:
    arguments: dict[str, Any] = {"cfg_conds": 2.0, "cfg_cond2_negative": 3.0, "style": "regular", **changes}
    sides: dict[str, Any] = {"cond1": [text(0.7)], "cond2": [text(0.5)], "negative": [text(0.1)]}
    [guider] = DualCFGGuider().get_guider(tiny_model(network), **sides, **arguments)
    return denoiser(guider)


def test_dual_guidance_adds_two_directions() -> None:
    # the prediction is linear in the text's value, so guidance can be done on the values
    torch.testing.assert_close(dual(RecordingNetwork())(X, SIGMA), expected(0.1 + 3 * 0.4 + 2 * 0.2))


def test_nested_guidance_guides_to_a_guided_prediction() -> None:
    inner = 0.5 + 2 * 0.2
    nested = dual(RecordingNetwork(), style="nested")(X, SIGMA)
    torch.testing.assert_close(nested, expected(0.1 + 3 * (inner - 0.1)))


@pytest.mark.parametrize("style", ["regular", "nested"])
def test_dual_guidance_does_not_ask_a_side_without_weight(style: str) -> None:
    network = RecordingNetwork()
    model = dual(network, style=style, cfg_cond2_negative=1.0)
    torch.testing.assert_close(model(X, SIGMA), expected(0.5 + 2 * 0.2))
    [(x, _, _)] = network.seen
    assert len(x) == 2
    torch.testing.assert_close(model.guided(X, SIGMA).uncond, expected(0.1))


def test_perpendicular_negative_ignores_what_lies_along_the_positive_direction() -> None:
    sides: dict[str, Any] = {"positive": [text(0.5)], "negative": [text(0.3)], "empty_conditioning": [text(0.1)]}
    [guider] = PerpNegGuider().get_guider(tiny_model(), **sides, cfg=3.0, neg_scale=1.0)
    # all directions of this network are parallel, so the negative text changes nothing
    torch.testing.assert_close(denoiser(guider)(X, SIGMA), expected(0.1 + 3 * 0.4), rtol=1e-4, atol=1e-4)


def test_perpendicular_negative_with_a_positive_text_like_the_empty_one_stays_finite() -> None:
    sides: dict[str, Any] = {"positive": [text(0.1)], "negative": [text(0.3)], "empty_conditioning": [text(0.1)]}
    [guider] = PerpNegGuider().get_guider(tiny_model(), **sides, cfg=3.0, neg_scale=2.0)
    torch.testing.assert_close(denoiser(guider)(X, SIGMA), expected(0.1 - 3 * 2 * 0.2), rtol=1e-4, atol=1e-4)


# Patches


def half(latent: Tensor) -> Tensor:
    return latent / 2


@pytest.mark.parametrize(
    "patch",
    [
        lambda model: RescaleCFG().patch(model, 0.7),
        lambda model: VideoLinearCFGGuidance().patch(model, 2.0),
        lambda model: VideoTriangleCFGGuidance().patch(model, 2.0),
        lambda model: CFGNorm().patch(model, 1.0),
        lambda model: CFGZeroStar().patch(model),
        lambda model: LatentApplyOperationCFG().patch(model, half),
    ],
)
def test_a_patch_changes_the_guidance_of_a_new_model_alone(patch: Any) -> None:
    model = tiny_model()
    [patched] = patch(model)
    assert model.guidance == Guidance()
    torch.testing.assert_close(cfg_denoiser(model, 3.0)(X, SIGMA), expected(0.1 + 3 * 0.4))
    assert not torch.allclose(cfg_denoiser(patched, 7.0)(X, SIGMA), cfg_denoiser(model, 7.0)(X, SIGMA), atol=1e-3)


def test_patches_of_both_kinds_add_up() -> None:
    [model] = RescaleCFG().patch(tiny_model(), 0.7)
    [model] = CFGNorm().patch(model, 1.0)
    [model] = TCFG().patch(model)
    [model] = CFGNorm().patch(model, 0.5)
    assert model.guidance == Guidance(Rescaled(0.7), (tangential,), (LimitedNorm(1.0), LimitedNorm(0.5)))


def predictions(cfg: float, batch: int = 2, seed: int = 0) -> Predictions:
    generator = torch.Generator().manual_seed(seed)
    x, cond, uncond = (torch.randn((batch, 4, 3, 3), generator=generator) for _ in range(3))
    return Predictions(x, torch.full((batch,), 2.0), cond, uncond, cfg)


def velocity(p: Predictions, denoised: Tensor) -> Tensor:
    return (p.x / 5.0 - denoised) * math.sqrt(5.0) / 2.0


def test_rescaled_guidance_has_the_deviation_of_the_positive_velocity() -> None:
    p = predictions(6.0)
    whole, none, half = (velocity(p, Rescaled(multiplier)(p)) for multiplier in (1.0, 0.0, 0.5))
    torch.testing.assert_close(whole.std(dim=(1, 2, 3)), velocity(p, p.cond).std(dim=(1, 2, 3)))
    torch.testing.assert_close(none, velocity(p, p.uncond + 6 * (p.cond - p.uncond)), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(half, (whole + none) / 2, rtol=1e-4, atol=1e-4)


def test_guidance_over_the_frames_of_a_video() -> None:
    p = predictions(5.0, batch=5)
    for rule, scales in (
        (LinearFrames(1.0), [1.0, 2.0, 3.0, 4.0, 5.0]),
        (TriangleFrames(1.0), [1.0, 3.0, 5.0, 3.0, 1.0]),
    ):
        frames = torch.tensor(scales).reshape(-1, 1, 1, 1)
        torch.testing.assert_close(rule(p), p.uncond + frames * (p.cond - p.uncond))


def test_video_guidance_asks_the_negative_side_when_only_the_first_frame_needs_it() -> None:
    network = RecordingNetwork()
    [model] = VideoLinearCFGGuidance().patch(tiny_model(network), 3.0)
    torch.testing.assert_close(cfg_denoiser(model, 1.0)(X, SIGMA), expected(0.1 + 3 * 0.4))


def test_the_limited_norm_is_at_most_that_of_the_positive_prediction() -> None:
    p = predictions(6.0)
    limited = LimitedNorm(1.0)(p, p.uncond + 6 * (p.cond - p.uncond))
    assert bool((limited.norm(dim=1) <= p.cond.norm(dim=1) * 1.0001).all())
    torch.testing.assert_close(LimitedNorm(2.0)(p, p.cond * 0.5), p.cond)


def test_zero_star_guides_from_the_negative_prediction_scaled_to_be_nearest() -> None:
    p = predictions(3.0)
    noise_c, noise_u = (p.x - side for side in (p.cond, p.uncond))
    alpha = (noise_c * noise_u).sum(dim=(1, 2, 3)) / (noise_u**2).sum(dim=(1, 2, 3))
    scaled = p.uncond * alpha.reshape(-1, 1, 1, 1)
    guided = zero_star(p, p.uncond + 3 * (p.cond - p.uncond))
    torch.testing.assert_close(guided, scaled + 3 * (p.cond - scaled), rtol=1e-4, atol=1e-4)


def test_tangential_damping_keeps_the_negative_noise_along_the_main_direction() -> None:
    p = predictions(3.0)
    changed = tangential(p)
    assert changed.cond is p.cond
    kept, was = ((p.x - side).flatten(1).double() for side in (changed.uncond, p.uncond))
    pairs = torch.stack([was, (p.x - p.cond).flatten(1).double()], dim=1)
    for sample, direction in zip(pairs, kept, strict=True):
        # no direction explains more of both noises than the main one
        values = torch.linalg.svdvals(sample)
        assert float((sample @ direction / direction.norm()).norm()) == pytest.approx(float(values[0]), rel=1e-4)
    torch.testing.assert_close((was * kept).sum(dim=1), (kept * kept).sum(dim=1), rtol=1e-4, atol=1e-4)


def test_an_operation_changes_the_direction_of_guidance() -> None:
    p = predictions(3.0)
    torch.testing.assert_close(OnDifference(half)(p).cond, p.uncond + (p.cond - p.uncond) / 2)
    [model] = LatentApplyOperationCFG().patch(tiny_model(), half)
    torch.testing.assert_close(cfg_denoiser(model, 3.0)(X, SIGMA), expected(0.1 + 3 * 0.2))
    torch.testing.assert_close(cfg_denoiser(model, 1.0)(X, SIGMA), expected(0.5) / 2)
