"""Guidance away from a worse prediction: that of the same network with a part of it disturbed.

Each is an `AfterGuidance` that asks the network once more per step. Patches of the model stay in force.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, pad

from graphengine_nodes.diffusion.model.combining import Predictions
from graphengine_nodes.diffusion.model.pack_model import InnerModel
from graphengine_nodes.diffusion.model.patching import replace_patch

# Any throughout: the options are ComfyUI's open-ended form.
Disturb = Callable[[dict[str, Any]], None]
"""Writes patches into a table of "transformer_options"."""

_MIDDLE = ("middle", 0)
_ATTENTION = "self-attention of the negative side"
_KERNEL = 9
_SMALLEST = 5  # cells that a side must have to be padded by half a kernel


def patches_with(predictions: Predictions, disturb: Disturb) -> dict[str, Any]:
    """The transformer options of the model with further patches."""
    options = dict(predictions.in_run.model.model_options.get("transformer_options", {}))
    disturb(options)
    return options


def values_alone(q: Tensor, k: Tensor, v: Tensor, options: Mapping[str, Any]) -> Tensor:
    """Attention in which each token attends to itself: the identity in place of the attention map."""
    return v


@dataclass(frozen=True, slots=True)
class PerturbedAttention:
    """Perturbed-attention guidance of Ahn et al. (2024).

    It leads away from a prediction whose self-attention in the middle block is the identity.
    """

    scale: float

    def __call__(self, predictions: Predictions, denoised: Tensor) -> Tensor:
        """The guided prediction plus scale * (cond - perturbed)."""
        if self.scale == 0:
            return denoised
        options = patches_with(
            predictions, lambda options: replace_patch(options, values_alone, "attn1", *_MIDDLE)
        )
        return denoised + (predictions.cond - predictions.ask("positive", options)) * self.scale


# Skipped layers


def unchanged(states: Mapping[str, Any], options: Mapping[str, Any]) -> Mapping[str, Any]:
    """A transformer block that is skipped: the states as they came in."""
    return states


@dataclass(frozen=True, slots=True)
class SkippedLayers:
    """Which blocks of a transformer are skipped, and between which noise levels."""

    double: tuple[int, ...]
    single: tuple[int, ...]
    sigma_start: float
    sigma_end: float

    def applies(self, sigma: Tensor) -> bool:
        """Whether anything is skipped at this level."""
        return bool(self.double or self.single) and self.sigma_end <= float(sigma[0]) <= self.sigma_start

    def __call__(self, options: dict[str, Any]) -> None:
        """Write the patches that skip them."""
        for kind, numbers in (("double_block", self.double), ("single_block", self.single)):
            for number in numbers:
                replace_patch(options, unchanged, "dit", kind, number)


def layer_numbers(text: str) -> tuple[int, ...]:
    """The whole numbers in a text such as "7, 8, 9"."""
    return tuple(int(number) for number in re.findall(r"\d+", text))


@dataclass(frozen=True, slots=True)
class SkipLayerGuidance:
    """Skip-layer guidance of Stability AI's SD3.5 reference code: away from a prediction without some blocks.

    rescale: the share of a result with the standard deviation of the positive prediction; Lin et al. (2024).
    """

    layers: SkippedLayers
    scale: float
    rescale: float = 0.0

    def __call__(self, predictions: Predictions, denoised: Tensor) -> Tensor:
        """The guided prediction plus scale * (cond - skipped)."""
        if self.scale <= 0 or not self.layers.applies(predictions.sigma):
            return denoised
        worse = predictions.ask("positive", patches_with(predictions, self.layers))
        denoised = denoised + (predictions.cond - worse) * self.scale
        if self.rescale == 0:
            return denoised
        factor = predictions.cond.std() / denoised.std().clamp(min=1e-20)
        return denoised * (self.rescale * factor + (1 - self.rescale))


@dataclass(frozen=True, slots=True)
class SkipLayersForNegative:
    """Ask the negative side with some blocks skipped: a "sampler_calc_cond_batch_function"."""

    layers: SkippedLayers

    def __call__(self, asked: Mapping[str, Any]) -> Sequence[Tensor]:
        """The predictions for both sides."""
        model: InnerModel = asked["model"]
        x, sigma, options = asked["input"], asked["sigma"], asked["model_options"]
        positive, negative, *rest = asked["conds"]
        if negative is None or not self.layers.applies(sigma):
            return model.predict(asked["conds"], x, sigma, options)
        skipping = dict(options.get("transformer_options", {}))
        self.layers(skipping)
        worse = model.predict([negative], x, sigma, {**options, "transformer_options": skipping})
        [first, *others] = model.predict([positive, *rest], x, sigma, options)
        return [first, *worse, *others]


# Self-attention guidance


def attend_and_record(q: Tensor, k: Tensor, v: Tensor, options: Mapping[str, Any]) -> Tensor:
    """Attention (B, T, C) with several heads that keeps its map, for the negative side, in the run's memory."""
    heads: int = options["n_heads"]
    q, k, v = (part.view(*part.shape[:2], heads, -1).transpose(1, 2) for part in (q, k, v))
    weights = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(dim=-1)
    sides: Sequence[int] = options["cond_or_uncond"]
    if 1 in sides and "memory" in options:
        options["memory"][_ATTENTION] = weights.chunk(len(sides))[sides.index(1)]
    return (weights @ v).transpose(1, 2).flatten(2)


