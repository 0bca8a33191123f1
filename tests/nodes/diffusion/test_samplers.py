from typing import Any

import pytest
import torch
from torch import Tensor

from graphengine_nodes.diffusion.sampling.names import SAMPLERS
from graphengine_nodes.diffusion.sampling.noise import ancestral_noise, brownian_noise
from graphengine_nodes.diffusion.sampling.samplers import SAMPLER_FUNCTIONS
from graphengine_nodes.diffusion.sampling.sampling import Denoiser, NoiseSampler, Step
from graphengine_nodes.diffusion.sampling.schedules import karras

from .sampling_cases import MODEL_SAMPLINGS, AnalyticDenoiser, GaussianDenoiser, reference_cases

CASES = {case["model_sampling"] + "-" + case["scheduler"]: case for case in reference_cases("samplers")}
NOISY = ("ancestral", "sde", "seeds", "sa_solver", "ddpm", "lcm")
STOCHASTIC = [name for name in SAMPLERS if any(part in name for part in NOISY)]
DETERMINISTIC = [name for name in SAMPLERS if name not in STOCHASTIC]


def noise_for(name: str, x: Tensor, seed: int, sigmas: Tensor) -> NoiseSampler:
    if SAMPLER_FUNCTIONS[name].noise == "brownian":
        return brownian_noise(x, seed, sigmas)
    return ancestral_noise(x, seed, seed_offset=0)


def run(name: str, model: Denoiser, x: Tensor, sigmas: Tensor, seed: int = 0) -> tuple[Tensor, list[Step]]:
    steps: list[Step] = []
    noise_sampler = noise_for(name, x, seed, sigmas)
    sampler = SAMPLER_FUNCTIONS[name].function
    return sampler(model, x, sigmas, callback=steps.append, noise_sampler=noise_sampler), steps


def test_the_names_offered_are_those_implemented() -> None:
    assert list(SAMPLERS) == list(SAMPLER_FUNCTIONS)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_equals_the_reference_output(name: str, case: dict[str, Any]) -> None:
    model = AnalyticDenoiser(MODEL_SAMPLINGS[case["model_sampling"]], case["cfg"])
    x = torch.tensor(case["x_init"]).reshape(case["shape"])
    expected = torch.tensor(case["samplers"][name]["out"]).reshape(case["shape"])
    sampled, _ = run(name, model, x, torch.tensor(case["sigmas"]), case["seed"])
    assert float((sampled - expected).abs().max() / expected.abs().max()) < 1e-4
    assert model.calls == case["samplers"][name]["calls"]


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_a_deterministic_sampler_ends_where_the_ode_of_a_gaussian_does(name: str) -> None:
    model = GaussianDenoiser()
    sigmas = karras(model.sampling, 100)
    x = torch.linspace(-30, 30, 12).reshape(1, 1, 3, 4)
    sampled, _ = run(name, model, x, sigmas)
    tolerance = 0.1 if name == "dpm_adaptive" else 0.03  # it chooses its steps for an error of 5 %
    torch.testing.assert_close(sampled, model.flow(x, sigmas[0]), atol=tolerance, rtol=0)


@pytest.mark.parametrize("name", [name for name in STOCHASTIC if not name.endswith("_gpu")])
def test_a_stochastic_sampler_gives_the_distribution_of_the_data(name: str) -> None:
    model = GaussianDenoiser()
    sigmas = karras(model.sampling, 80)
    x = model.mean + torch.randn((1, 1, 64, 64), generator=torch.Generator().manual_seed(3)) * sigmas[0]
    sampled, _ = run(name, model, x, sigmas, seed=4)
    assert float(sampled.mean()) == pytest.approx(model.mean, abs=0.04)
    # consistency sampling ends with a mean, not with a sample; this CFG++ form is biased even without guidance
    if name not in {"lcm", "dpmpp_2s_ancestral_cfg_pp"}:
        assert float(sampled.std()) == pytest.approx(model.deviation, rel=0.08)


def error(name: str, steps: int) -> float:
    """How far a sampler ends from the exact solution, between two levels above 0."""
    model = GaussianDenoiser()
    sigmas = karras(model.sampling, steps + 1)[:-1].double()
    x = torch.tensor([[[[20.0]]]], dtype=torch.float64)
    exact = model.mean + (x - model.mean) * ((0.64 + sigmas[-1] ** 2) / (0.64 + sigmas[0] ** 2)).sqrt()
    return float((run(name, model, x, sigmas)[0] - exact).abs())


@pytest.mark.parametrize(("name", "order"), [("euler", 1), ("heun", 2), ("dpm_2", 2), ("dpmpp_2m", 2), ("lms", 3)])
def test_halving_the_step_shrinks_the_error_by_the_order_of_the_solver(name: str, order: int) -> None:
    assert error(name, 40) / error(name, 80) > 0.8 * 2**order


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name not in {"dpm_fast", "dpm_adaptive"}])
def test_the_callback_comes_once_per_step_with_its_level(name: str) -> None:
    sigmas = karras(MODEL_SAMPLINGS["eps"], 5)
    _, steps = run(name, GaussianDenoiser(), torch.ones(1, 1, 2, 2), sigmas)
    assert [step.index for step in steps] == [0, 1, 2, 3, 4]
    assert torch.equal(torch.stack([step.sigma for step in steps]), sigmas[:-1])


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("family", ["eps", "flow_shift3"])
def test_one_step_to_zero_is_the_denoised_latent(name: str, family: str) -> None:
    sampling = MODEL_SAMPLINGS[family]
    model = AnalyticDenoiser(sampling, 1.0)
    x = torch.linspace(-2, 2, 16).reshape(1, 4, 2, 2)
    sigma = sampling.sigmas[500]
    sampled, _ = run(name, model, x, torch.stack([sigma, torch.tensor(0.0)]))
    # these stop at the last level above 0, or at a small one
    if name not in {"dpm_fast", "dpm_adaptive", "uni_pc", "uni_pc_bh2"}:
        torch.testing.assert_close(sampled, model(x, sigma), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", SAMPLERS)
def test_no_levels_leave_x_as_it_is(name: str) -> None:
    x = torch.ones(1, 4, 2, 2)
    sampled, steps = run(name, GaussianDenoiser(), x, torch.tensor([1.0]))
    assert torch.equal(sampled, x)
    assert steps == []
