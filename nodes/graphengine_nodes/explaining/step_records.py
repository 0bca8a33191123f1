"""A sampling run that keeps what it saw at every step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from graphengine_nodes.diffusion.model.model import DiffusionModel, Latent
from graphengine_nodes.diffusion.sampling.custom_sampling import Sampled, sample_custom
from graphengine_nodes.diffusion.sampling.guiders import Guider
from graphengine_nodes.diffusion.sampling.noise import Noise
from graphengine_nodes.diffusion.sampling.samplers import Sampler
from graphengine_nodes.diffusion.sampling.sampling import Callback, Denoiser, NoiseSampler, SamplerFunction, Step

from .noise_levels import visible


@dataclass(frozen=True, slots=True, eq=False)
class StepRecord:
    """One step of a run: x before it at sigma, and its denoised estimate; the first sample, (1, C, h, w).

    Both are on the scale of LATENT; x is brought to the variance of a clean latent, so that a VAE can decode it.
    """

    index: int
    sigma: float
    x: Tensor
    denoised: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """What a run gave, and its steps in order."""

    sampled: Sampled
    steps: Sequence[StepRecord]


def sample_recorded(
    guider: Guider,
    *,
    noise: Noise,
    sampler: Sampler,
    sigmas: Tensor,
    latent: Latent,
    kept: int,
    progress: Callable[[int, int], None],
    check_cancelled: Callable[[], None],
) -> Recorded:
    """`sample_custom` that keeps up to `kept` of its steps; the result is the same to the bit.

    Of an adaptive sampler's steps, which are not known beforehand, those are kept that a run of as many steps as
    there are sigmas would have. Without at least two sigmas no step is taken, and none is kept.

    Raises:
        ValueError: sigmas, latent, sampler and model do not fit together, or give values that are not finite.
    """
    recorder = _Recorder(guider.model, sampler.function, frozenset(spread(len(sigmas) - 1, kept)))
    sampled = sample_custom(
        guider,
        noise=noise,
        sampler=replace(sampler, function=recorder),
        sigmas=sigmas,
        latent=latent,
        progress=progress,
        check_cancelled=check_cancelled,
    )
    return Recorded(sampled, recorder.steps)


@dataclass(frozen=True, slots=True, eq=False)
class _Recorder:
    """A sampler whose steps are kept on the way to the callback."""

    model: DiffusionModel
    function: SamplerFunction
    kept: frozenset[int]
    steps: list[StepRecord] = field(default_factory=list)

    def __call__(
        self, model: Denoiser, x: Tensor, sigmas: Tensor, *, callback: Callback, noise_sampler: NoiseSampler
    ) -> Tensor:
        """The sampled x, as without the record."""

        def keep(step: Step) -> None:
            if step.index in self.kept:
                self.steps.append(self._record(step))
            callback(step)

        return self.function(model, x, sigmas, callback=keep, noise_sampler=noise_sampler)

    def _record(self, step: Step) -> StepRecord:
        seen = visible(self.model.sampling, step.x[:1], step.sigma)
        return StepRecord(step.index, float(step.sigma), self._shown(seen), self._shown(step.denoised[:1]))

    def _shown(self, x: Tensor) -> Tensor:
        # a copy: some samplers go on in the same memory
        return self.model.latent_format.process_out(x).to("cpu", torch.float32, copy=True)


def spread(count: int, chosen: int) -> list[int]:
    """At most `chosen` of the numbers 0..count - 1, evenly spread, the first and the last among them."""
    if count <= chosen:
        return list(range(max(count, 0)))
    if chosen < 2:
        return [count - 1]
    return sorted({round(number * (count - 1) / (chosen - 1)) for number in range(chosen)})


def distances(steps: Sequence[StepRecord], clean: Tensor) -> list[float]:
    """The root mean square by which each denoised estimate differs from the first of latents (B, C, h, w)."""
    return [float((step.denoised[0] - clean[0]).square().mean().sqrt()) for step in steps]
