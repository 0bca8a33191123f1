"""The whole sampling run: from a latent and its conditionings to a latent."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from graphengine_nodes.diffusion.model.model import Conditioning, DiffusionModel, Latent
from graphengine_nodes.diffusion.model.model_sampling import ModelSampling

from .custom_sampling import Progress, fit_channels, no_progress, sample_custom, unseen
from .guidance import never_cancelled
from .guiders import ClassifierFree, Guider
from .noise import NoNoise, SeededNoise
from .samplers import Sampler, find_sampler
from .schedules import calculate_sigmas, whole_steps


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
    progress: Progress = no_progress,
    check_cancelled: Callable[[], None] = never_cancelled,
    noise_seed_offset: int = 1,
    show: Callable[[Tensor], None] = unseen,
) -> Latent:
    """The latent after sampling; the other entries of the given latent are kept.

    denoise: below 1, only the last `steps` of a longer schedule run, so that part of the latent remains.
    start_step, last_step: the part of the schedule to run; what noise is left at last_step stays, unless
    force_full_denoise. progress(step, total) is called once per step, check_cancelled before each evaluation
    of the network; both may raise to stop. noise_seed_offset: see `ancestral_noise`. show: see `sample_custom`.

    Raises:
        ValueError: an unknown sampler or scheduler, a latent or conditioning that does not fit the model.
    """
    sampler = find_sampler(sampler_name)
    sigmas = run_sigmas(model.sampling, sampler, scheduler, steps, denoise)
    sigmas = cut_sigmas(sigmas, start_step, last_step, force_full_denoise=force_full_denoise)
    if len(sigmas) < 2:
        return {**latent, "samples": fit_channels(latent["samples"], model.latent_format).clone()}
    return sample_custom(
        Guider(model, {"positive": positive, "negative": negative}, ClassifierFree(cfg)),
        noise=NoNoise(seed) if disable_noise else SeededNoise(seed),
        sampler=sampler,
        sigmas=sigmas,
        latent=latent,
        progress=progress,
        check_cancelled=check_cancelled,
        noise_seed_offset=noise_seed_offset,
        show=show,
    ).output


def run_sigmas(
    sampling: ModelSampling, sampler: Sampler, scheduler: str, steps: int, denoise: float = 1.0
) -> Tensor:
    """The noise levels of a run before it is cut, on the CPU: (steps + 1,); empty for denoise <= 0.

    For denoise < 1 they are the last ones of a schedule of steps / denoise steps.

    Raises:
        ValueError: the scheduler is unknown, or denoise so small that the schedule has too many steps.
    """
    if denoise <= 0.0:
        return torch.zeros(0)
    whole = whole_steps(steps, denoise)
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
