"""From conditionings to a denoised latent: weighted regions, guidance between several sides, inpainting."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from graphengine_nodes.diffusion.model.combining import Guidance, Predictions, Run
from graphengine_nodes.diffusion.model.model import DiffusionModel, copied_options
from graphengine_nodes.diffusion.model.model_sampling import ModelSampling
from graphengine_nodes.diffusion.model.pack_hooks import (
    answers,
    hooked,
    is_wrapped,
    mask_at,
    wrapped_conditions,
    wrapped_network,
)
from graphengine_nodes.diffusion.model.regions import Condition, weighted

from .sampling import Guided

_NO_WEIGHT = 1e-37
"""What the weights of the conditions start from: a place that no condition covers comes out as 0."""


def never_cancelled() -> None:
    """The default `check_cancelled`: goes on."""


@dataclass(frozen=True, slots=True, eq=False)
class Inpainting:
    """Sample only where `mask` is 1 and keep `latent` where it is 0.

    All on the model's scale and device: latent and noise (B, C, …, H, W), mask (B, 1, …, H, W) in 0..1. Without
    noise the model is shown the kept part as it is.
    """

    mask: Tensor
    latent: Tensor
    noise: Tensor | None

    def noised(self, x: Tensor, sigma: Tensor, sampling: ModelSampling) -> Tensor:
        """x with the kept part replaced by the latent at this level of noise.

        Raises:
            ValueError: a sampler has changed the size of x.
        """
        if x.shape[-2:] != self.mask.shape[-2:]:
            raise ValueError(
                f"the sampler gave x the size {tuple(x.shape[-2:])}, but the latent's noise_mask has the size "
                f"{tuple(self.mask.shape[-2:])}: enlarge a latent without a mask"
            )
        kept = self.latent
        if self.noise is not None:
            kept = sampling.noise_scaling(sigma, self.noise, kept, max_denoise=False)
        return x * self.mask + kept * (1.0 - self.mask)

    def restored(self, denoised: Tensor) -> Tensor:
        """The prediction with the kept part replaced by the latent."""
        return denoised * self.mask + self.latent * (1.0 - self.mask)


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """Where the network was asked: x (B, C, …) at sigma (B,), in a run."""

    x: Tensor
    sigma: Tensor
    run: Run | None = None

    def predictions(self, cond: Tensor, uncond: Tensor, cfg: float) -> Predictions:
        """The two predictions here, to be combined at cfg."""
        return Predictions(self.x, self.sigma, cond, uncond, cfg, self.run)


class Rule(Protocol):
    """Which conditionings are asked, by name ("positive", "negative", …), and how their answers become one."""

    @property
    def negative(self) -> str | None:
        """The conditioning whose own prediction CFG++ samplers need; None when there is none."""

    def sides(self, guidance: Guidance) -> Sequence[str]:
        """The names of the conditionings that have a part in the result."""

    def join(self, guidance: Guidance, point: Point, predicted: Mapping[str, Tensor]) -> Tensor:
        """The guided prediction, shaped like x, from at least those of `sides`."""


@dataclass(frozen=True, slots=True, eq=False)
class GuidedDenoiser:
    """A model with conditions by name and the rule that joins their predictions (a `Denoiser`, and a `Run`).

    `check_cancelled` is called before each evaluation of the network and may raise. sigmas: the levels of the run.
    memory: what guidance keeps from step to step.
    """

    model: DiffusionModel
    conditions: Mapping[str, Sequence[Condition]]
    rule: Rule
    inpainting: Inpainting | None = None
    check_cancelled: Callable[[], None] = never_cancelled
    sigmas: Tensor | None = None
    memory: dict[str, Any] = field(default_factory=dict)

    @property
    def guidance(self) -> Guidance:
        """How predictions become one, with what node packs have added to it."""
        return hooked(self.model.guidance, self.model.model_options)

    @property
    def sampling(self) -> ModelSampling:
        """The noise levels of the model."""
        return self.model.sampling

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """The denoised latent for x (B, C, …) at sigma (no dimension, or (B,))."""
        return self._joined(x, sigma, self.rule.sides(self.guidance))[0]

    def guided(self, x: Tensor, sigma: Tensor) -> Guided:
        """The denoised latent, and the prediction of the negative side alone, where nothing is restored.

        Raises:
            ValueError: there is no negative side.
        """
        negative = self.rule.negative
        if negative is None:
            raise ValueError(
                "a CFG++ sampler needs the prediction for a negative conditioning, which this guider does not have"
            )
        sides = dict.fromkeys([*self.rule.sides(self.guidance), negative])
        denoised, predicted = self._joined(x, sigma, list(sides))
        return Guided(denoised, predicted[negative])

    def _joined(self, x: Tensor, sigma: Tensor, sides: Sequence[str]) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The guided prediction and the one of each side."""
        sigma = sigma.expand(len(x)) if sigma.ndim == 0 else sigma
        inpainting, options = self._inpainting(sigma), self.model.model_options
        if inpainting:
            x = inpainting.noised(x, sigma, self.sampling)
        made = answers(self, [self.conditions[side] for side in sides], x, sigma, options)
        predicted = dict(zip(sides, made, strict=True))
        denoised = self.rule.join(self.guidance, Point(x, sigma, self), predicted)
        return (inpainting.restored(denoised) if inpainting else denoised), predicted

    # Any: model_options are ComfyUI's open-ended form.
    def with_options(self, model_options: dict[str, Any]) -> GuidedDenoiser:
        """The same with other options of the model."""
        return replace(self, model=replace(self.model, model_options=model_options))

    def over(self, sigmas: Tensor) -> GuidedDenoiser:
        """The same for a run over these levels, with options that belong to the run and tell of them."""
        options = copied_options(self.model.model_options)
        options.setdefault("transformer_options", {})["sample_sigmas"] = sigmas
        return replace(self.with_options(options), sigmas=sigmas)

    def _inpainting(self, sigma: Tensor) -> Inpainting | None:
        """What is kept at this level of noise."""
        if self.inpainting is None:
            return None
        mask = mask_at(self, self.inpainting.mask, sigma, self.sigmas, self.model.model_options)
        return replace(self.inpainting, mask=mask)

    # Any: model_options are ComfyUI's open-ended form.
    def predict(
        self, sides: Sequence[Sequence[Condition]], x: Tensor, sigma: Tensor, model_options: Mapping[str, Any]
    ) -> list[Tensor]:
        """The denoised latent of each side, through what node packs have put around this step."""
        return wrapped_conditions(self, self._predict, sides, x, sigma, model_options)

    def _predict(
        self, sides: Sequence[Sequence[Condition]], x: Tensor, sigma: Tensor, model_options: Mapping[str, Any]
    ) -> list[Tensor]:
        """The denoised latent of each side: the weighted mean of its conditions."""
        sums = [torch.zeros_like(x) for _ in sides]
        weights = [torch.full_like(x[:, :1], _NO_WEIGHT) for _ in sides]
        level = float(sigma[0])
        counts = {
            (side, condition): weight
            for side, conditions in enumerate(sides)
            for condition, weight in weighted(conditions, x, level)
        }
        for group in _batches(list(counts), x):
            crops = [condition.crop(x) for _, condition in group]
            outputs = self._denoise(crops, sigma, group, model_options)
            for (side, condition), denoised in zip(group, outputs, strict=True):
                weight = counts[side, condition]
                condition.crop(sums[side]).add_(denoised * weight)
                condition.crop(weights[side]).add_(weight)
        return [total / weight for total, weight in zip(sums, weights, strict=True)]

    def _denoise(
        self,
        crops: Sequence[Tensor],
        sigma: Tensor,
        group: Sequence[tuple[int, Condition]],
        model_options: Mapping[str, Any],
    ) -> tuple[Tensor, ...]:
        """One evaluation of the network for several conditions of equal shapes and with one control."""
        self.check_cancelled()
        conditions = [condition for _, condition in group]
        x, batch = torch.cat(list(crops)), len(crops[0])
        sigma = sigma.repeat(len(crops))
        inputs = [condition.inputs() for condition in conditions]
        context = torch.cat([_for_batch(condition.context, batch) for condition in conditions])
        extra = {name: torch.cat([_for_batch(each[name], batch) for each in inputs]) for name in inputs[0]}
        options = {
            **model_options.get("transformer_options", {}),
            "cond_or_uncond": [side for side, _ in group],
            "sigmas": sigma,
            "sample_sigmas": self.sigmas,
            "memory": self.memory,
        }
        call = self.model.call(x, sigma, context, extra, options)
        control = conditions[0].control
        if control is not None and control.applies(float(sigma[0])):
            call = replace(call, control=control.residuals(x, sigma, call))
        if conditions[0].change is not None:
            call = conditions[0].change(call)
        if is_wrapped(model_options):
            return wrapped_network(self, x, sigma, call, model_options).chunk(len(crops))
        return self.model.denoised(x, sigma, call).chunk(len(crops))


def _batches(active: Sequence[tuple[int, Condition]], x: Tensor) -> Iterator[list[tuple[int, Condition]]]:
    """The conditions that the network can answer together: crops, texts and extras of equal shapes, one control.

    Texts of different lengths run apart: padding them alike would mean to repeat tokens, for the same result.
    """
    groups: dict[object, list[tuple[int, Condition]]] = {}
    for side, condition in active:
        extras = tuple((name, value.shape[1:]) for name, value in sorted(condition.inputs().items()))
        shared = id(condition.control), id(condition.change)
        key = (condition.crop(x).shape, condition.context.shape[1:], extras, shared)
        groups.setdefault(key, []).append((side, condition))
    yield from groups.values()


def _for_batch(value: Tensor, batch: int) -> Tensor:
    """One entry per latent: a single one repeated, several repeated in turn and cut."""
    if len(value) == batch:
        return value
    return value.repeat(math.ceil(batch / len(value)), *[1] * (value.ndim - 1))[:batch]
