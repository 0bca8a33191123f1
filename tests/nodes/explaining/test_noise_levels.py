import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphengine_nodes.diffusion.sampling.ksampler import run_sigmas
from graphengine_nodes.diffusion.sampling.names import SCHEDULERS
from graphengine_nodes.diffusion.sampling.samplers import find_sampler
from graphengine_nodes.explaining import noise_levels
from tests.nodes.diffusion.sampling_cases import MODEL_SAMPLINGS, tiny_model

levels = st.floats(1e-3, 150.0)


@given(levels)
def test_signal_and_noise_fill_the_variance(sigma: float) -> None:
    value = torch.tensor(sigma, dtype=torch.float64)
    share = noise_levels.alpha_bar(value, is_flow=False)
    ratio = noise_levels.signal_to_noise(value, is_flow=False)
    assert share.item() == pytest.approx(1 / (1 + sigma**2))
    assert ratio.item() == pytest.approx((share / (1 - share)).item(), rel=1e-6)
    assert sigma == pytest.approx(((1 - share) / share).sqrt().item(), rel=1e-6)


@given(st.floats(0.001, 0.999))
def test_in_a_flow_the_share_of_the_signal_follows_from_the_straight_line(sigma: float) -> None:
    value = torch.tensor(sigma, dtype=torch.float64)
    share = noise_levels.alpha_bar(value, is_flow=True).item()
    assert share / (1 - share) == pytest.approx(((1 - sigma) / sigma) ** 2, rel=1e-6)
    assert noise_levels.signal_to_noise(value, is_flow=True).item() == pytest.approx(share / (1 - share), rel=1e-6)


def test_alpha_bar_is_the_product_of_the_alphas_of_training() -> None:
    sampling = MODEL_SAMPLINGS["eps"]
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    shares = noise_levels.alpha_bar(sampling.sigmas.double(), is_flow=False)
    assert torch.allclose(shares, (1 - betas).cumprod(dim=0), rtol=1e-5)


def test_the_last_level_has_no_noise_and_is_not_asked_for() -> None:
    *_, last = noise_levels.describe(MODEL_SAMPLINGS["eps"], torch.tensor([14.6146, 1.0, 0.0]))
    assert (last.alpha_bar, last.snr, last.timestep) == (1.0, math.inf, None)


@given(st.sampled_from(("euler", "uni_pc")), st.sampled_from(SCHEDULERS), st.integers(1, 12), st.floats(0.05, 1.0))
def test_a_run_with_less_denoise_is_the_end_of_a_longer_schedule(
    sampler: str, scheduler: str, steps: int, denoise: float
) -> None:
    sampling = MODEL_SAMPLINGS["eps"]
    whole = noise_levels.schedule(sampling, sampler, scheduler, steps, denoise)
    used = run_sigmas(sampling, find_sampler(sampler), scheduler, steps, denoise)
    assert [level.sigma for level in whole.used] == used.double().tolist()


def test_denoise_of_a_half_skips_half_of_the_schedule() -> None:
    whole = noise_levels.schedule(MODEL_SAMPLINGS["eps"], "euler", "karras", 10, 0.5)
    assert (len(whole.levels), whole.first) == (21, 10)
    rows = noise_levels.rows(whole.levels, whole.first)
    assert [rows[number][0] for number in (0, 9, 10, 19, 20)] == ["skipped", "skipped", "step 1", "step 10", "end"]
    assert rows[0][1:3] == ["14.6146", "999"]


def test_nothing_is_used_at_denoise_zero() -> None:
    assert noise_levels.schedule(MODEL_SAMPLINGS["eps"], "euler", "karras", 10, 0.0).levels == ()


def test_a_noised_latent_keeps_its_variance() -> None:
    model = tiny_model()
    generator = torch.Generator().manual_seed(1)
    latent = torch.randn(1, 4, 64, 64, generator=generator) / 0.18215  # of variance 1 to the model
    noise = torch.randn(1, 4, 64, 64, generator=generator)
    seen = noise_levels.noised(model, latent, noise, torch.tensor([10.0, 1.0, 0.0])) * 0.18215
    assert seen.shape == (3, 4, 64, 64)
    assert seen.flatten(1).var(dim=1).tolist() == pytest.approx([1.0] * 3, abs=0.05)
    assert torch.allclose(seen[2], latent[0] * 0.18215)
    mixed = 0.5**0.5 * latent[0] * 0.18215 + 0.5**0.5 * noise[0]
    assert torch.allclose(seen[1], mixed, atol=1e-6)


def test_in_a_flow_the_noised_latent_lies_on_the_straight_line() -> None:
    model = tiny_model(sampling=MODEL_SAMPLINGS["flow_shift3"])
    latent, noise = torch.full((1, 4, 2, 2), 2.0), torch.ones(1, 4, 2, 2)
    seen = noise_levels.noised(model, latent, noise, torch.tensor([0.25]))
    assert torch.allclose(seen * 0.18215, torch.tensor(0.75 * 2.0 * 0.18215 + 0.25))
