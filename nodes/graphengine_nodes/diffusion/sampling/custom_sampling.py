"""A sampling run from its parts: a guider, noise, a sampler and a list of sigmas."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from graphengine_nodes.diffusion.control.sharing import share_controls
from graphengine_nodes.diffusion.model.model import DiffusionModel, Job, Latent, LatentFormat
from graphengine_nodes.diffusion.model.model_sampling import ModelSampling
from graphengine_nodes.diffusion.model.pack_wrappers import told_of_run
from graphengine_nodes.diffusion.model.regions import prepare_conditions, resize_noise_mask
from graphengine_nodes.diffusion.model.short_memory import PatientNetwork

from .guidance import GuidedDenoiser, Inpainting, never_cancelled
from .guiders import Guider
from .noise import Noise, ancestral_noise, brownian_noise
from .samplers import Sampler
from .sampling import Step

Progress = Callable[[int, int], None]


def no_progress(step: int, total: int) -> None:
    """The default `progress`: nobody listens."""


def unseen(denoised: Tensor) -> None:
    """The default `show`: nobody watches."""


class Sampled(NamedTuple):
    """The latent at the last sigma, and what it looked like without noise when the model was last asked."""

    output: Latent
    denoised: Latent


@torch.no_grad()
def sample_custom(
    guider: Guider,
    *,
    noise: Noise,
    sampler: Sampler,
    sigmas: Tensor,
    latent: Latent,
    progress: Progress = no_progress,
    check_cancelled: Callable[[], None] = never_cancelled,
    noise_seed_offset: int = 1,
    show: Callable[[Tensor], None] = unseen,
) -> Sampled:
    """The latent after running the sampler over the sigmas (N + 1,); the other entries of the latent are kept.

    Without any sigma the latent stays as it is. A single sigma takes no step: the latent comes back with noise
    of that level, so that runs over the parts of a split list are the run over the whole list.
    progress(step, total) is called once per step, check_cancelled before each evaluation of the network; both
    may raise to stop. noise_seed_offset: see `ancestral_noise`. show is given the denoised latent of each step, on
    the model's scale and device.

    Raises:
        ValueError: sigmas, latent, sampler and model do not fit together, or give values that are not finite.
    """
    model, sampling = guider.model, guider.model.sampling
    samples = fit_channels(latent["samples"], model.latent_format)
    latent = {**latent, "samples": samples}
    if not sigmas.numel():
        return Sampled({**latent, "samples": samples.clone()}, {**latent, "samples": samples.clone()})
    check_sigmas(sigmas, sampling)
    if sampler.needs_negative and guider.rule.negative is None:
        raise ValueError(
            f"sampler {sampler.name!r} needs the prediction for a negative conditioning, which the guider "
            "does not have: take CFGGuider, or a sampler without CFG++"
        )
    drawn = noise.generate_noise(latent)
    model.network.load()
    drawn, clean, sigmas = (value.to(model.device) for value in (drawn, samples, sigmas.float()))
    if clean.any():  # an empty latent is empty on every scale
        clean = model.latent_format.process_in(clean)
    denoiser = _denoiser(guider, latent, clean, drawn, noise.seed, check_cancelled).over(sigmas)
    fully = is_max_denoise(sampling, float(sigmas[0]))
    x = sampling.noise_scaling(sigmas[0], drawn, clean, max_denoise=fully)
    noise_sampler = (
        brownian_noise(x, noise.seed, sigmas)
        if sampler.noise == "brownian"
        else ancestral_noise(x, noise.seed, seed_offset=noise_seed_offset)
    )
    steps = _Steps(len(sigmas) - 1, progress, show)
    with told_of_run(model, model.model_options.get("transformer_options", {})):
        x = sampler.function(denoiser, x, sigmas, callback=steps, noise_sampler=noise_sampler)
    if not x.isfinite().all():
        raise ValueError(f"sampler {sampler.name!r} gave values that are not finite: {_reason(sigmas, clean)}")
    steps.finish()
    x = sampling.inverse_noise_scaling(sigmas[-1], x)
    output, denoised = (_on_latent_scale(model, value) for value in (x, x if steps.last is None else steps.last))
    return Sampled({**latent, "samples": output}, {**latent, "samples": denoised})


def _denoiser(
    guider: Guider, latent: Latent, clean: Tensor, noise: Tensor, seed: int, check_cancelled: Callable[[], None]
) -> GuidedDenoiser:
    model, mask = guider.model, latent.get("noise_mask")
    if mask is not None:
        mask = resize_noise_mask(mask, clean.shape).to(model.device)
    shape, own = tuple(clean.shape), model.latent_format
    job = Job(shape, model.device, "", own, noise, clean, mask, model.network, seed=seed)
    conditions = {
        side: prepare_conditions(conditioning, model, replace(job, side=side))
        for side, conditioning in share_controls({**model.guidance.conditionings, **guider.conditionings}).items()
    }
    inpainting = None if mask is None else Inpainting(mask, clean, None if model.shows_kept else noise)
    patient = replace(model, network=PatientNetwork(model.network))
    return GuidedDenoiser(patient, conditions, guider.rule, inpainting, check_cancelled)


def _on_latent_scale(model: DiffusionModel, x: Tensor) -> Tensor:
    """From the model's scale to that of LATENT, on the CPU."""
    return model.latent_format.process_out(x).to("cpu", torch.float32)


