"""Training of the small variational autoencoder, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from . import mlp_vae
from .mlp_vae import MLPVAE, Likelihood


@dataclass(frozen=True, slots=True)
class Settings:
    """How a small autoencoder is built and trained."""

    size: int = 16
    hidden: int = 200
    latents: int = 2
    likelihood: Likelihood = "bernoulli"
    steps: int = 1000
    batch_size: int = 32
    learning_rate: float = 0.001
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A trained autoencoder, and both terms of the bound of each step's batch, in nats per picture: (steps,)."""

    vae: MLPVAE
    log_likelihood: Tensor
    kl: Tensor

    @property
    def elbo(self) -> Tensor:
        """log_likelihood - kl, (steps,)."""
        return self.log_likelihood - self.kl


def as_rows(images: Tensor, size: int) -> Tensor:
    """Pictures (B, H, W, C) in 0..1 as rows (B, size * size * 3), each averaged down or enlarged.

    Of more than three channels the first three count, of fewer the first one, as grey.

    Raises:
        ValueError: there are no pictures.
    """
    if not images.numel():
        raise ValueError(f"images has the shape {list(images.shape)}: there is no picture in it")
    coloured = images[..., :3] if images.shape[-1] >= 3 else images[..., :1].expand(*images.shape[:3], 3)
    pixels = coloured.float().movedim(-1, 1)
    small = F.interpolate(pixels, size=(size, size), mode="bilinear", antialias=True, align_corners=False)
    return small.clamp(0, 1).movedim(1, -1).reshape(len(images), -1)


def as_images(rows: Tensor, size: int) -> Tensor:
    """Rows (B, size * size * 3) as pictures (B, size, size, 3) in 0..1."""
    return rows.detach().reshape(len(rows), size, size, 3).clamp(0, 1)


def train(images: Tensor, settings: Settings, progress: Callable[[int, int], None]) -> Trained:
    """The autoencoder that maximises the ELBO of pictures (B, H, W, 3 or more), by Adam, on the CPU.

    Minibatches and one sample of z per picture (L = 1) as in algorithm 1 of Kingma and Welling (2013); they take
    Adagrad and a prior over the weights, we take Adam (Kingma and Ba, 2015) and none. Every number follows from
    the seed. progress is called once per step and may raise to stop.

    Raises:
        ValueError: there are no pictures.
    """
    data = as_rows(images, settings.size)
    likelihoods, divergences = [], []
    # A run calls its nodes without gradients, and maybe in inference mode.
    with torch.inference_mode(False), torch.enable_grad():
        data, weights = data.clone(), _untrained(settings)
        parameters = [value.requires_grad_() for value in weights.values()]
        optimizer = torch.optim.Adam(parameters, lr=settings.learning_rate)
        for number, (rows, noise) in enumerate(_batches(data, settings)):
            both = mlp_vae.terms(weights, rows, noise)
            optimizer.zero_grad(set_to_none=True)
            (-both.elbo.mean()).backward()  # type: ignore[no-untyped-call]  # torch gives it no types
            optimizer.step()
            likelihoods.append(both.log_likelihood.detach().mean())
            divergences.append(both.kl.detach().mean())
            progress(number + 1, settings.steps)
    kept = {name: value.detach() for name, value in weights.items()}
    vae = MLPVAE(weights=kept, size=settings.size, likelihood=settings.likelihood)
    return Trained(vae, torch.stack(likelihoods), torch.stack(divergences))


def _untrained(settings: Settings) -> dict[str, Tensor]:
    pixels = settings.size**2 * 3
    return mlp_vae.initial_weights(pixels, settings.hidden, settings.latents, settings.likelihood, settings.seed)


def _batches(data: Tensor, settings: Settings) -> Iterator[tuple[Tensor, Tensor]]:
    """The pictures and the noise of each step; all pictures come up before one comes again."""
    generator = torch.Generator().manual_seed((settings.seed + 1) % 2**64)  # not the draws of the weights
    size = min(settings.batch_size, len(data))
    order = torch.randperm(len(data), generator=generator)
    for _ in range(settings.steps):
        if len(order) < size:
            order = torch.cat([order, torch.randperm(len(data), generator=generator)])
        chosen, order = order[:size], order[size:]
        yield data[chosen], torch.randn(size, settings.latents, generator=generator)


def variations(images: Tensor, count: int, shift: float, zoom: float, turn: float, seed: int) -> Tensor:
    """Pictures (count, H, W, C) made of given ones (B, H, W, C) in turn, each moved, zoomed and turned at random.

    shift: up to this share of the width and height, either way. zoom: by a factor between 1 - zoom and 1 + zoom.
    turn: up to so many degrees, either way. What comes in at the edges repeats the edge.

    Raises:
        ValueError: there are no pictures.
    """
    if not images.numel():
        raise ValueError(f"images has the shape {list(images.shape)}: there is no picture in it")
    source = images.float()[torch.arange(count) % len(images)].movedim(-1, 1)
    draws = torch.rand(count, 4, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    factor, angle = 1 + zoom * draws[:, 2], torch.deg2rad(turn * draws[:, 3])
    moved = -2 * shift * draws[:, :2]  # the grid runs over -1..1, and says where a pixel comes from
    cosine, sine = angle.cos() / factor, angle.sin() / factor
    rows = torch.stack([cosine, -sine, moved[:, 0], sine, cosine, moved[:, 1]], dim=1).reshape(count, 2, 3)
    grid = F.affine_grid(rows, list(source.shape), align_corners=False)
    return F.grid_sample(source, grid, padding_mode="border", align_corners=False).movedim(1, -1)
