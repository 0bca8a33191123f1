"""Normal distributions with a diagonal covariance: samples, divergences, likelihoods.

The first dimension of every tensor is the batch; a sum runs over all others. Logarithms are natural, so that
divergences and likelihoods are in nats.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

_LOG_2_PI = math.log(2 * math.pi)


def standard_noise(shape: Sequence[int], seed: int) -> Tensor:
    """Draws from N(0, 1) that follow from the seed alone, float32, on the CPU."""
    return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed))


def reparameterised(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """A sample mean + exp(log_variance / 2) * noise of N(mean, exp(log_variance)) for noise from N(0, 1).

    The randomness is an input, so the sample can be differentiated by mean and log-variance: the
    reparameterisation of Kingma and Welling (2013), section 2.4. All of one shape.
    """
    return mean + (log_variance / 2).exp() * noise


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(0, I)) of each sample, in nats, at least 0. Shape (B,).

    -1/2 sum(1 + log_variance - mean^2 - exp(log_variance)); Kingma and Welling (2013), appendix B.
    """
    return kl_of_each_number(mean, log_variance).flatten(1).sum(dim=1)


def kl_of_each_number(mean: Tensor, log_variance: Tensor) -> Tensor:
    """The terms of `kl_to_standard_normal`, each at least 0, shaped like the mean."""
    return (mean**2 + torch.expm1(log_variance) - log_variance) / 2


def normal_log_density(x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """log N(x; mean, exp(log_variance)) of each sample, in nats. Shape (B,).

    -1/2 sum((x - mean)^2 / exp(log_variance) + log_variance + log(2 pi)). The mean and the log-variance may be of
    any shape that broadcasts to that of x.
    """
    log_variance = log_variance.expand_as(x)
    terms = (x - mean) ** 2 * (-log_variance).exp() + log_variance + _LOG_2_PI
    return -terms.flatten(1).sum(dim=1) / 2


def gaussian_log_likelihood(x: Tensor, reconstruction: Tensor, deviation: float) -> Tensor:
    """log p(x | z) of a decoder that gives the mean of a normal distribution of this deviation. Shape (B,).

    With n numbers in x it is -n MSE / (2 deviation^2) - n log(deviation) - n/2 log(2 pi), so the decoder that
    minimises the squared error is the one of maximum likelihood.

    Raises:
        ValueError: the deviation is not above 0.
    """
    if not deviation > 0:
        raise ValueError(f"deviation is {deviation:g}; a normal distribution needs one above 0")
    return normal_log_density(x, reconstruction, torch.tensor(2 * math.log(deviation)))


def bernoulli_log_likelihood(x: Tensor, logits: Tensor) -> Tensor:
    """sum(x log y + (1 - x) log(1 - y)) of each sample, y = sigmoid(logits). Shape (B,).

    Kingma and Welling (2013), appendix C.1. For x strictly between 0 and 1 it is a cross entropy, and no density.
    """
    terms = torch.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none")
    return -terms.flatten(1).sum(dim=1)


def mean_squared_error(x: Tensor, reconstruction: Tensor) -> Tensor:
    """The mean over all numbers of a sample of the squared difference. Shape (B,)."""
    return ((x - reconstruction) ** 2).flatten(1).mean(dim=1)


def peak_signal_to_noise(squared_error: Tensor) -> Tensor:
    """PSNR = 10 log10(1 / MSE) in dB for values in 0..1; infinite for equal pictures. Same shape."""
    return -10 * torch.log10(squared_error)
