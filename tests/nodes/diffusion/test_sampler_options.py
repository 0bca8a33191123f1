import pickle
from typing import Any

import pytest
import torch
from torch import Tensor

from graphengine_nodes.diffusion.model.model import Latent
from graphengine_nodes.diffusion.nodes import sampler_option_nodes as nodes
from graphengine_nodes.diffusion.sampling.custom_sampling import sample_custom
from graphengine_nodes.diffusion.sampling.dpm_solver import StepControl
from graphengine_nodes.diffusion.sampling.guiders import Guider, PositiveOnly
from graphengine_nodes.diffusion.sampling.noise import SeededNoise, ancestral_noise, brownian_noise
from graphengine_nodes.diffusion.sampling.samplers import Sampler, find_sampler
from graphengine_nodes.diffusion.sampling.sampling import Denoiser, Step, no_callback
from graphengine_nodes.diffusion.sampling.schedules import karras

from .sampling_cases import MODEL_SAMPLINGS, AnalyticDenoiser, GaussianDenoiser, text, tiny_model

EPS = MODEL_SAMPLINGS["eps"]
X = torch.linspace(-20, 20, 16).reshape(1, 4, 2, 2)


def run(sampler: Sampler, family: str = "eps", sigmas: Tensor | None = None, seed: int = 0) -> Tensor:
    sampling = MODEL_SAMPLINGS[family]
    if sigmas is None:
        sigmas = karras(sampling, 6)
    return run_on(AnalyticDenoiser(sampling, 2.0), sampler, X / 20 if sampling.is_flow else X, sigmas, seed)


def run_on(model: Denoiser, sampler: Sampler, x: Tensor, sigmas: Tensor, seed: int = 0) -> Tensor:
    brownian = sampler.noise == "brownian"
    noise = brownian_noise(x, seed, sigmas) if brownian else ancestral_noise(x, seed)
    return sampler.function(model, x, sigmas, callback=no_callback, noise_sampler=noise)


def dpm_adaptive(**changes: Any) -> Sampler:
    options: dict[str, Any] = {
        "order": 3,
        "rtol": 0.05,
        "atol": 0.0078,
        "h_init": 0.05,
        "pcoeff": 0.0,
        "icoeff": 1.0,
        "dcoeff": 0.0,
        "accept_safety": 0.81,
        "eta": 0.0,
        "s_noise": 1.0,
    }
    return nodes.SamplerDPMAdaptative().get_sampler(**{**options, **changes})[0]


def sa_solver(**changes: Any) -> Sampler:
    options: dict[str, Any] = {
        "model": tiny_model(),
        "eta": 1.0,
        "sde_start_percent": 0.2,
        "sde_end_percent": 0.8,
        "s_noise": 1.0,
        "predictor_order": 3,
        "corrector_order": 4,
        "use_pece": False,
        "simple_order_2": False,
    }
    return nodes.SamplerSASolver().get_sampler(**{**options, **changes})[0]


BY_DEFAULT: dict[str, Sampler] = {
    "euler": nodes.KSamplerSelect().get_sampler("euler")[0],
    "euler_ancestral": nodes.SamplerEulerAncestral().get_sampler(1.0, 1.0)[0],
    "euler_ancestral_cfg_pp": nodes.SamplerEulerAncestralCFGPP().get_sampler(1.0, 1.0)[0],
    "euler_cfg_pp": nodes.SamplerEulerCFGpp().get_sampler("regular")[0],
    "lms": nodes.SamplerLMS().get_sampler(4)[0],
    "dpmpp_2s_ancestral": nodes.SamplerDPMPP_2S_Ancestral().get_sampler(1.0, 1.0)[0],
    "dpmpp_sde": nodes.SamplerDPMPP_SDE().get_sampler(1.0, 1.0, 0.5, "gpu")[0],
    "dpmpp_2m_sde": nodes.SamplerDPMPP_2M_SDE().get_sampler("midpoint", 1.0, 1.0, "cpu")[0],
    "dpmpp_2m_sde_heun": nodes.SamplerDPMPP_2M_SDE().get_sampler("heun", 1.0, 1.0, "gpu")[0],
    "dpmpp_3m_sde": nodes.SamplerDPMPP_3M_SDE().get_sampler(1.0, 1.0, "gpu")[0],
    "dpm_adaptive": dpm_adaptive(),
    "er_sde": nodes.SamplerER_SDE().get_sampler("ER-SDE", 3, 1.0, 1.0)[0],
    "sa_solver": sa_solver(),
    "sa_solver_pece": sa_solver(use_pece=True),
}


@pytest.mark.parametrize("name", BY_DEFAULT)
def test_a_node_with_its_defaults_gives_the_sampler_of_that_name(name: str) -> None:
    assert torch.equal(run(BY_DEFAULT[name]), run(find_sampler(name)))


@pytest.mark.parametrize("name", BY_DEFAULT)
def test_a_sampler_with_options_can_be_sent_to_another_process(name: str) -> None:
    sampler = BY_DEFAULT[name]
    sent = pickle.loads(pickle.dumps(sampler))
    assert torch.equal(run(sent), run(sampler))


