import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphengine_nodes.diffusion.model.model import Latent
from graphengine_nodes.diffusion.nodes.scheduler_nodes import (
    AlignYourStepsScheduler,
    BasicScheduler,
    BetaSamplingScheduler,
    Flux2Scheduler,
    KarrasScheduler,
    LTXVScheduler,
    SDTurboScheduler,
)
from graphengine_nodes.diffusion.sampling import sigma_formulas
from graphengine_nodes.diffusion.sampling.schedules import calculate_sigmas

from .sampling_cases import MODEL_SAMPLINGS, tiny_model

LOW, HIGH = 0.0291675, 14.614642


@pytest.mark.parametrize(("denoise", "steps", "whole"), [(1.0, 6, 6), (0.6, 6, 10), (0.3, 1, 3), (0.999, 4, 4)])
def test_less_denoising_takes_the_end_of_a_longer_schedule(denoise: float, steps: int, whole: int) -> None:
    [sigmas] = BasicScheduler().get_sigmas(tiny_model(), "normal", steps, denoise)
    assert torch.equal(sigmas, calculate_sigmas(MODEL_SAMPLINGS["eps"], "normal", whole)[-(steps + 1) :])


def test_no_denoising_gives_no_sigmas() -> None:
    assert BasicScheduler().get_sigmas(tiny_model(), "normal", 6, 0.0)[0].shape == (0,)
    assert AlignYourStepsScheduler().get_sigmas("SD1", 10, 0.0)[0].shape == (0,)
    assert SDTurboScheduler().get_sigmas(tiny_model(), 4, 0.0)[0].tolist() == [0.0]


def test_karras_levels_are_the_formula_of_the_paper() -> None:
    [sigmas] = KarrasScheduler().get_sigmas(4, HIGH, LOW, 7.0)
    expected = [(HIGH ** (1 / 7) + i / 3 * (LOW ** (1 / 7) - HIGH ** (1 / 7))) ** 7 for i in range(4)]
    torch.testing.assert_close(sigmas, torch.tensor([*expected, 0.0]))


def test_exponential_levels_have_one_ratio_and_are_polyexponential_of_power_one() -> None:
    sigmas = sigma_formulas.exponential(5, LOW, HIGH)
    torch.testing.assert_close(sigmas[1:5] / sigmas[:4], torch.full((4,), (LOW / HIGH) ** 0.25))
    torch.testing.assert_close(sigma_formulas.polyexponential(5, LOW, HIGH, 1.0), sigmas)
    squared = sigma_formulas.polyexponential(3, LOW, HIGH, 2.0)
    assert float(squared[1]) == pytest.approx(LOW * (HIGH / LOW) ** 0.25, rel=1e-5)


def test_laplace_levels_are_symmetric_in_log_sigma_around_mu_and_cut_to_the_range() -> None:
    sigmas = sigma_formulas.laplace(5, 0.01, 100.0, mu=0.5, beta=0.5)
    logs = sigmas.log()
    assert float(logs[2]) == pytest.approx(0.5)
    assert float(logs[1]) == pytest.approx(0.5 - 0.5 * math.log(0.5), abs=1e-4)
    assert float(logs[1] + logs[3]) == pytest.approx(1.0, abs=1e-4)
    assert [float(sigmas[0]), float(sigmas[4])] == [100.0, pytest.approx(0.01)]


def test_variance_preserving_levels_are_the_integral_of_beta() -> None:
    sigmas = sigma_formulas.variance_preserving(2)
    ends = [math.sqrt(math.exp(19.9 * t * t / 2 + 0.1 * t) - 1) for t in (1.0, 0.001)]
    assert sigmas.tolist() == [pytest.approx(ends[0], rel=1e-5), pytest.approx(ends[1], rel=1e-4), 0.0]


def test_turbo_takes_every_hundredth_timestep_from_the_top() -> None:
    table = MODEL_SAMPLINGS["eps"].sigmas
    [whole] = SDTurboScheduler().get_sigmas(tiny_model(), 3, 1.0)
    torch.testing.assert_close(whole, torch.tensor([*table[[999, 899, 799]].tolist(), 0.0]))
    [half] = SDTurboScheduler().get_sigmas(tiny_model(), 10, 0.5)
    torch.testing.assert_close(half, torch.tensor([*table[[499, 399, 299, 199, 99]].tolist(), 0.0]))


