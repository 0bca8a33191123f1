import math

import pytest
import torch
from torch import Tensor

from graphengine.errors import GraphEngineError, ModelError
from graphengine.node.api import NodeContext
from graphengine_nodes.explaining import posterior_views
from graphengine_nodes.explaining.posterior import bound, posterior
from graphengine_nodes.explaining.posterior_nodes import ExplainELBO, ExplainVAEPosterior

from .toy_vae import toy_vae


def _go_on() -> None:
    """Nobody stops it."""


def _ignore(step: int, total: int) -> None:
    """Nobody listens."""


def _grey(value: float, count: int = 2) -> Tensor:
    return torch.full((count, 16, 24, 3), value)


def test_a_variational_encoder_states_its_own_variance() -> None:
    given = posterior(toy_vae(0.5), _grey(0.75), 0.0, _go_on)
    assert given.learned
    assert given.mean.shape == (2, 4, 2, 3)
    assert set(given.mean[:, :3].flatten().tolist()) == {0.5}
    assert given.log_variance.flatten().tolist() == pytest.approx([2 * math.log(0.5)] * 48)


def test_a_tiny_autoencoder_is_refused_unless_a_deviation_is_stated() -> None:
    with pytest.raises(ModelError, match="gives one point for a picture, without a variance") as refused:
        posterior(toy_vae(), _grey(0.75), 0.0, _go_on)
    assert "fixed_deviation" in (refused.value.hint or "")
    given = posterior(toy_vae(), _grey(0.75), 0.25, _go_on)
    assert not given.learned
    assert given.log_variance.flatten().tolist() == pytest.approx([2 * math.log(0.25)] * 48)


def test_temperature_0_gives_the_mean_and_1_the_stated_spread() -> None:
    given = posterior(toy_vae(0.5), torch.full((1, 512, 512, 3), 0.75), 0.0, _go_on)
    assert torch.equal(given.sample(1, 0.0), given.mean)
    assert (given.sample(1) - given.mean).std().item() == pytest.approx(0.5, abs=0.01)
    assert (given.sample(1, 2.0) - given.mean).std().item() == pytest.approx(1.0, abs=0.02)


def test_the_node_gives_latents_their_divergence_and_says_whose_variance_it_is() -> None:
    node = ExplainVAEPosterior()
    sample, mean, log_variance, kl, table = node.encode(toy_vae(), _grey(0.5), 1, 1.0, 0.5, NodeContext())
    assert sample["samples"].shape == mean["samples"].shape == log_variance["samples"].shape == (2, 4, 2, 3)
    assert kl == pytest.approx(24 / 2 * (0.25 - 1 - math.log(0.25)), rel=1e-5)  # 24 numbers with mean 0
    assert "stated by fixed_deviation" in table
    assert "the encoder's own" in node.encode(toy_vae(0.5), _grey(0.5), 1, 1.0, 0.0, NodeContext())[4]


def test_the_bound_of_a_perfect_decoder_has_only_constants_and_the_divergence() -> None:
    vae, pixels = toy_vae(1e-6), _grey(0.5)
    given = posterior(vae, pixels, 0.0, _go_on)
    both, decoded = bound(vae, pixels, given, seed=1, samples=2, deviation=1.0, check=_go_on, progress=_ignore)
    n = 16 * 24 * 3
    assert both.log_likelihood.tolist() == pytest.approx([-n / 2 * math.log(2 * math.pi)] * 2, rel=1e-5)
    assert both.elbo.tolist() == pytest.approx((both.log_likelihood - both.kl).tolist())
    assert torch.allclose(decoded, pixels, atol=1e-5)


def test_noise_in_the_latent_lowers_the_likelihood_and_the_divergence() -> None:
    def terms(deviation: float) -> tuple[float, float]:
        _, fit, kl, _, _ = ExplainELBO().bound(toy_vae(deviation), _grey(0.5), 1, 4, 0.1, 0.0, NodeContext())
        return fit, kl

    (sharp_fit, sharp_kl), (blurred_fit, blurred_kl) = terms(0.01), terms(0.3)
    assert sharp_fit > blurred_fit
    assert sharp_kl > blurred_kl


def test_a_divergence_is_split_among_channels_and_cells() -> None:
    mean = torch.zeros(1, 4, 2, 3)
    mean[0, 1, 0, 0] = 2.0
    kl, table, picture = posterior_views.kl_views(mean, torch.zeros(1, 4, 2, 3))
    assert kl == 2.0
    assert table.splitlines()[2].split() == ["1", "2.00", "100.0%"]
    assert picture.shape[0] == 1


def test_a_divergence_of_nothing_from_itself_has_no_shares() -> None:
    kl, table, _ = posterior_views.kl_views(torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2, 2))
    assert kl == 0.0
    assert table.splitlines()[1].split() == ["0", "0.00", "-"]


def test_a_reconstruction_is_compared_with_the_middle_of_a_larger_original() -> None:
    original = torch.rand(1, 20, 19, 3, generator=torch.Generator().manual_seed(1))
    mse, psnr, likelihood, table, picture = posterior_views.reconstruction_views(
        original, original[:, 2:18, 1:17], 0.5
    )
    assert (mse, psnr) == (0.0, math.inf)
    assert likelihood == pytest.approx(-16 * 16 * 3 * (math.log(0.5) + 0.5 * math.log(2 * math.pi)), rel=1e-5)
    assert table.splitlines()[1].split()[:2] == ["1", "0.000000"]
    assert picture.shape[0] == 1


def test_pictures_that_do_not_belong_together_are_named_by_their_shapes() -> None:
    with pytest.raises(GraphEngineError, match=r"\[1, 8, 8, 3\] and reconstruction \[2, 8, 8, 3\]"):
        posterior_views.reconstruction_views(torch.zeros(1, 8, 8, 3), torch.zeros(2, 8, 8, 3), 0.1)
    with pytest.raises(
        GraphEngineError, match=r"mean has the shape \[1, 4, 2, 2\] and log_variance \[1, 4, 2, 3\]"
    ):
        posterior_views.kl_views(torch.zeros(1, 4, 2, 2), torch.zeros(1, 4, 2, 3))
