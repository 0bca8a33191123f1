import hashlib
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from graphengine_nodes.diffusion.model.model_sampling import DiscreteSampling, FlowSampling, ModelSampling

from .sampling_cases import MODEL_SAMPLINGS

EPS = DiscreteSampling.linear()
FLOW = FlowSampling.shifted(3.0)


def digest(table: Tensor) -> str:
    return hashlib.sha256(table.numpy().tobytes()).hexdigest()[:16]


def test_the_sigma_table_of_sd1_is_exact_to_the_last_bit() -> None:
    # one unit in the last place of a log sigma can move a timestep by one, and then the picture changes
    assert EPS.sigmas.dtype == EPS.log_sigmas.dtype == torch.float32
    assert digest(EPS.sigmas) == "187a5a207118003a"
    assert digest(EPS.log_sigmas) == "c60e02893d7f405a"


def test_the_tables_begin_and_end_where_their_families_do() -> None:
    assert [len(EPS.sigmas), float(EPS.sigmas[0]), float(EPS.sigmas[-1])] == [
        1000,
        pytest.approx(0.029167, abs=1e-6),
        pytest.approx(14.614642, abs=1e-6),
    ]
    assert float(MODEL_SAMPLINGS["eps_zsnr"].sigmas[-1]) == pytest.approx(4518.7637, rel=1e-7)
    assert [len(FLOW.sigmas), float(FLOW.sigmas[-1])] == [1000, 1.0]
    assert [
        len(MODEL_SAMPLINGS["flux_shift1.15"].sigmas),
        float(MODEL_SAMPLINGS["flux_shift1.15"].sigmas[-1]),
    ] == [
        10000,
        1.0,
    ]


@pytest.mark.parametrize("name", ["eps", "eps_zsnr"])
def test_every_table_entry_finds_its_own_timestep(name: str) -> None:
    sampling = MODEL_SAMPLINGS[name]
    assert torch.equal(sampling.timestep(sampling.sigmas), torch.arange(1000, dtype=torch.float32))


@given(st.floats(0, 999, width=32))
def test_sigma_between_two_timesteps_lies_between_their_sigmas(timestep: float) -> None:
    sigma = float(EPS.sigma(torch.tensor(timestep)))
    low, high = EPS.sigmas[math.floor(timestep)], EPS.sigmas[math.ceil(timestep)]
    assert float(low) * (1 - 1e-6) <= sigma <= float(high) * (1 + 1e-6)


@given(st.floats(2**-10, 1, width=32))
def test_timestep_and_sigma_of_a_linear_flow_shift_undo_each_other(time: float) -> None:
    sigma = FLOW.sigma(torch.tensor(time * FLOW.multiplier))
    unshifted = sigma / (FLOW.shift - (FLOW.shift - 1) * sigma)
    assert float(unshifted) == pytest.approx(time, rel=1e-4)
    assert float(FLOW.timestep(sigma)) == pytest.approx(float(sigma) * 1000)


@pytest.mark.parametrize("sampling", MODEL_SAMPLINGS.values(), ids=MODEL_SAMPLINGS.keys())
def test_percent_runs_from_all_noise_to_none(sampling: ModelSampling) -> None:
    percents = [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0]
    sigmas = [sampling.percent_to_sigma(percent) for percent in percents]
    assert sigmas == sorted(sigmas, reverse=True)
    assert sigmas[0] >= float(sampling.sigmas[-1])
    assert sigmas[-1] == 0.0


@pytest.mark.parametrize("sampling", MODEL_SAMPLINGS.values(), ids=MODEL_SAMPLINGS.keys())
def test_a_perfect_prediction_gives_back_the_latent(sampling: ModelSampling) -> None:
    generator = torch.Generator().manual_seed(1)
    latent, noise = (torch.randn((2, 4, 3, 3), generator=generator, dtype=torch.float64) for _ in range(2))
    sigma = sampling.sigmas[[300, 600]].double()
    x = sampling.noise_scaling(sigma, noise, latent, max_denoise=False)
    level = sigma.reshape(-1, 1, 1, 1)
    if sampling.is_flow:
        output = noise - latent
    elif sampling is EPS or getattr(sampling, "prediction", "") == "eps":
        output = noise
    else:  # v of Salimans and Ho: signal * noise - noise level * latent, both of the scaled input
        output = (noise - level * latent) / (1 + level**2).sqrt()
    assert torch.allclose(sampling.denoised(sigma, output, x), latent, atol=1e-9)


def test_the_scaled_input_of_a_unit_latent_has_unit_variance() -> None:
    generator = torch.Generator().manual_seed(2)
    latent, noise = (torch.randn((1, 1, 200, 200), generator=generator) for _ in range(2))
    sigma = torch.tensor(7.0)
    x = EPS.noise_scaling(sigma, noise, latent, max_denoise=False)
    assert float(EPS.scale_input(sigma, x).var()) == pytest.approx(1.0, abs=0.02)


def test_at_the_highest_level_the_noise_has_the_variance_of_the_whole_signal() -> None:
    noise, latent = torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)
    assert float(EPS.noise_scaling(torch.tensor(3.0), noise, latent, max_denoise=True)) == pytest.approx(
        math.sqrt(10)
    )
    assert float(EPS.noise_scaling(torch.tensor(3.0), noise, latent, max_denoise=False)) == 3.0


def test_a_flow_latent_left_at_a_level_is_brought_back_to_full_size() -> None:
    latent = torch.full((1, 1, 2, 2), 4.0)
    assert torch.equal(FLOW.inverse_noise_scaling(torch.tensor(0.75), latent * 0.25), latent)
    assert torch.equal(EPS.inverse_noise_scaling(torch.tensor(0.75), latent), latent)
