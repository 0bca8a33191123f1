"""A VAE's encoder as a distribution, and the evidence lower bound that it was trained with."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from graphengine.node.api import GraphEngineError, ModelError
from graphengine_nodes.diffusion.vae.vae import VAE, crop

from .gaussians import gaussian_log_likelihood, kl_to_standard_normal, reparameterised, standard_noise


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """q(z | x) = N(mean, exp(log_variance)) of a batch, both (B, C, h, w), float32, on the CPU, in LATENT's scale.

    learned: the log-variance is the encoder's own; otherwise it was chosen by the user.
    """

    mean: Tensor
    log_variance: Tensor
    learned: bool

    def sample(self, seed: int, temperature: float = 1.0) -> Tensor:
        """z = mean + temperature * exp(log_variance / 2) * eps, eps from N(0, 1). Shaped like the mean."""
        return reparameterised(self.mean, self.log_variance, temperature * standard_noise(self.mean.shape, seed))


class Bound(NamedTuple):
    """The two terms of the ELBO of each picture, in nats, (B,)."""

    log_likelihood: Tensor
    kl: Tensor

    @property
    def elbo(self) -> Tensor:
        """log_likelihood - kl, (B,)."""
        return self.log_likelihood - self.kl


def posterior(vae: VAE, pixels: Tensor, fixed_deviation: float, check: Callable[[], None]) -> Posterior:
    """What the encoder makes of pictures (B, H, W, 3 or more) in 0..1.

    An encoder without a variance gives a point. fixed_deviation above 0 puts a normal distribution of that
    deviation around it; nothing of the model says which one. check is called before each picture and may raise.

    Raises:
        ModelError: the encoder gives no variance and no deviation was chosen.
        GraphEngineError: the pictures do not fit the VAE, or it is one of videos.
    """
    if vae.frames is not None:
        raise GraphEngineError(
            "this VAE encodes videos; a posterior is shown for VAEs of pictures",
            hint="take the VAE of a picture model, such as that of SD1, SDXL or Flux",
        )
    if vae.variational:
        mean, log_variance = vae.moments(pixels, check)
        return Posterior(mean, log_variance, learned=True)
    if fixed_deviation <= 0:
        raise ModelError(
            "this VAE's encoder gives one point for a picture, without a variance, so its posterior has no "
            "log-variance, no samples and no KL divergence",
            hint="take a VAE with a KL encoder, or set fixed_deviation above 0 to state a deviation yourself",
        )
    mean = vae.encode(pixels, check)
    return Posterior(mean, torch.full_like(mean, 2 * math.log(fixed_deviation)), learned=False)


def bound(
    vae: VAE,
    pixels: Tensor,
    given: Posterior,
    *,
    seed: int,
    samples: int,
    deviation: float,
    check: Callable[[], None],
    progress: Callable[[int, int], None],
) -> tuple[Bound, Tensor]:
    """The ELBO of pictures (B, H, W, 3) under a Gaussian decoder, and the pictures decoded from the first samples.

    Kingma and Welling (2013), eq. 7: the mean of log p(x | z) over `samples` samples of z, less the KL divergence
    in its closed form. deviation: that of the decoder's normal distribution, for values in 0..1.
    """
    pixels = crop(pixels[..., :3], vae.downscale)
    total = torch.zeros(len(pixels))
    shown = pixels
    for number in range(samples):
        noise = standard_noise((samples, *given.mean.shape), seed)[number]
        decoded = vae.decode(reparameterised(given.mean, given.log_variance, noise), check)
        total += gaussian_log_likelihood(pixels, decoded, deviation)
        shown = decoded if number == 0 else shown
        progress(number + 1, samples)
    return Bound(total / samples, kl_to_standard_normal(given.mean, given.log_variance)), shown