class _Steps:
    """The callback of a run: reports progress, shows the denoised latent and remembers the last one."""

    def __init__(self, total: int, progress: Progress, show: Callable[[Tensor], None]) -> None:
        self.last: Tensor | None = None
        self._total = total
        self._reported = 0
        self._progress = progress
        self._show = show

    def __call__(self, step: Step) -> None:
        """Note a step."""
        self.last = step.denoised
        self._reported = min(step.index + 1, self._total)  # adaptive samplers may need more than were asked for
        self._progress(self._reported, self._total)
        self._show(step.denoised)

    def finish(self) -> None:
        """Report the steps that a sampler left out, so that progress ends at its total."""
        if self._reported < self._total:
            self._progress(self._total, self._total)


def add_noise(model: DiffusionModel, noise: Noise, sigmas: Tensor, latent: Latent) -> Latent:
    """The latent with noise of the difference between the first and the last sigma (of a single one, itself).

    Without any sigma the latent stays as it is.

    Raises:
        ValueError: sigmas or latent do not fit the model.
    """
    if not sigmas.numel():
        return latent
    check_sigmas(sigmas, model.sampling, may_end_in_noise=True)
    samples = fit_channels(latent["samples"], model.latent_format)
    drawn = noise.generate_noise({**latent, "samples": samples})
    clean = model.latent_format.process_in(samples) if samples.any() else samples
    level = (sigmas[0] - sigmas[-1]).abs() if len(sigmas) > 1 else sigmas[0]
    x = model.sampling.noise_scaling(level.float(), drawn, clean, max_denoise=False)
    return {**latent, "samples": model.latent_format.process_out(x)}


def check_sigmas(sigmas: Tensor, sampling: ModelSampling, *, may_end_in_noise: bool = False) -> None:
    """Raises ValueError unless the sigmas are numbers of one dimension >= 0, of which only the last may be 0.

    A flow model's list must end below 1 besides, where x holds nothing of the latent, unless may_end_in_noise.
    """
    if sigmas.ndim != 1:
        raise ValueError(f"sigmas has the shape {tuple(sigmas.shape)}; a list of numbers is needed")
    for index, sigma in enumerate(sigmas.tolist()):
        if not math.isfinite(sigma) or sigma < 0:
            raise ValueError(f"sigmas[{index}] is {sigma:g}; a noise level is a number of at least 0")
        if sigma == 0 and index < len(sigmas) - 1:
            raise ValueError(
                f"sigmas[{index}] is 0 before the list of {len(sigmas)} ends; no step can start there"
            )
    if sampling.is_flow and sigmas[-1] >= 1 and not may_end_in_noise:
        raise ValueError(
            f"sigmas ends at {float(sigmas[-1]):g}, where a flow model's x is noise alone; "
            "let the list end below 1, or run it in one piece"
        )


def is_max_denoise(sampling: ModelSampling, sigma: float) -> bool:
    """Whether a run that starts at sigma starts from the noisiest level of training, or above."""
    highest = float(sampling.sigmas[-1])
    return sigma > highest or math.isclose(sigma, highest, rel_tol=1e-5)


def fit_channels(samples: Tensor, latent_format: LatentFormat) -> Tensor:
    """The samples, float32; an empty latent gets the number of channels that the model has.

    A picture's latent (B, C, H, W) for a model of videos becomes that of one frame, (B, C, 1, H, W).

    Raises:
        ValueError: there are no samples, or they have another number of channels or dimensions.
    """
    channels, dimensions = latent_format.channels, latent_format.dimensions + 2
    if not samples.numel():
        raise ValueError(f"latent_image has the shape {tuple(samples.shape)}: there is nothing to sample")
    if samples.ndim == dimensions - 1:
        samples = samples.unsqueeze(2)
    if samples.ndim != dimensions:
        raise ValueError(
            f"latent_image has the shape {tuple(samples.shape)}; the model works on {dimensions} dimensions"
        )
    if samples.shape[1] == channels:
        return samples.float()
    if samples.any():
        raise ValueError(
            f"the latent has {samples.shape[1]} channels, the model works on {channels}: "
            "was it encoded by the VAE of another kind of model?"
        )
    return samples.new_zeros((samples.shape[0], channels, *samples.shape[2:]), dtype=torch.float32)


def _reason(sigmas: Tensor, clean: Tensor) -> str:
    """Why a run over these sigmas from this latent may have failed."""
    if not clean.isfinite().all():
        return "the latent holds such values already"
    steps = sigmas.diff()
    if (steps > 0).any():
        return "sigmas rises (is it flipped?), which samplers with noise of their own cannot follow; take 'euler'"
    if (steps == 0).any():
        return f"sigmas holds {float(sigmas[:-1][steps == 0][0]):g} twice in a row"
    return "the model's weights may be damaged, or too large for the precision that it computes in"