@dataclass(frozen=True, slots=True)
class SelfAttentionGuidance:
    """Self-attention guidance of Hong et al. (2023).

    It leads away from what the negative side says of its own prediction, blurred where the attention of the middle
    block looks most.

    Needs `attend_and_record` at the first transformer block of the middle. A latent with a side below 5 cells
    stays as it is.
    """

    scale: float
    sigma: float

    def __call__(self, predictions: Predictions, denoised: Tensor) -> Tensor:
        """The guided prediction plus scale * (degraded - what the network says of the degraded latent)."""
        run, uncond = predictions.in_run, predictions.uncond
        attention = run.memory.get(_ATTENTION)
        if attention is None or min(denoised.shape[-2:]) < _SMALLEST:
            return denoised
        degraded = blurred_where_attended(uncond, attention, self.sigma)
        patches = run.model.model_options.get("transformer_options", {})
        answer = predictions.ask("negative", patches, degraded + predictions.x - uncond)
        return denoised + (degraded - answer) * self.scale


def blurred_where_attended(x: Tensor, attention: Tensor, sigma: float) -> Tensor:
    """x (B, C, H, W), blurred in the places that get more than their share of attention (B, heads, T, T)."""
    batch, _, height, width = x.shape
    mask = attention.mean(dim=1).sum(dim=1) > 1.0
    level = 2 ** (math.ceil(math.sqrt(height * width / mask.shape[1])) - 1).bit_length()
    small = (math.ceil(height / level), math.ceil(width / level))
    mask = mask.reshape(batch, 1, *small).to(x.dtype)
    mask = interpolate(mask, (height, width))
    return blurred(x, sigma) * mask + x * (1 - mask)


def blurred(x: Tensor, sigma: float) -> Tensor:
    """x (B, C, H, W) through a Gaussian of 9 x 9 cells; the edges are mirrored. sigma 0 changes nothing."""
    if sigma <= 0:
        return x
    place = torch.arange(_KERNEL, device=x.device) - _KERNEL // 2
    line = torch.exp(-0.5 * (place / sigma) ** 2)
    line = (line / line.sum()).to(x.dtype)
    channels, edge = x.shape[1], _KERNEL // 2
    kernel = torch.outer(line, line).expand(channels, 1, _KERNEL, _KERNEL)
    return conv2d(pad(x, (edge,) * 4, mode="reflect"), kernel, groups=channels)