ALIKE: dict[str, tuple[Sampler, str]] = {
    "euler_ancestral": (nodes.SamplerEulerAncestral().get_sampler(0.0, 1.0)[0], "euler"),
    "euler_ancestral_cfg_pp": (nodes.SamplerEulerAncestralCFGPP().get_sampler(0.0, 1.0)[0], "euler_cfg_pp"),
    "dpmpp_2m_sde": (nodes.SamplerDPMPP_2M_SDE().get_sampler("midpoint", 0.0, 1.0, "cpu")[0], "dpmpp_2m"),
    "lms": (nodes.SamplerLMS().get_sampler(1)[0], "euler"),
}


@pytest.mark.parametrize("name", ALIKE)
def test_without_its_noise_or_its_order_a_sampler_is_a_plainer_one(name: str) -> None:
    sampler, plain = ALIKE[name]
    torch.testing.assert_close(run(sampler), run(find_sampler(plain)), rtol=1e-4, atol=1e-4)


SILENT: dict[str, Sampler] = {
    "euler_ancestral": nodes.SamplerEulerAncestral().get_sampler(1.0, 0.0)[0],
    "dpmpp_2s_ancestral, eta": nodes.SamplerDPMPP_2S_Ancestral().get_sampler(0.0, 1.0)[0],
    "dpmpp_2s_ancestral": nodes.SamplerDPMPP_2S_Ancestral().get_sampler(1.0, 0.0)[0],
    "dpmpp_sde": nodes.SamplerDPMPP_SDE().get_sampler(1.0, 0.0, 0.5, "gpu")[0],
    "dpmpp_2m_sde": nodes.SamplerDPMPP_2M_SDE().get_sampler("midpoint", 1.0, 0.0, "cpu")[0],
    "dpmpp_3m_sde": nodes.SamplerDPMPP_3M_SDE().get_sampler(1.0, 0.0, "gpu")[0],
    "er_sde": nodes.SamplerER_SDE().get_sampler("ER-SDE", 3, 1.0, 0.0)[0],
    "er_sde, ode": nodes.SamplerER_SDE().get_sampler("ODE", 3, 1.0, 1.0)[0],
    "er_sde, reverse": nodes.SamplerER_SDE().get_sampler("Reverse-time SDE", 2, 0.0, 1.0)[0],
    "sa_solver": sa_solver(s_noise=0.0),
    "sa_solver, eta": sa_solver(eta=0.0, corrector_order=0),
}


@pytest.mark.parametrize("name", SILENT)
@pytest.mark.parametrize("family", ["eps", "flow_shift3"])
def test_without_noise_the_seed_does_not_matter(name: str, family: str) -> None:
    first, second = (run(SILENT[name], family, seed=seed) for seed in (1, 2))
    assert torch.equal(first, second)
    assert first.isfinite().all()


@pytest.mark.parametrize(
    "sampler",
    [
        nodes.SamplerER_SDE().get_sampler("ODE", 1, 1.0, 1.0)[0],
        nodes.SamplerER_SDE().get_sampler("ODE", 2, 1.0, 1.0)[0],
        nodes.SamplerER_SDE().get_sampler("ODE", 3, 1.0, 1.0)[0],
        sa_solver(eta=0.0),
        sa_solver(eta=0.0, predictor_order=2, corrector_order=2, simple_order_2=True),
        sa_solver(eta=0.0, predictor_order=1, corrector_order=0),
        sa_solver(eta=0.0, predictor_order=6, corrector_order=6),
        dpm_adaptive(order=2, rtol=0.01),
        dpm_adaptive(pcoeff=0.2, icoeff=0.5, dcoeff=0.1),
        nodes.SamplerLMS().get_sampler(2)[0],
        nodes.SamplerLMS().get_sampler(6)[0],
        nodes.SamplerDPMPP_SDE().get_sampler(0.0, 1.0, 0.7, "cpu")[0],
    ],
)
def test_a_deterministic_choice_ends_where_the_ode_of_a_gaussian_does(sampler: Sampler) -> None:
    model = GaussianDenoiser()
    sigmas = karras(model.sampling, 100)
    torch.testing.assert_close(run_on(model, sampler, X, sigmas), model.flow(X, sigmas[0]), atol=0.1, rtol=0)


@pytest.mark.parametrize(
    "sampler",
    [
        nodes.SamplerER_SDE().get_sampler("Reverse-time SDE", 3, 1.0, 1.0)[0],
        nodes.SamplerER_SDE().get_sampler("ER-SDE", 1, 1.0, 1.0)[0],
        sa_solver(eta=0.5, simple_order_2=True, predictor_order=2, corrector_order=2),
        dpm_adaptive(eta=1.0, rtol=0.02),
        nodes.SamplerEulerAncestral().get_sampler(0.5, 1.0)[0],
        nodes.SamplerDPMPP_3M_SDE().get_sampler(0.5, 1.0, "gpu")[0],
    ],
)
def test_a_stochastic_choice_gives_the_distribution_of_the_data(sampler: Sampler) -> None:
    model = GaussianDenoiser()
    sigmas = karras(model.sampling, 80)
    x = model.mean + torch.randn((1, 1, 64, 64), generator=torch.Generator().manual_seed(3)) * sigmas[0]
    sampled = run_on(model, sampler, x, sigmas, seed=4)
    assert float(sampled.mean()) == pytest.approx(model.mean, abs=0.04)
    assert float(sampled.std()) == pytest.approx(model.deviation, rel=0.08)


