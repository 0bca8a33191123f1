from dataclasses import replace

import pytest
import torch
from torch import Tensor

from graphengine.node.api import NodeContext, RunCancelled
from graphengine_nodes.explaining import mlp_vae
from graphengine_nodes.explaining.mlp_vae_nodes import ExplainTrainMLPVAE
from graphengine_nodes.explaining.mlp_vae_training import Settings, as_rows, train, variations

SMALL = Settings(size=4, hidden=8, latents=2, steps=60, batch_size=8, learning_rate=0.02, seed=3)


def _bars() -> Tensor:
    """Sixteen pictures of 4x4 pixels, each with one white column or row."""
    pictures = torch.zeros(8, 4, 4, 3)
    for place in range(4):
        pictures[place, :, place], pictures[4 + place, place] = 1.0, 1.0
    return pictures.repeat(2, 1, 1, 1)


def _ignore(step: int, total: int) -> None:
    """Nobody listens."""


def test_training_raises_the_bound_and_uses_the_latents() -> None:
    trained = train(_bars(), replace(SMALL, steps=400), _ignore)
    assert trained.elbo[-40:].mean() > trained.elbo[:10].mean() + 5
    assert trained.kl[-40:].mean() > 0.5


def test_equal_seeds_train_equal_autoencoders() -> None:
    first, again, other = (train(_bars(), replace(SMALL, seed=seed), _ignore) for seed in (3, 3, 4))
    assert torch.equal(first.elbo, again.elbo)
    assert all(torch.equal(value, again.vae["weights"][name]) for name, value in first.vae["weights"].items())
    assert not torch.equal(first.elbo, other.elbo)


def test_training_works_where_gradients_are_off() -> None:
    with torch.inference_mode():
        trained = train(_bars(), replace(SMALL, steps=2), _ignore)
    assert not any(value.requires_grad for value in trained.vae["weights"].values())


def test_a_gaussian_decoder_has_a_variance_for_each_pixel() -> None:
    trained = train(_bars(), replace(SMALL, steps=3, likelihood="gaussian"), _ignore)
    assert trained.vae["weights"]["pixel_log_variance.bias"].shape == (48,)
    assert trained.elbo.isfinite().all()


def test_training_can_be_stopped_between_steps() -> None:
    steps: list[int] = []
    context = NodeContext(
        on_progress=lambda value, total: steps.append(value), is_cancelled=lambda: len(steps) == 3
    )
    with pytest.raises(RunCancelled):
        ExplainTrainMLPVAE().train(_bars(), 4, 8, 2, "bernoulli", 100, 8, 0.01, 0, context)
    assert steps == [1, 2, 3]


def test_there_must_be_something_to_learn_from() -> None:
    nothing = torch.zeros(0, 4, 4, 3)
    with pytest.raises(ValueError, match=r"images has the shape \[0, 4, 4, 3\]: there is no picture in it"):
        train(nothing, SMALL, _ignore)
    with pytest.raises(ValueError, match="there is no picture in it"):
        variations(nothing, 3, 0.0, 0.0, 0.0, 1)


def test_pictures_of_any_size_grey_or_with_alpha_become_rows() -> None:
    assert as_rows(torch.full((2, 9, 5, 4), 0.25), 4).shape == (2, 48)
    assert as_rows(torch.full((2, 9, 5, 1), 0.25), 4).shape == (2, 48)
    assert as_rows(torch.full((1, 1, 1, 3), 0.25), 4).flatten().tolist() == [0.25] * 48


def test_variations_move_a_picture_and_nothing_moves_at_zero() -> None:
    picture = torch.zeros(1, 8, 8, 3)
    picture[0, 3:5, 3:5] = 1.0
    assert torch.allclose(variations(picture, 3, 0.0, 0.0, 0.0, 1), picture.expand(3, -1, -1, -1), atol=1e-5)
    moved = variations(picture, 50, 0.25, 0.0, 0.0, 1)
    assert moved.sum(dim=(1, 2, 3)).tolist() == pytest.approx([12.0] * 50, rel=1e-4)  # none left the picture
    places = (moved.mean(dim=(2, 3)) * torch.arange(8)).sum(dim=1) / moved.mean(dim=(2, 3)).sum(dim=1)
    assert 1.4 < places.min() < 2.5 < 4.5 < places.max() < 5.6


def test_samples_of_the_prior_are_pictures() -> None:
    trained = train(_bars(), SMALL, _ignore)
    decoded = mlp_vae.decode(trained.vae["weights"], torch.zeros(2, 2))
    assert decoded.shape == (2, 48)
    assert ((decoded > 0) & (decoded < 1)).all()
