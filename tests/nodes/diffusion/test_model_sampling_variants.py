import math
from typing import Any

import pytest
import torch
from diffusers import LCMScheduler
from hypothesis import given
from hypothesis import strategies as st

from graphengine_nodes.diffusion.model.model_sampling import DiscreteSampling, FlowSampling, ModelSampling
from graphengine_nodes.diffusion.model.model_sampling_variants import (
    ContinuousSampling,
    CosineSampling,
    DistilledSampling,
    discrete,
)
from graphengine_nodes.diffusion.nodes import model_sampling_nodes as nodes
from graphengine_nodes.diffusion.sampling.names import SCHEDULERS
from graphengine_nodes.diffusion.sampling.schedules import calculate_sigmas

from .sampling_cases import tiny_model

LCM = DistilledSampling.of(DiscreteSampling.linear())
EDM = ContinuousSampling.between(0.002, 120.0, "edm")
ANGLE = ContinuousSampling.between(0.03, 500.0, "v", "arctan")


def given_levels(node: Any, **inputs: Any) -> ModelSampling:
    model = tiny_model()
    [patched] = node().patch(model, **inputs)
    assert model.sampling is not patched.sampling
    assert patched.network is model.network
    sampling: ModelSampling = patched.sampling
    return sampling


def test_a_discrete_model_is_given_its_prediction_and_table() -> None:
    plain = given_levels(nodes.ModelSamplingDiscrete, sampling="v_prediction", zsnr=False)
    zero = given_levels(nodes.ModelSamplingDiscrete, sampling="v_prediction", zsnr=True)
    assert isinstance(plain, DiscreteSampling)
    assert plain.prediction == "v"
    assert float(plain.sigmas[-1]) == pytest.approx(14.614642)
    assert float(zero.sigmas[-1]) == pytest.approx(4518.7637)
    with pytest.raises(ValueError, match="sampling is 'edm'; known: eps, v_prediction, lcm, x0, img_to_img"):
        discrete("edm")


def test_a_network_may_predict_the_clean_latent() -> None:
    x, output, sigma = torch.full((1, 4, 2, 2), 3.0), torch.ones(1, 4, 2, 2), torch.tensor([2.0])
    clean, whole = discrete("x0"), discrete("img_to_img")
    assert torch.equal(clean.denoised(sigma, output, x), output)
    torch.testing.assert_close(clean.scale_input(sigma, x), x / math.sqrt(5))
    assert torch.equal(whole.denoised(sigma, output, x), output)
    assert torch.equal(whole.scale_input(sigma, x), x)


def test_a_flow_shift_moves_the_middle_of_the_schedule() -> None:
    sd3 = given_levels(nodes.ModelSamplingSD3, shift=3.0)
    aura = given_levels(nodes.ModelSamplingAuraFlow, shift=1.73)
    half = torch.tensor(0.5)
    assert float(sd3.sigma(half * 1000)) == pytest.approx(0.75)
    assert float(sd3.timestep(half)) == 500.0
    assert float(aura.sigma(half)) == pytest.approx(1.73 / 2.73)
    assert float(aura.timestep(half)) == 0.5
    with pytest.raises(ValueError, match="shift is 0; it must be above 0"):
        given_levels(nodes.ModelSamplingSD3, shift=0.0)


@pytest.mark.parametrize(
    ("node", "inputs", "shift"),
    [
        (nodes.ModelSamplingFlux, {"max_shift": 1.15, "base_shift": 0.5, "width": 1024, "height": 1024}, 1.15),
        (nodes.ModelSamplingFlux, {"max_shift": 1.15, "base_shift": 0.5, "width": 256, "height": 256}, 0.5),
        (nodes.ModelSamplingLTXV, {"max_shift": 2.05, "base_shift": 0.95}, 2.05),
        (
            nodes.ModelSamplingLTXV,
            {"max_shift": 2.05, "base_shift": 0.95, "latent": {"samples": torch.zeros(1, 128, 4, 16, 16)}},
            0.95,
        ),
    ],
)
def test_the_shift_follows_from_the_number_of_tokens(node: Any, inputs: dict[str, Any], shift: float) -> None:
    sampling = given_levels(node, **inputs)
    assert isinstance(sampling, FlowSampling)
    assert sampling.shift == pytest.approx(shift)
    assert float(sampling.sigma(torch.tensor(0.5))) == pytest.approx(math.exp(shift) / (math.exp(shift) + 1))


