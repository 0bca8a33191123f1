"""From conditionings to a denoised latent: weighted regions, classifier-free guidance, inpainting."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .model import DiffusionModel
from .model_sampling import ModelSampling
from .regions import Condition
from .sampling import Guided

_NO_WEIGHT = 1e-37
"""What the weights of the conditions start from: a place that no condition covers comes out as 0."""


def never_cancelled() -> None:
    """The default `check_cancelled`: goes on."""


@dataclass(frozen=True, slots=True, eq=False)
class Inpainting:
    """Sample only where `mask` is 1 and keep `latent` where it is 0.

    All on the model's scale and device: mask (B, 1, H, W) in 0..1, latent and noise (B, C, H, W).
    """

    mask: Tensor
    latent: Tensor
    noise: Tensor

    def noised(self, x: Tensor, sigma: Tensor, sampling: ModelSampling) -> Tensor:
        """x with the kept part replaced by the latent at this level of noise."""
        kept = sampling.noise_scaling(sigma, self.noise, self.latent, max_denoise=False)
        return x * self.mask + kept * (1.0 - self.mask)

    def restored(self, denoised: Tensor) -> Tensor:
        """The prediction with the kept part replaced by the latent."""
        return denoised * self.mask + self.latent * (1.0 - self.mask)


@dataclass(frozen=True, slots=True, eq=False)
class GuidedDenoiser:
    """A model with positive and negative conditions at a guidance scale (a `Denoiser`); Ho and Salimans (2022).

    At cfg 1 the negative side has no weight and is not evaluated. `check_cancelled` is called before each
    evaluation of the network and may raise.
    """

    model: DiffusionModel
    positive: Sequence[Condition]
    negative: Sequence[Condition]
    cfg: float
    inpainting: Inpainting | None = None
    check_cancelled: Callable[[], None] = never_cancelled

    @property
    def sampling(self) -> ModelSampling:
        """The noise levels of the model."""
        return self.model.sampling

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """The denoised latent for x (B, C, H, W) at sigma (no dimension, or (B,))."""
        if not math.isclose(self.cfg, 1.0):
            return self.guided(x, sigma).denoised
        [denoised] = self._predict(x, sigma, [self.positive])
        return self._restored(denoised)

    def guided(self, x: Tensor, sigma: Tensor) -> Guided:
        """The denoised latent, and the prediction of the negative side alone, where nothing is restored."""
        cond, uncond = self._predict(x, sigma, [self.positive, self.negative])
        return Guided(self._restored(uncond + (cond - uncond) * self.cfg), uncond)

    def _restored(self, denoised: Tensor) -> Tensor:
        return self.inpainting.restored(denoised) if self.inpainting else denoised

    def _predict(self, x: Tensor, sigma: Tensor, sides: Sequence[Sequence[Condition]]) -> list[Tensor]:
        """The denoised latent of each side: the weighted mean of its conditions."""
        sigma = sigma.expand(len(x)) if sigma.ndim == 0 else sigma
        if self.inpainting:
            x = self.inpainting.noised(x, sigma, self.sampling)
        sums = [torch.zeros_like(x) for _ in sides]
        weights = [torch.full_like(x[:, :1], _NO_WEIGHT) for _ in sides]
        level = float(sigma[0])
        active = [(side, c) for side, conditions in enumerate(sides) for c in conditions if c.applies(level)]
        for group in _batches(active, x):
            crops = [condition.crop(x) for _, condition in group]
            outputs = self._denoise(crops, sigma, [condition for _, condition in group])
            for (side, condition), denoised in zip(group, outputs, strict=True):
                weight = condition.weight(x)
                condition.crop(sums[side]).add_(denoised * weight)
                condition.crop(weights[side]).add_(weight)
        return [total / weight for total, weight in zip(sums, weights, strict=True)]

    def _denoise(
        self, crops: Sequence[Tensor], sigma: Tensor, conditions: Sequence[Condition]
    ) -> tuple[Tensor, ...]:
        """One evaluation of the network for several conditions of equal shapes."""
        self.check_cancelled()
        x, batch = torch.cat(list(crops)), len(crops[0])
        sigma = sigma.repeat(len(crops))
        context = torch.cat([_for_batch(condition.context, batch) for condition in conditions])
        extra = {
            name: torch.cat([_for_batch(condition.extra[name], batch) for condition in conditions])
            for name in conditions[0].extra
        }
        scaled = self.sampling.scale_input(sigma, x)
        output = self.model.apply(scaled, self.sampling.timestep(sigma), context, extra)
        return self.sampling.denoised(sigma, output.float(), x).chunk(len(crops))


def _batches(active: Sequence[tuple[int, Condition]], x: Tensor) -> Iterator[list[tuple[int, Condition]]]:
    """The conditions that the network can answer together: crops, texts and extras of equal shapes.

    Texts of different lengths run apart: padding them alike would mean to repeat tokens, for the same result.
    """
    groups: dict[object, list[tuple[int, Condition]]] = {}
    for side, condition in active:
        extras = tuple((name, value.shape[1:]) for name, value in sorted(condition.extra.items()))
        key = (condition.crop(x).shape, condition.context.shape[1:], extras)
        groups.setdefault(key, []).append((side, condition))
    yield from groups.values()


def _for_batch(value: Tensor, batch: int) -> Tensor:
    """One entry per latent: a single one repeated, several repeated in turn and cut."""
    if len(value) == batch:
        return value
    return value.repeat(math.ceil(batch / len(value)), *[1] * (value.ndim - 1))[:batch]