def test_simple_weights_meet_the_exact_ones_as_steps_shrink() -> None:
    exact, simple = (
        sa_solver(eta=0.0, predictor_order=2, corrector_order=2, simple_order_2=simple) for simple in (False, True)
    )

    def gap(steps: int) -> float:
        sigmas = karras(EPS, steps)
        return float((run(exact, sigmas=sigmas) - run(simple, sigmas=sigmas)).abs().max())

    assert gap(40) < gap(10) / 8


def test_noise_of_sa_solver_comes_only_within_its_range() -> None:
    late = sa_solver(sde_start_percent=1.0, sde_end_percent=1.0)
    assert torch.equal(run(late, seed=1), run(late, seed=2))


def test_the_alternative_euler_goes_along_a_moved_x() -> None:
    [sampler] = nodes.SamplerEulerCFGpp().get_sampler("alternative")
    model = AnalyticDenoiser(EPS, 2.0)
    denoised, uncond = model.guided(X, torch.tensor(4.0))
    sampled = run(sampler, sigmas=torch.tensor([4.0, 1.0]))
    torch.testing.assert_close(sampled, X + (X - 2 * denoised + uncond) / 4 * -3)


@pytest.mark.parametrize(
    ("ratio", "steps", "sizes"),
    [(2.0, -1, [4, 5, 7, 8, 8, 8]), (1.5, 2, [4, 5, 6, 6, 6, 6]), (1.0, -1, [4] * 6), (0.5, 1, [4] + [2] * 5)],
)
def test_a_latent_grows_evenly_over_the_first_steps(ratio: float, steps: int, sizes: list[int]) -> None:
    [sampler] = nodes.SamplerLCMUpscale().get_sampler(ratio, steps, "nearest-exact")
    seen: list[int] = []

    def note(step: Step) -> None:
        seen.append(step.x.shape[-1])

    x = torch.ones(1, 1, 4, 4)
    sigmas = karras(EPS, 6)
    sampler.function(GaussianDenoiser(), x, sigmas, callback=note, noise_sampler=ancestral_noise(x, 0))
    assert seen == sizes


def test_a_latent_that_does_not_grow_is_sampled_as_by_lcm() -> None:
    [sampler] = nodes.SamplerLCMUpscale().get_sampler(1.0, -1, "nearest-exact")
    assert torch.equal(run(sampler), run(find_sampler("lcm")))


def test_a_masked_latent_cannot_grow() -> None:
    [sampler] = nodes.SamplerLCMUpscale().get_sampler(2.0, -1, "bilinear")
    latent: Latent = {"samples": torch.zeros(1, 4, 4, 4), "noise_mask": torch.ones(1, 4, 4)}
    guider = Guider(tiny_model(), {"positive": [text(0.4)]}, PositiveOnly())
    with pytest.raises(ValueError, match=r"gave x the size \(6, 6\), but the latent's noise_mask has"):
        sample_custom(guider, noise=SeededNoise(0), sampler=sampler, sigmas=karras(EPS, 4), latent=latent)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"h_init": 0.0}, "h_init is 0; the first step must be above 0"),
        ({"accept_safety": 3.0}, "accept_safety is 3; no step is accepted from 2.57 on"),
    ],
)
def test_options_with_which_no_step_can_be_taken_are_refused(changes: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dpm_adaptive(**changes)


def test_an_adaptive_run_without_tolerance_ends() -> None:
    sigmas = torch.tensor([1.0, 0.9])
    exact, usual = (run(dpm_adaptive(rtol=rtol, atol=rtol), sigmas=sigmas) for rtol in (0.0, 0.001))
    torch.testing.assert_close(exact, usual, atol=1e-3, rtol=0)


def test_an_adaptive_run_that_cannot_go_on_ends_with_what_to_change() -> None:
    with pytest.raises(ValueError, match=r"no step of sampler 'dpm_adaptive' is accepted .*raise rtol and atol"):
        run(dpm_adaptive(accept_safety=2.5))


def test_a_middle_at_the_start_of_a_step_is_refused() -> None:
    with pytest.raises(ValueError, match="r is 0; the middle of a step must lie above 0"):
        nodes.SamplerDPMPP_SDE().get_sampler(1.0, 1.0, 0.0, "cpu")


def test_the_first_step_of_the_controller_is_its_h_init() -> None:
    assert StepControl().h_init == 0.05
    x = run(dpm_adaptive(h_init=2.0))
    torch.testing.assert_close(x, run(dpm_adaptive(h_init=0.01)), atol=0.3, rtol=0)