def test_a_shift_whose_exponential_is_endless_is_named() -> None:
    inputs = {"max_shift": 100.0, "base_shift": 0.0, "width": 16384, "height": 16384}
    with pytest.raises(ValueError, match=r"shift is 27300; its exponential is taken"):
        given_levels(nodes.ModelSamplingFlux, **inputs)


def test_a_distilled_model_has_every_20th_level() -> None:
    table = DiscreteSampling.linear().sigmas
    assert torch.equal(LCM.sigmas, table[19::20])
    assert LCM.timestep(LCM.sigmas).tolist() == list(range(19, 1000, 20))
    torch.testing.assert_close(LCM.sigma(torch.tensor([19.0, 519.0, 999.0])), table[[19, 519, 999]])
    assert LCM.percent_to_sigma(0.0) > 1e8
    assert LCM.percent_to_sigma(1.0) == 0.0
    assert LCM.percent_to_sigma(0.02) == pytest.approx(float(LCM.sigma(torch.tensor(979.02))))


def test_a_distilled_prediction_has_the_boundary_scalings_of_the_paper() -> None:
    scheduler = LCMScheduler()
    x, eps = torch.randn((2, 1, 1, 4, 4), generator=torch.Generator().manual_seed(0))
    for timestep in (19, 499, 999):
        sigma = LCM.sigma(torch.tensor([float(timestep)]))
        c_skip, c_out = scheduler.get_scalings_for_boundary_condition_discrete(timestep)
        expected = c_out * (x - sigma * eps) + c_skip * x
        torch.testing.assert_close(LCM.denoised(sigma, eps, x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sampling", [EDM, ANGLE, LCM], ids=["edm", "angle", "lcm"])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_schedule_falls_to_zero_on_these_levels_too(sampling: ModelSampling, scheduler: str) -> None:
    sigmas = calculate_sigmas(sampling, scheduler, 8)
    assert bool((sigmas.diff() < 0).all())
    assert float(sigmas[-1]) == 0.0
    assert float(sigmas[0]) <= float(sampling.sigmas[-1]) * 1.001


@given(st.floats(0.0625, 100, width=32))
def test_time_and_level_of_continuous_models_undo_each_other(sigma: float) -> None:
    for sampling in (EDM, ANGLE):
        assert float(sampling.sigma(sampling.timestep(torch.tensor(sigma)))) == pytest.approx(sigma, rel=1e-3)
    assert float(EDM.timestep(torch.tensor(sigma))) == pytest.approx(math.log(sigma) / 4, abs=1e-6)


def test_percents_of_a_continuous_model_are_uniform_in_the_logarithm() -> None:
    assert EDM.percent_to_sigma(0.5) == pytest.approx(math.sqrt(0.002 * 120), rel=1e-4)
    assert [EDM.percent_to_sigma(0.0) > 1e8, EDM.percent_to_sigma(1.0)] == [True, 0.0]


@pytest.mark.parametrize("prediction", ["eps", "v_prediction", "edm"])
def test_a_perfect_continuous_prediction_gives_back_the_latent(prediction: str) -> None:
    sampling = given_levels(nodes.ModelSamplingContinuousEDM, sampling=prediction, sigma_max=80.0, sigma_min=0.002)
    generator = torch.Generator().manual_seed(1)
    latent, noise = (torch.randn((2, 4, 3, 3), generator=generator, dtype=torch.float64) for _ in range(2))
    sigma = torch.tensor([0.5, 9.0], dtype=torch.float64)
    level, data = sigma.reshape(-1, 1, 1, 1), 0.5
    x = sampling.noise_scaling(sigma, noise, latent, max_denoise=False)
    output = {
        "eps": noise,
        "v_prediction": (noise - level * latent) / (1 + level**2).sqrt(),
        # the target of Karras et al. (2022), eq. 8
        "edm": (latent - x * data**2 / (level**2 + data**2)) * (level**2 + data**2).sqrt() / (level * data),
    }[prediction]
    assert torch.allclose(sampling.denoised(sigma, output, x), latent, atol=1e-9)


def test_levels_told_by_their_angle_predict_the_velocity() -> None:
    levels = given_levels(nodes.ModelSamplingContinuousV, sampling="v_prediction", sigma_max=500.0, sigma_min=0.03)
    assert isinstance(levels, ContinuousSampling)
    assert [levels.prediction, levels.time, levels.sigma_data] == ["v", "arctan", 1.0]
    assert float(levels.timestep(torch.tensor(1.0))) == pytest.approx(0.5)


@pytest.mark.parametrize("name", ["edm_playground_v2.5", "cosmos_rflow"])
def test_the_levels_of_models_that_cannot_be_run_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"sampling is '{name}', .*take eps, v_prediction or edm"):
        given_levels(nodes.ModelSamplingContinuousEDM, sampling=name, sigma_max=120.0, sigma_min=0.002)


def test_a_range_without_levels_is_refused() -> None:
    with pytest.raises(ValueError, match="sigma_min is 2 and sigma_max 1; 0 < sigma_min < sigma_max is needed"):
        given_levels(nodes.ModelSamplingContinuousV, sampling="v_prediction", sigma_max=1.0, sigma_min=2.0)


# Stable Cascade


@pytest.mark.parametrize("shift", [1.0, 2.0])
def test_the_cosine_schedule_is_that_of_its_formula(shift: float) -> None:
    sampling = CosineSampling.shifted(shift)
    assert len(sampling.sigmas) == 10000
    assert bool((sampling.sigmas.diff() >= 0).all())
    for time in (0.1, 0.5, 0.9):
        angle, start = ((t + 0.008) / 1.008 * math.pi / 2 for t in (time, 0.0))
        signal = (math.cos(angle) / math.cos(start)) ** 2
        ratio = signal / (1 - signal) / shift**2
        expected = pytest.approx((1 / ratio) ** 0.5, rel=1e-4)
        assert float(sampling.sigma(torch.tensor(time))) == expected
        assert float(sampling.sigmas[round(time * 10000) - 1]) == expected
        assert sampling.percent_to_sigma(1 - time) == expected


def test_the_time_of_a_cosine_level_is_that_of_the_unshifted_schedule() -> None:
    sampling = CosineSampling.shifted(1.0)
    times = torch.tensor([0.1, 0.5, 0.9])
    torch.testing.assert_close(sampling.timestep(sampling.sigma(times)), times, atol=1e-4, rtol=0)
    shifted = CosineSampling.shifted(2.0)
    assert bool((shifted.timestep(shifted.sigma(times)) > times).all())


def test_the_ends_of_the_cosine_schedule_are_bounded() -> None:
    sampling = CosineSampling.shifted(2.0)
    assert sampling.percent_to_sigma(0.0) > 1e8
    assert sampling.percent_to_sigma(1.0) == 0.0
    assert float(sampling.sigmas[-1]) == pytest.approx((0.9999 / 0.0001) ** 0.5, rel=1e-3)
    with pytest.raises(ValueError, match="must be above 0"):
        CosineSampling.shifted(0.0)


def test_cascade_predicts_noise() -> None:
    sampling, sigma = CosineSampling.shifted(2.0), torch.tensor([2.0])
    x, output = torch.full((1, 1, 1, 1), 5.0), torch.full((1, 1, 1, 1), 0.5)
    assert float(sampling.denoised(sigma, output, x)) == 4.0
    assert float(sampling.scale_input(sigma, x)) == pytest.approx(5 / 5**0.5)
    assert not sampling.is_flow
    [model] = nodes.ModelSamplingStableCascade().patch(tiny_model(), 3.0)
    assert model.get_model_object("model_sampling.shift") == 3.0