def test_aligned_steps_are_those_of_the_paper() -> None:
    published = {
        "SD1": [14.615, 6.475, 3.864, 2.695, 1.884, 1.394, 0.964, 0.652, 0.398, 0.152, 0.0],
        "SDXL": [14.615, 6.318, 3.768, 2.181, 1.341, 0.862, 0.555, 0.380, 0.233, 0.111, 0.0],
        "SVD": [700.0, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.0],
    }
    for model_type, levels in published.items():
        [sigmas] = AlignYourStepsScheduler().get_sigmas(model_type, 10, 1.0)
        assert sigmas.tolist() == pytest.approx(levels, abs=6e-4)
    with pytest.raises(ValueError, match="model_type is 'SD3'; there are steps for SD1, SDXL and SVD"):
        sigma_formulas.align_your_steps("SD3", 10)


def test_more_aligned_steps_lie_between_on_the_logarithm() -> None:
    ten, twenty = (sigma_formulas.align_your_steps("SD1", steps) for steps in (10, 20))
    torch.testing.assert_close(twenty[:-1:2], ten[:-1].clone(), rtol=1e-5, atol=0)
    torch.testing.assert_close(twenty[1:-3:2], (ten[:-2] * ten[1:-1]).sqrt(), rtol=1e-5, atol=0)
    assert sigma_formulas.align_your_steps("SD1", 10, 0.5).tolist() == ten[5:].tolist()


def test_video_levels_are_shifted_by_tokens_and_stretched_to_the_terminal() -> None:
    options: dict[str, Any] = {"max_shift": 2.05, "base_shift": 0.95, "terminal": 0.1}
    plain = LTXVScheduler().get_sigmas(4, **options, stretch=False)[0]
    shift = math.exp(2.05)  # 4096 tokens, when there is no latent
    assert plain.tolist() == pytest.approx([shift / (shift + 1 / t - 1) for t in (1, 0.75, 0.5, 0.25)] + [0.0])
    latent: Latent = {"samples": torch.zeros(1, 128, 4, 16, 16)}  # 1024 tokens
    small = LTXVScheduler().get_sigmas(4, **options, stretch=False, latent=latent)[0]
    assert float(small[2]) == pytest.approx(math.exp(0.95) / (math.exp(0.95) + 1))
    stretched = LTXVScheduler().get_sigmas(4, **options, stretch=True)[0]
    assert stretched[[0, 3, 4]].tolist() == pytest.approx([1.0, 0.1, 0.0])
    assert LTXVScheduler().get_sigmas(1, **options, stretch=True)[0].tolist() == pytest.approx([1.0, 0.0])


def test_flux2_levels_depend_on_size_and_steps() -> None:
    [sigmas] = Flux2Scheduler().get_sigmas(20, 1024, 1024)
    mu_10, mu_200 = 8.73809524e-05 * 4096 + 1.89833333, 0.00016927 * 4096 + 0.45666666
    mu = mu_10 + (mu_200 - mu_10) * 10 / 190
    assert float(sigmas[10]) == pytest.approx(math.exp(mu) / (math.exp(mu) + 1))
    [large] = Flux2Scheduler().get_sigmas(20, 2048, 2048)
    mu = 0.00016927 * 16384 + 0.45666666
    assert float(large[10]) == pytest.approx(math.exp(mu) / (math.exp(mu) + 1))


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 40), st.floats(0.001, 1.0), st.floats(1.001, 500.0))
def test_levels_fall_from_the_highest_to_the_lowest(steps: int, low: float, high: float) -> None:
    for sigmas in (
        sigma_formulas.karras(steps, low, high),
        sigma_formulas.exponential(steps, low, high),
        sigma_formulas.polyexponential(steps, low, high, 1.5),
    ):
        assert sigmas.shape == (steps + 1,)
        assert bool((sigmas.diff() < 0).all())
        assert float(sigmas[0]) == pytest.approx(high, rel=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sigma_formulas.karras(4, 0.0, 14.6), "sigma_min is 0; it must be above 0"),
        (lambda: sigma_formulas.karras(4, 0.1, 14.6, 0.0), "rho is 0; it must be above 0"),
        (lambda: sigma_formulas.exponential(4, 20.0, 14.6), "sigma_min 20 is above sigma_max 14.6"),
        (lambda: sigma_formulas.variance_preserving(4, eps_s=0.0), "eps_s is 0; the last time must be above 0"),
        (lambda: Flux2Scheduler().get_sigmas(4, 16384, 16384), r"shift is 177\.9.*at most 80 makes sense"),
        (
            lambda: BetaSamplingScheduler().get_sigmas(tiny_model(), 4, 0.0, 0.6),
            "alpha is 0 and beta is 0.6; both must be above 0",
        ),
    ],
)
def test_a_value_that_gives_no_levels_is_named(call: object, message: str) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match=message):
        call()
