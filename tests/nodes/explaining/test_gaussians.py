import math
from statistics import NormalDist

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from graphengine_nodes.explaining.gaussians import (
    bernoulli_log_likelihood,
    gaussian_log_likelihood,
    kl_of_each_number,
    kl_to_standard_normal,
    mean_squared_error,
    normal_log_density,
    peak_signal_to_noise,
    reparameterised,
    standard_noise,
)

numbers = st.floats(-5, 5, width=32)
pairs = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=6)


def _columns(values: list[tuple[float, float]]) -> tuple[Tensor, Tensor]:
    mean, log_variance = torch.tensor(values, dtype=torch.float64).T
    return mean[None], log_variance[None]


@given(pairs)
def test_the_divergence_is_that_of_the_closed_form_and_never_negative(values: list[tuple[float, float]]) -> None:
    mean, log_variance = _columns(values)
    reference = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum()
    assert kl_to_standard_normal(mean, log_variance).item() == pytest.approx(reference.item(), rel=1e-9, abs=1e-9)
    assert (kl_of_each_number(mean, log_variance) >= 0).all()


def test_the_divergence_of_the_standard_normal_from_itself_is_zero() -> None:
    assert kl_to_standard_normal(torch.zeros(2, 4, 8, 8), torch.zeros(2, 4, 8, 8)).tolist() == [0.0, 0.0]


def test_a_reparameterised_sample_has_the_stated_mean_and_variance() -> None:
    mean, log_variance = torch.tensor([[2.0]]), torch.tensor([[2 * math.log(0.5)]])
    samples = reparameterised(mean, log_variance, standard_noise((200_000, 1), 3))
    assert samples.mean().item() == pytest.approx(2.0, abs=0.005)
    assert samples.std().item() == pytest.approx(0.5, abs=0.003)


def test_a_reparameterised_sample_can_be_differentiated_by_mean_and_log_variance() -> None:
    mean, log_variance = torch.tensor([1.0], requires_grad=True), torch.tensor([0.0], requires_grad=True)
    reparameterised(mean, log_variance, torch.tensor([3.0])).backward()  # type: ignore[no-untyped-call]
    assert (mean.grad, log_variance.grad) == (torch.tensor([1.0]), torch.tensor([1.5]))


def test_noise_follows_from_the_seed_alone() -> None:
    assert torch.equal(standard_noise((2, 3), 7), standard_noise((2, 3), 7))
    assert not torch.equal(standard_noise((2, 3), 7), standard_noise((2, 3), 8))


@given(pairs, numbers)
def test_a_density_is_that_of_the_normal_distribution(values: list[tuple[float, float]], x: float) -> None:
    mean, log_variance = _columns(values)
    wanted = [NormalDist(m, math.exp(v / 2)) for m, v in values]
    density = normal_log_density(torch.full_like(mean, x), mean, log_variance)
    exponents = sum(-(((x - normal.mean) / normal.stdev) ** 2) / 2 for normal in wanted)
    factors = sum(math.log(normal.stdev * math.sqrt(2 * math.pi)) for normal in wanted)
    assert density.item() == pytest.approx(exponents - factors, rel=1e-9, abs=1e-9)


@given(st.floats(0.01, 10), st.integers(0, 100))
def test_a_gaussian_likelihood_is_the_squared_error_but_for_constants(deviation: float, seed: int) -> None:
    x, y = standard_noise((2, 1, 4, 4, 3), seed).double()
    likelihood = gaussian_log_likelihood(x, y, deviation)
    n = x[0].numel()
    constant = -n * math.log(deviation) - n / 2 * math.log(2 * math.pi)
    wanted = constant - n * mean_squared_error(x, y) / (2 * deviation**2)
    assert likelihood.item() == pytest.approx(wanted.item(), rel=1e-5)


def test_a_likelihood_needs_a_deviation_above_zero() -> None:
    with pytest.raises(ValueError, match="deviation is 0; a normal distribution needs one above 0"):
        gaussian_log_likelihood(torch.zeros(1, 2), torch.zeros(1, 2), 0.0)


def test_a_bernoulli_likelihood_is_the_log_probability_of_black_and_white_pictures() -> None:
    x, logits = torch.tensor([[0.0, 1.0, 1.0]]), torch.tensor([[-1.0, 2.0, 0.0]])
    chances = [1 - 1 / (1 + math.e), 1 / (1 + math.exp(-2)), 0.5]
    assert bernoulli_log_likelihood(x, logits).item() == pytest.approx(math.log(math.prod(chances)), rel=1e-6)


def test_a_picture_that_is_off_by_a_tenth_has_a_psnr_of_20_decibels() -> None:
    error = mean_squared_error(torch.full((1, 2, 2, 3), 0.5), torch.full((1, 2, 2, 3), 0.6))
    assert peak_signal_to_noise(error).item() == pytest.approx(20.0, abs=1e-4)
    assert peak_signal_to_noise(torch.tensor([0.0])).item() == math.inf
