"""The whole sampling run: from a latent and its conditionings to a latent."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .guidance import GuidedDenoiser, Inpainting, never_cancelled
from .model import Conditioning, DiffusionModel, Latent
from .model_sampling import ModelSampling
from .noise import ancestral_noise, brownian_noise, prepare_noise
from .regions import prepare_conditions, resize_mask
from .samplers import SAMPLER_FUNCTIONS, Sampler
from .sampling import Step
from .schedules import calculate_sigmas

Progress = Callable[[int, int], None]


def _no_progress(step: int, total: int) -> None:
    """The default `progress`: nobody listens."""


@torch.no_grad()
def sample(
    model: DiffusionModel,
    *,
    seed: int,
    steps: int,
    cfg: float,
    sampler_name: str,
    scheduler: str,
    positive: Conditioning,
    negative: Conditioning,
    latent: Latent,
    denoise: float = 1.0,
    start_step: int | None = None,
    last_step: int | None = None,
    force_full_denoise: bool = False,
    disable_noise: bool = False,
    progress: Progress = _no_progress,
    check_cancelled: Callable[[], None] = never_cancelled,
    noise_seed_offset: int = 1,
) -> Latent:
    """The latent after sampling; the other entries of the given latent are kept.

    denoise: below 1, only the last `steps` of a longer schedule run, so that part of the latent remains.
    start_step, last_step: the part of the schedule to run; what noise is left at last_step stays, unless
    force_full_denoise. progress(step, total) is called once per step, check_cancelled before each evaluation
    of the network; both may raise to stop. noise_seed_offset: see `ancestral_noise`.

    Raises:
        ValueError: an unknown sampler or scheduler, a latent or conditioning that does not fit the model.
    """
    sampler = find_sampler(sampler_name)
    sigmas = run_sigmas(model.sampling, sampler, scheduler, steps, denoise)
    sigmas = cut_sigmas(sigmas, start_step, last_step, force_full_denoise=force_full_denoise)
    samples = _fit_channels(latent["samples"], model.latent_format.channels)
    if len(sigmas) < 2:
        return {**latent, "samples": samples.clone()}

    noise = torch.zeros_like(samples)
    if not disable_noise:
        noise = prepare_noise(samples, seed, latent.get("batch_index"))
    model.load()
    noise, clean, sigmas = noise.to(model.device), samples.to(model.device), sigmas.to(model.device)
    if clean.any():  # an empty latent is empty on every scale
        clean = model.latent_format.process_in(clean)
    mask = latent.get("noise_mask")
    denoiser = GuidedDenoiser(
        model,
        prepare_conditions(positive, model.sampling, samples.shape, model.device),
        prepare_conditions(negative, model.sampling, samples.shape, model.device),
        cfg,
        None if mask is None else Inpainting(resize_mask(mask, samples.shape).to(model.device), clean, noise),
        check_cancelled,
    )
    fully = is_max_denoise(model.sampling, float(sigmas[0]))
    x = model.sampling.noise_scaling(sigmas[0], noise, clean, max_denoise=fully)
    x = _run(sampler, denoiser, x, sigmas, seed, noise_seed_offset, progress)
    x = model.latent_format.process_out(model.sampling.inverse_noise_scaling(sigmas[-1], x))
    return {**latent, "samples": x.to("cpu", torch.float32)}


def find_sampler(name: str) -> Sampler:
    """The sampler of this name.

    Raises:
        ValueError: there is none.
    """
    try:
        return SAMPLER_FUNCTIONS[name]
    except KeyError:
        raise ValueError(f"unknown sampler {name!r}; known: {', '.join(SAMPLER_FUNCTIONS)}") from None


def run_sigmas(
    sampling: ModelSampling, sampler: Sampler, scheduler: str, steps: int, denoise: float = 1.0
) -> Tensor:
    """The noise levels of a run before it is cut, on the CPU: (steps + 1,); empty for denoise <= 0.

    For denoise < 1 they are the last ones of a schedule of steps / denoise steps.
    """
    if denoise <= 0.0:
        return torch.zeros(0)
    whole = steps if denoise > 0.9999 else int(steps / denoise)
    if sampler.drops_second_last:
        sigmas = calculate_sigmas(sampling, scheduler, whole + 1)
        sigmas = torch.cat([sigmas[:-2], sigmas[-1:]])
    else:
        sigmas = calculate_sigmas(sampling, scheduler, whole)
    return sigmas if whole == steps else sigmas[-(steps + 1) :]


def cut_sigmas(
    sigmas: Tensor, start_step: int | None, last_step: int | None, *, force_full_denoise: bool
) -> Tensor:
    """The levels from start_step to last_step; empty when nothing is left to do."""
    if last_step is not None and last_step < len(sigmas) - 1:
        sigmas = sigmas[: last_step + 1].clone()
        if force_full_denoise and len(sigmas):
            sigmas[-1] = 0
    if start_step is not None:
        sigmas = sigmas[start_step:] if start_step < len(sigmas) - 1 else sigmas[:0]
    return sigmas


def is_max_denoise(sampling: ModelSampling, sigma: float) -> bool:
    """Whether a run that starts at sigma starts from the noisiest level of training, or above."""
    highest = float(sampling.sigmas[-1])
    return sigma > highest or math.isclose(sigma, highest, rel_tol=1e-5)


def _fit_channels(samples: Tensor, channels: int) -> Tensor:
    """The samples, float32; an empty latent gets the number of channels that the model has."""
    if samples.shape[1] == channels:
        return samples.float()
    if samples.any():
        raise ValueError(
            f"the latent has {samples.shape[1]} channels, the model works on {channels}: "
            "was it encoded by the VAE of another kind of model?"
        )
    return samples.new_zeros((samples.shape[0], channels, *samples.shape[2:]), dtype=torch.float32)


def _run(
    sampler: Sampler,
    denoiser: GuidedDenoiser,
    x: Tensor,
    sigmas: Tensor,
    seed: int,
    noise_seed_offset: int,
    progress: Progress,
) -> Tensor:
    total = len(sigmas) - 1
    reported = 0

    def report(step: Step) -> None:
        nonlocal reported
        reported = min(step.index + 1, total)  # adaptive samplers may need more steps than were asked for
        progress(reported, total)

    if sampler.noise == "brownian":
        noise_sampler = brownian_noise(x, seed, sigmas)
    else:
        noise_sampler = ancestral_noise(x, seed, seed_offset=noise_seed_offset)
    x = sampler.function(denoiser, x, sigmas, callback=report, noise_sampler=noise_sampler)
    if reported < total:  # others need fewer
        progress(total, total)
    return x
