"""A variational autoencoder whose encoder and decoder have one hidden layer of tanh units.

The networks and bounds of Kingma and Welling (2013), "Auto-Encoding Variational Bayes". Functions of a mapping of
weights, so that a trained autoencoder is plain tensors that a cache can keep.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple, TypedDict

import torch
from torch import Tensor
from torch.nn import functional as F

from .gaussians import (
    bernoulli_log_likelihood,
    kl_to_standard_normal,
    normal_log_density,
    reparameterised,
)

Likelihood = Literal["bernoulli", "gaussian"]

_LOWEST_LOG_VARIANCE, _HIGHEST_LOG_VARIANCE = -6.0, 2.0
"""The range of a Gaussian decoder's log-variance: a pixel that is the same in every picture would drive it to
minus infinity, and the likelihood to infinity."""
_INITIAL_DEVIATION = 0.1
Weights = Mapping[str, Tensor]


class MLPVAE(TypedDict):
    """The VAE_MLP value. weights: by name, float32. size: the pictures are (size, size, 3)."""

    weights: dict[str, Tensor]
    size: int
    likelihood: Likelihood


class Terms(NamedTuple):
    """The two terms of the bound of each sample, in nats, (B,): log p(x | z) and KL(q(z | x) || p(z))."""

    log_likelihood: Tensor
    kl: Tensor

    @property
    def elbo(self) -> Tensor:
        """The evidence lower bound log p(x | z) - KL, (B,); Kingma and Welling (2013), eq. 7 with L = 1."""
        return self.log_likelihood - self.kl


def initial_weights(
    pixels: int, hidden: int, latents: int, likelihood: Likelihood, seed: int
) -> dict[str, Tensor]:
    """Weights drawn from N(0, 0.01), a deviation of 0.1, as in section 5 of the paper, and biases of 0.

    Encoder: "hidden", "mean", "log_variance"; decoder: "decoder_hidden", "pixels" and, of a Gaussian one,
    "pixel_log_variance". Each has a matrix "….weight" (out, in) and a vector "….bias" (out,).
    """
    sizes = {
        "hidden": (hidden, pixels),
        "mean": (latents, hidden),
        "log_variance": (latents, hidden),
        "decoder_hidden": (hidden, latents),
        "pixels": (pixels, hidden),
    }
    if likelihood == "gaussian":
        sizes["pixel_log_variance"] = (pixels, hidden)
    generator = torch.Generator().manual_seed(seed)
    weights: dict[str, Tensor] = {}
    for name, size in sizes.items():
        weights[f"{name}.weight"] = torch.randn(size, generator=generator) * _INITIAL_DEVIATION
        weights[f"{name}.bias"] = torch.zeros(size[0])
    return weights


def latents_of(weights: Weights) -> int:
    """How many dimensions z has."""
    return len(weights["mean.bias"])


def _linear(weights: Weights, name: str, x: Tensor) -> Tensor:
    return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])


def encode(weights: Weights, x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log-variance (B, latents) of q(z | x) for pictures (B, pixels) in 0..1; appendix C.2."""
    hidden = _linear(weights, "hidden", x).tanh()
    return _linear(weights, "mean", hidden), _linear(weights, "log_variance", hidden)


def decode(weights: Weights, z: Tensor) -> Tensor:
    """The mean picture of p(x | z), (B, pixels) in 0..1, for latents (B, latents)."""
    return _logits(weights, z).sigmoid()


def _logits(weights: Weights, z: Tensor) -> Tensor:
    return _linear(weights, "pixels", _linear(weights, "decoder_hidden", z).tanh())


def log_likelihood(weights: Weights, x: Tensor, z: Tensor) -> Tensor:
    """log p(x | z) of each picture (B, pixels) at its latent (B, latents), in nats. Shape (B,).

    Of a Bernoulli decoder (appendix C.1), or of a Gaussian one (C.2), by the weights that there are.
    """
    logits = _logits(weights, z)
    if "pixel_log_variance.weight" not in weights:
        return bernoulli_log_likelihood(x, logits)
    spread = _linear(weights, "pixel_log_variance", _linear(weights, "decoder_hidden", z).tanh())
    return normal_log_density(x, logits.sigmoid(), spread.clamp(_LOWEST_LOG_VARIANCE, _HIGHEST_LOG_VARIANCE))


def terms(weights: Weights, x: Tensor, noise: Tensor) -> Terms:
    """Both terms of the bound for pictures (B, pixels), with one z each by noise (B, latents) from N(0, 1)."""
    mean, log_variance = encode(weights, x)
    z = reparameterised(mean, log_variance, noise)
    return Terms(log_likelihood(weights, x, z), kl_to_standard_normal(mean, log_variance))


@torch.no_grad()
def importance_log_likelihood(weights: Weights, x: Tensor, noise: Tensor) -> Tensor:
    """An estimate of log p(x) of pictures (B, pixels) by K samples, noise (K, B, latents). Shape (B,).

    log 1/K sum_k p(x | z_k) p(z_k) / q(z_k | x); Burda et al. (2016), eq. 8. Its mean is at least the ELBO, and
    rises to log p(x) with K.
    """
    mean, log_variance = encode(weights, x)
    zero = torch.zeros_like(mean)
    ratios = []
    for draw in noise:
        z = reparameterised(mean, log_variance, draw)
        prior, posterior = normal_log_density(z, zero, zero), normal_log_density(z, mean, log_variance)
        ratios.append(log_likelihood(weights, x, z) + prior - posterior)
    return torch.stack(ratios).logsumexp(dim=0) - math.log(len(ratios))


def latent_grid(columns: int, rows: int) -> Tensor:
    """Points (rows * columns, 2) of the plane whose coordinates are equally spaced quantiles of N(0, 1).

    Equal shares of the prior lie between them: the manifold of figure 4 in the paper. Row by row, the second
    coordinate falls from row to row.
    """
    quantiles = [
        torch.special.ndtri((torch.arange(count, dtype=torch.float64) + 0.5) / count) for count in (columns, rows)
    ]
    vertical, horizontal = torch.meshgrid(quantiles[1].flip(0), quantiles[0], indexing="ij")
    return torch.stack([horizontal.flatten(), vertical.flatten()], dim=1).float()
