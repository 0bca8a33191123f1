"""Classifier-free guidance taken apart: what the positive and the negative conditioning say at a noise level."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from graphengine_nodes.diffusion.model.combining import Guidance
from graphengine_nodes.diffusion.model.model import Conditioning, DiffusionModel, Latent
from graphengine_nodes.diffusion.sampling.custom_sampling import sample_custom
from graphengine_nodes.diffusion.sampling.guidance import Point
from graphengine_nodes.diffusion.sampling.guiders import Guider
from graphengine_nodes.diffusion.sampling.noise import SeededNoise
from graphengine_nodes.diffusion.sampling.samplers import Sampler
from graphengine_nodes.diffusion.sampling.sampling import Callback, Denoiser, NoiseSampler, Step

from .noise_levels import visible


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """Both predictions of the clean latent at one noise level and the guided one.

    All (B, C, h, w) on the model's scale. x: what the network was shown, before its scaling.
    """

    sigma: float
    x: Tensor
    cond: Tensor
    uncond: Tensor
    guided: Tensor

    def noise(self, denoised: Tensor) -> Tensor:
        """What a prediction takes for noise, (x - denoised) / sigma; in a flow, for the velocity."""
        return (self.x - denoised) / self.sigma


@dataclass(frozen=True, slots=True)
class Strengths:
    """The parts as numbers; all norms are root mean squares over the first sample of the batch.

    cond, uncond, guided: of the predicted noise. difference: of cond - uncond. angle: between these two, in
    degrees. share: how much of the guided noise is guidance, |cfg - 1| * difference / guided.
    """

    sigma: float
    cond: float
    uncond: float
    difference: float
    angle: float
    guided: float
    share: float


def strengths(parts: Parts, cfg: float) -> Strengths:
    """What the predictions at a noise level measure.

    guided = cond + (cfg - 1) (cond - uncond) = cfg * cond + (1 - cfg) * uncond: the positive side counts cfg
    times, the negative one is pushed away from by cfg - 1 (Ho and Salimans, 2022, eq. 6).
    """
    cond, uncond, guided = (parts.noise(side)[0] for side in (parts.cond, parts.uncond, parts.guided))
    difference = _size(cond - uncond)
    return Strengths(
        sigma=parts.sigma,
        cond=_size(cond),
        uncond=_size(uncond),
        difference=difference,
        angle=angle(cond, uncond),
        guided=_size(guided),
        share=abs(cfg - 1) * difference / max(_size(guided), 1e-12),
    )


def angle(one: Tensor, other: Tensor) -> float:
    """The angle between two tensors as vectors, in degrees, 0..180; 0 where one of them is zero.

    By the half-angle form 2 atan2(|u - v|, |u + v|) of the unit vectors, which is exact for small angles too.
    """
    one, other = one.double().flatten(), other.double().flatten()
    if not (one.any() and other.any()):
        return 0.0
    one, other = one / torch.linalg.vector_norm(one), other / torch.linalg.vector_norm(other)
    across, along = torch.linalg.vector_norm(one - other), torch.linalg.vector_norm(one + other)
    return math.degrees(2 * math.atan2(float(across), float(along)))


def _size(values: Tensor) -> float:
    return float(values.square().mean().sqrt())


def take_apart(
    model: DiffusionModel,
    positive: Conditioning,
    negative: Conditioning,
    latent: Latent,
    sigmas: Sequence[float],
    *,
    cfg: float,
    seed: int,
    progress: Callable[[int, int], None],
    check_cancelled: Callable[[], None],
) -> list[Parts]:
    """The predictions for the latent with noise of each level above 0, the same noise at every one.

    The network is asked as a sampler asks it, areas, masks and patches included; progress is called per level.

    Raises:
        ValueError: latent, conditionings or sigmas do not fit the model.
    """
    rule = _Recording(cfg)
    guider = Guider(model, {"positive": positive, "negative": negative}, rule)
    asked = [sigma for sigma in sigmas if sigma > 0]
    for number, sigma in enumerate(asked):
        sample_custom(
            guider,
            noise=SeededNoise(seed),
            sampler=Sampler("explain", _ask_once),
            sigmas=torch.tensor([sigma, 0.0]),
            latent=latent,
            check_cancelled=check_cancelled,
        )
        progress(number + 1, len(asked))
    return rule.parts


@dataclass(frozen=True, slots=True, eq=False)
class _Recording:
    """Classifier-free guidance that always asks both sides and keeps what they answer."""

    cfg: float
    negative: str | None = "negative"
    parts: list[Parts] = field(default_factory=list)

    def sides(self, guidance: Guidance) -> Sequence[str]:
        """Both sides, also at cfg 1."""
        return ("positive", "negative")

    def join(self, guidance: Guidance, point: Point, predicted: Mapping[str, Tensor]) -> Tensor:
        """The guided prediction, which is kept together with its parts."""
        cond, uncond = predicted["positive"], predicted["negative"]
        guided = guidance(point.predictions(cond, uncond, self.cfg))
        kept = (value.float().cpu() for value in (point.x, cond, uncond, guided))
        self.parts.append(Parts(float(point.sigma[0]), *kept))
        return guided


def _ask_once(
    model: Denoiser, x: Tensor, sigmas: Tensor, *, callback: Callback, noise_sampler: NoiseSampler
) -> Tensor:
    """A sampler that takes the first prediction for the result."""
    denoised = model(x, sigmas[0])
    callback(Step(0, sigmas[0], x, denoised))
    return denoised


def pictures_of(model: DiffusionModel, parts: Parts) -> Tensor:
    """x, uncond, cond and guided of the first sample, on the scale of LATENT: (4, C, h, w)."""
    seen = visible(model.sampling, parts.x, torch.tensor(parts.sigma))
    return model.latent_format.process_out(torch.cat([side[:1] for side in (seen, *_sides(parts))]))


def _sides(parts: Parts) -> tuple[Tensor, Tensor, Tensor]:
    return parts.uncond, parts.cond, parts.guided
