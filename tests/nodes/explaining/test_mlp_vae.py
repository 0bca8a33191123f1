import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphengine_nodes.explaining import mlp_vae
from graphengine_nodes.explaining.gaussians import normal_log_density, standard_noise
from graphengine_nodes.explaining.mlp_vae import Likelihood


def _weights(likelihood: Likelihood, latents: int = 1, seed: int = 1) -> dict[str, Tensor]:
    """A network for pictures of three numbers, with weights large enough to matter."""
    weights = mlp_vae.initial_weights(3, 4, latents, likelihood, seed)
    return {name: value.double() * 10 + 0.1 for name, value in weights.items()}


def _log_evidence(weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """log p(x) by the trapezium rule over a z of one dimension: exact but for rounding."""
    z = torch.linspace(-12, 12, 20_001, dtype=torch.float64)[:, None]
    zero = torch.zeros_like(z)
    joint = [mlp_vae.log_likelihood(weights, row.expand(len(z), -1), z) for row in x]
    density = torch.stack(joint) + normal_log_density(z, zero, zero)
    return density.logsumexp(dim=1) + math.log(24 / 20_000)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
@settings(max_examples=10)
@given(seed=st.integers(0, 1000))
def test_the_bound_is_below_the_evidence_by_the_divergence_from_the_true_posterior(
    likelihood: Likelihood, seed: int
) -> None:
    weights = _weights(likelihood, seed=seed)
    x = torch.rand(2, 3, generator=torch.Generator().manual_seed(seed)).double()
    noise = standard_noise((4000, 1), seed).double()
    elbo = torch.stack([mlp_vae.terms(weights, row.expand(4000, -1), noise).elbo.mean() for row in x])
    assert (elbo <= _log_evidence(weights, x) + 0.05).all()


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_importance_samples_come_near_the_evidence_from_the_bound(likelihood: Likelihood) -> None:
    weights, x = _weights(likelihood), torch.tensor([[0.1, 0.9, 0.5], [0.8, 0.2, 0.4]]).double()
    noise = standard_noise((5000, 2, 1), 5).double()
    elbo = torch.stack([mlp_vae.terms(weights, x, draw).elbo for draw in noise[:1000]]).mean(dim=0)
    estimate = mlp_vae.importance_log_likelihood(weights, x, noise)
    assert (elbo <= estimate).all()
    assert estimate.tolist() == pytest.approx(_log_evidence(weights, x).tolist(), abs=0.03)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_gradients_agree_with_finite_differences(likelihood: Likelihood) -> None:
    weights = _weights(likelihood, latents=2)
    x, noise = torch.tensor([[0.2, 0.7, 0.5]]).double(), standard_noise((1, 2), 9).double()
    names = list(weights)

    def loss(*values: Tensor) -> Tensor:
        return -mlp_vae.terms(dict(zip(names, values, strict=True)), x, noise).elbo.mean()

    inputs = tuple(value.requires_grad_() for value in weights.values())
    assert torch.autograd.gradcheck(loss, inputs, eps=1e-6, atol=1e-6)


def test_a_decoder_that_ignores_z_leaves_the_bound_tight_at_the_prior() -> None:
    weights = {name: torch.zeros_like(value) for name, value in _weights("bernoulli").items()}
    terms = mlp_vae.terms(weights, torch.full((1, 3), 0.5).double(), torch.zeros(1, 1).double())
    assert terms.kl.item() == 0.0
    assert terms.elbo.item() == pytest.approx(3 * math.log(0.5))


def test_equal_shares_of_the_prior_lie_between_the_points_of_a_grid() -> None:
    points = mlp_vae.latent_grid(3, 2)
    assert points.shape == (6, 2)
    shares = torch.special.ndtr(points)
    assert shares[:3, 0].tolist() == pytest.approx([1 / 6, 1 / 2, 5 / 6], abs=1e-6)
    assert shares[::3, 1].tolist() == pytest.approx([3 / 4, 1 / 4], abs=1e-6)
