"""What the noise levels of a schedule mean: signal, noise, their ratio, and which of them img2img uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from graphengine_nodes.diffusion.model.model import DiffusionModel
from graphengine_nodes.diffusion.model.model_sampling import ModelSampling
from graphengine_nodes.diffusion.sampling.ksampler import run_sigmas
from graphengine_nodes.diffusion.sampling.samplers import find_sampler
from graphengine_nodes.diffusion.sampling.schedules import whole_steps

NO_NOISE = 0.0


@dataclass(frozen=True, slots=True)
class Level:
    """One noise level of a schedule.

    alpha_bar: the share of the signal in the variance, 0..1. snr: signal to noise, alpha_bar / (1 - alpha_bar),
    infinite where there is no noise. timestep: what the network is told; None where it is not asked.
    """

    sigma: float
    alpha_bar: float
    snr: float
    timestep: float | None


@dataclass(frozen=True, slots=True)
class Schedule:
    """All noise levels of a whole schedule, and the first of those that a run with denoise < 1 uses."""

    levels: tuple[Level, ...]
    first: int

    @property
    def used(self) -> tuple[Level, ...]:
        """The levels of the run."""
        return self.levels[self.first :]


def signal_to_noise(sigma: Tensor, *, is_flow: bool) -> Tensor:
    """The ratio of the variances of signal and noise at sigma. Same shape; infinite at 0.

    1 / sigma^2 where x = latent + sigma * noise (Karras et al., 2022); ((1 - sigma) / sigma)^2 in a rectified
    flow, where x = (1 - sigma) * latent + sigma * noise (Liu et al., 2022). The latent counts as variance 1.
    """
    return (((1 - sigma) if is_flow else 1) / sigma) ** 2


def alpha_bar(sigma: Tensor, *, is_flow: bool) -> Tensor:
    """The share of the signal in the variance, snr / (1 + snr), 0..1. Same shape.

    1 / (1 + sigma^2) for x = latent + sigma * noise: the product of the alphas in Ho et al. (2020), since
    sqrt(alpha_bar) * x = sqrt(alpha_bar) * latent + sqrt(1 - alpha_bar) * noise.
    """
    signal = (1 - sigma) if is_flow else torch.ones_like(sigma)
    return signal**2 / (signal**2 + sigma**2)


def describe(sampling: ModelSampling, sigmas: Tensor) -> tuple[Level, ...]:
    """What each of the sigmas (N,) means to the model."""
    values = sigmas.double()
    signal = alpha_bar(values, is_flow=sampling.is_flow).tolist()
    ratio = signal_to_noise(values, is_flow=sampling.is_flow).tolist()
    asked = [None if sigma == NO_NOISE else float(sampling.timestep(sigma)) for sigma in sigmas.float()]
    return tuple(map(Level, values.tolist(), signal, ratio, asked))


def schedule(sampling: ModelSampling, sampler_name: str, scheduler: str, steps: int, denoise: float) -> Schedule:
    """The schedule that KSampler cuts a run of `steps` steps from, and where the run begins.

    For denoise < 1 the whole schedule has int(steps / denoise) steps, and the run takes the last `steps` of them.
    At denoise 0 there is nothing to run: the schedule has no level.

    Raises:
        ValueError: an unknown sampler or scheduler.
    """
    sampler = find_sampler(sampler_name)
    used = run_sigmas(sampling, sampler, scheduler, steps, denoise)
    if not len(used):
        return Schedule((), 0)
    whole = run_sigmas(sampling, sampler, scheduler, whole_steps(steps, denoise))
    return Schedule(describe(sampling, whole), len(whole) - len(used))


def noised(model: DiffusionModel, latent: Tensor, noise: Tensor, sigmas: Tensor) -> Tensor:
    """The first sample of a latent (B, C, h, w) with noise of each level (N,), to be looked at: (N, C, h, w).

    All on the scale of LATENT. x is brought to the variance of a clean latent, sqrt(alpha_bar) * x, so that a VAE
    can decode it: the forward process q(x_t | x_0) of Ho et al. (2020), eq. 4.
    """
    clean = model.latent_format.process_in(latent[:1].float())
    seen = [
        visible(model.sampling, model.sampling.noise_scaling(sigma, noise[:1], clean, max_denoise=False), sigma)
        for sigma in sigmas.float()
    ]
    return model.latent_format.process_out(torch.cat(seen))


def visible(sampling: ModelSampling, x: Tensor, sigma: Tensor) -> Tensor:
    """x at sigma, on the model's scale, brought to the variance of a clean latent. Shaped like x."""
    if sampling.is_flow:
        return x  # its variance stays between those of latent and noise
    return x / (sigma**2 + 1.0).sqrt()


def rows(levels: Sequence[Level], first: int = 0) -> list[list[str]]:
    """The lines of a table: step, sigma, timestep, alpha-bar, sqrt(alpha-bar), SNR in dB, part of the run.

    Steps count from 1 at the first level that is used; the last level is where the run ends.
    """
    return [_row(number, level, number - first, len(levels) - 1) for number, level in enumerate(levels)]


def _row(number: int, level: Level, step: int, last: int) -> list[str]:
    part = "skipped" if step < 0 else "end" if number == last else f"step {step + 1}"
    timestep = "-" if level.timestep is None else f"{level.timestep:g}"
    return [
        part,
        f"{level.sigma:.4f}",
        timestep,
        f"{level.alpha_bar:.5f}",
        f"{level.alpha_bar**0.5:.4f}",
        decibels(level.snr),
    ]


COLUMNS = ("part", "sigma", "timestep", "alpha_bar", "sqrt(alpha_bar)", "SNR (dB)")
"""The heads of the columns of `rows`."""


def decibels(ratio: float) -> str:
    """10 log10 of a ratio of variances, as one reads it."""
    return f"{10 * torch.tensor(ratio).log10().item():+.1f}"
