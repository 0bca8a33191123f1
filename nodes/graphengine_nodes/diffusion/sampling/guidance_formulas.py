"""Guidance beyond plain classifier-free guidance: functions for `Guidance`, each after its source.

All predictions are denoised latents (B, C, …).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from graphengine_nodes.diffusion.model.combining import Predictions
from graphengine_nodes.diffusion.model.frequencies import filtered


@dataclass(frozen=True, slots=True)
class PerpendicularToNegative:
    """Perp-Neg of Armandpour et al. (2023), with the conditioning for the empty text in the guidance itself.

    Directions start from the prediction for the side "empty"; the projection is that of the whole batch at once.
    """

    neg_scale: float

    def __call__(self, predictions: Predictions) -> Tensor:
        """The guided prediction, shaped like x."""
        run = predictions.in_run
        empty = predictions.ask("empty", run.model.model_options.get("transformer_options", {}))
        return perpendicular(predictions.cond, predictions.uncond, empty, predictions.cfg, self.neg_scale)


def perpendicular(positive: Tensor, negative: Tensor, empty: Tensor, cfg: float, neg_scale: float) -> Tensor:
    """empty + cfg * (p - neg_scale * the part of n that is perpendicular to p), p and n counted from empty."""
    positive, negative = positive - empty, negative - empty
    # a positive text that says what the empty one says has no direction
    along = (negative * positive).sum() / (positive**2).sum().clamp(min=1e-20) * positive
    return empty + cfg * (positive - (negative - along) * neg_scale)


@dataclass(frozen=True, slots=True)
class Renormalized:
    """Guidance whose prediction is at most `ratio` times as long as the positive one; that of Lumina-Image 2.0.

    Qin et al. (2025). ratio 0 leaves the length as it is. From the noise level `truncation` on, the positive
    prediction is the result.
    """

    ratio: float
    truncation: float

    def __call__(self, predictions: Predictions) -> Tensor:
        """The guided prediction, shaped like x."""
        cond, uncond = predictions.cond, predictions.uncond
        if not float(predictions.sigma[0]) < self.truncation:
            return cond
        guided = uncond + predictions.cfg * (cond - uncond)
        if self.ratio <= 0:
            return guided
        axes = tuple(range(1, cond.ndim))
        allowed: Tensor = torch.linalg.vector_norm(cond, dim=axes, keepdim=True) * self.ratio
        given: Tensor = torch.linalg.vector_norm(guided, dim=axes, keepdim=True)
        # a prediction of length 0 is not too long
        return guided * torch.where(given >= allowed, allowed / given.clamp(min=1e-20), 1.0)


@dataclass(frozen=True, slots=True)
class Projected:
    """Adaptive projected guidance of Sadat et al. (2024), algorithm 1.

    The difference of both predictions is averaged over the steps, shortened to norm_threshold, and its part along
    the positive prediction is taken times eta; norms are those of the last three dimensions. The result is cond +
    cfg * that: the scale w of the paper is cfg + 1. Threshold and momentum of 0 do nothing.
    """

    eta: float
    norm_threshold: float
    momentum: float

    def __call__(self, predictions: Predictions) -> Predictions:
        """Predictions that plain guidance makes the result of."""
        cond, uncond = predictions.cond, predictions.uncond
        if uncond is cond or predictions.cfg == 0:
            return predictions
        difference = self._averaged(predictions, cond - uncond)
        axes = (-3, -2, -1)
        if self.norm_threshold > 0:
            norm: Tensor = torch.linalg.vector_norm(difference, dim=axes, keepdim=True)
            difference = difference * (self.norm_threshold / norm.clamp(min=1e-20)).clamp(max=1.0)
        length: Tensor = torch.linalg.vector_norm(cond.double(), dim=axes, keepdim=True)
        unit = cond.double() / length.clamp(min=1e-20)
        along = ((difference.double() * unit).sum(dim=axes, keepdim=True) * unit).to(difference.dtype)
        changed = (difference - along) + self.eta * along
        return replace(predictions, cond=uncond + changed + (cond - uncond) / predictions.cfg)

    def _averaged(self, predictions: Predictions, difference: Tensor) -> Tensor:
        """The difference with momentum; at a level above the last one the average begins anew."""
        if self.momentum == 0 or predictions.run is None:
            return difference
        memory, sigma = predictions.run.memory, float(predictions.sigma[0])
        last, average = memory.get("projected guidance", (float("-inf"), None))
        if average is not None and sigma <= last:
            difference = self.momentum * average + difference
        memory["projected guidance"] = (sigma, difference)
        return difference


@dataclass(frozen=True, slots=True)
class FrequencyScaled:
    """FreSca of Huang et al. (2025): what guidance adds, with its low and high frequencies scaled apart.

    cutoff: how many frequencies around the lowest, in each of the last two dimensions, are low.
    """

    low: float
    high: float
    cutoff: int

    def __call__(self, predictions: Predictions) -> Predictions:
        """The predictions with another positive side."""
        cond, uncond = predictions.cond, predictions.uncond
        if uncond is cond:  # ComfyUI's guidance counts from 0 then
            changed = scaled_frequencies(cond, self.low, self.high, self.cutoff)
            return replace(predictions, cond=changed, uncond=changed)
        return replace(
            predictions, cond=uncond + scaled_frequencies(cond - uncond, self.low, self.high, self.cutoff)
        )


def scaled_frequencies(x: Tensor, low: float, high: float, cutoff: int) -> Tensor:
    """x (…, H, W) with the frequencies within the cutoff times low and all others times high."""
    weights = torch.full(x.shape[-2:], float(high), device=x.device)
    middle = [size // 2 for size in x.shape[-2:]]
    rows, columns = (slice(centre - min(cutoff, centre), centre + min(cutoff, centre)) for centre in middle)
    weights[rows, columns] = low
    return filtered(x, weights)


def towards_positive(predictions: Predictions, denoised: Tensor) -> Tensor:
    """A mean of the guided prediction g and of cfg * cond, by how alike the directions are; the node "Mahiro".

    With s the mean cosine between the signed roots of cfg * uncond and of (cfg * cond + g) / 2 over the channels,
    and w = 2 * (s + 1), the result is (w * g + (4 - w) * cfg * cond) / 4.
    """
    leap = predictions.cond * predictions.cfg
    negative = predictions.uncond if predictions.uncond is not predictions.cond else torch.zeros_like(leap)
    away, merged = _signed_root(negative * predictions.cfg), _signed_root((leap + denoised) / 2)
    weight = 2 * (cosine_similarity(away, merged).mean() + 1)
    return (weight * denoised + (4 - weight) * leap) / 4


def _signed_root(x: Tensor) -> Tensor:
    return x.abs().sqrt() * x.sign()


@dataclass(frozen=True, slots=True)
class EpsilonScaled:
    """The noise x - denoised divided by a factor; Ning et al. (2024), "Elucidating the Exposure Bias"."""

    factor: float

    def __call__(self, predictions: Predictions, denoised: Tensor) -> Tensor:
        """The changed guided prediction, shaped like x."""
        return predictions.x - (predictions.x - denoised) / self.factor
