"""How the predictions for a positive and a negative conditioning become one: classifier-free guidance and its kin.

All predictions are denoised latents. They are linear in the noise and in the velocity, so a formula that its paper
states for those reads the same here, unless it says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

if TYPE_CHECKING:
    from .model import Conditioning, DiffusionModel


class Run(Protocol):
    """The sampling run that predictions belong to: what guidance may ask of it."""

    @property
    def model(self) -> DiffusionModel:
        """The model that is sampled."""

    @property
    def conditions(self) -> Mapping[str, Sequence[Any]]:
        """The conditions by side, ready for this run."""

    @property
    def memory(self) -> dict[str, Any]:
        """What guidance keeps from step to step; empty when the run begins."""

    # Any: model_options and what is in them are ComfyUI's open-ended form.
    def predict(
        self, sides: Sequence[Sequence[Any]], x: Tensor, sigma: Tensor, model_options: Mapping[str, Any]
    ) -> list[Tensor]:
        """The denoised latent of each side, with other options than the model's."""


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """What the network says about x (B, C, …) at sigma (B,).

    cond and uncond are shaped like x. Where the negative side need not be asked (cfg 1), uncond is cond.
    """

    x: Tensor
    sigma: Tensor
    cond: Tensor
    uncond: Tensor
    cfg: float
    run: Run | None = None

    @property
    def in_run(self) -> Run:
        """The run.

        Raises:
            ValueError: the predictions were made outside of one.
        """
        if self.run is None:
            raise ValueError("this guidance asks the network again, which it can within a sampling run only")
        return self.run

    # Any: patches are functions of many forms.
    def ask(self, side: str, patches: Mapping[str, Any], x: Tensor | None = None) -> Tensor:
        """What one side says of x, or of another x, with other "transformer_options"."""
        run = self.in_run
        options = {**run.model.model_options, "transformer_options": patches}
        return run.predict([run.conditions[side]], self.x if x is None else x, self.sigma, options)[0]


Combine = Callable[[Predictions], Tensor]
"""The guided prediction, shaped like x."""

BeforeGuidance = Callable[[Predictions], Predictions]
"""Changed predictions, to be combined."""

AfterGuidance = Callable[[Predictions, Tensor], Tensor]
"""A changed guided prediction, given it and what it was made of."""


def classifier_free(predictions: Predictions) -> Tensor:
    """uncond + cfg * (cond - uncond); Ho and Salimans (2022)."""
    return predictions.uncond + (predictions.cond - predictions.uncond) * predictions.cfg


@dataclass(frozen=True, slots=True)
class Guidance:
    """What is done with the two predictions: some functions change them in turn, one combines them, some change
    the result in turn.

    always_negative: the negative side is asked even at cfg 1. conditionings: further sides by name, which the
    functions ask. Patched by `dataclasses.replace`.
    """

    combine: Combine = classifier_free
    before: tuple[BeforeGuidance, ...] = ()
    after: tuple[AfterGuidance, ...] = ()
    always_negative: bool = False
    conditionings: Mapping[str, Conditioning] = field(default_factory=dict, hash=False)

    def asks_negative(self, cfg: float) -> bool:
        """Whether the negative side has a part in the result at this cfg."""
        return self.always_negative or abs(cfg - 1.0) > 1e-9

    def __call__(self, predictions: Predictions) -> Tensor:
        """The guided prediction, shaped like x."""
        for prepare in self.before:
            predictions = prepare(predictions)
        denoised = self.combine(predictions)
        for change in self.after:
            denoised = change(predictions, denoised)
        return denoised


CLASSIFIER_FREE = Guidance()
"""What every model does unless it is patched."""


@dataclass(frozen=True, slots=True)
class Rescaled:
    """Guidance whose velocity has the standard deviation of the positive one; Lin et al. (2024), section 3.4.

    multiplier: the share of the rescaled velocity, phi in the paper, 0..1. The velocity is that of a variance
    preserving process, (x / (sigma^2 + 1) - denoised) * sqrt(sigma^2 + 1) / sigma.
    """

    multiplier: float

    def __call__(self, predictions: Predictions) -> Tensor:
        """The guided prediction, shaped like x."""
        x, sigma = predictions.x, _over(predictions.x, predictions.sigma)
        scale = (sigma**2 + 1.0).sqrt() / sigma
        clean = x / (sigma**2 + 1.0)
        cond, uncond = ((clean - side) * scale for side in (predictions.cond, predictions.uncond))
        velocity = uncond + predictions.cfg * (cond - uncond)
        dimensions = tuple(range(1, x.ndim))
        ratio = cond.std(dim=dimensions, keepdim=True) / velocity.std(dim=dimensions, keepdim=True)
        # a constant velocity has no deviation to rescale
        rescaled = torch.where(ratio.isfinite(), ratio, torch.ones_like(ratio)) * velocity
        return clean - (self.multiplier * rescaled + (1.0 - self.multiplier) * velocity) / scale


@dataclass(frozen=True, slots=True)
class LinearFrames:
    """Guidance that grows linearly over the frames (dimension 0) from min_cfg to cfg; Stable Video Diffusion."""

    min_cfg: float

    def __call__(self, predictions: Predictions) -> Tensor:
        """The guided prediction, shaped like x."""
        frames = len(predictions.cond)
        scale = torch.linspace(self.min_cfg, predictions.cfg, frames, device=predictions.cond.device)
        return _guided_by(predictions, scale)


@dataclass(frozen=True, slots=True)
class TriangleFrames:
    """Guidance that goes over the frames (dimension 0) from min_cfg up to cfg in the middle and back; SV3D."""

    min_cfg: float

    def __call__(self, predictions: Predictions) -> Tensor:
        """The guided prediction, shaped like x."""
        place = torch.linspace(0, 1, len(predictions.cond), device=predictions.cond.device)
        triangle = 2 * (place - torch.floor(place + 0.5)).abs()
        return _guided_by(predictions, triangle * (predictions.cfg - self.min_cfg) + self.min_cfg)


@dataclass(frozen=True, slots=True)
class LimitedNorm:
    """No cell's vector over the channels is longer than the positive prediction's; then times strength."""

    strength: float

    def __call__(self, predictions: Predictions, denoised: Tensor) -> Tensor:
        """The changed guided prediction, shaped like x."""
        allowed: Tensor = torch.linalg.vector_norm(predictions.cond, dim=1, keepdim=True)
        given: Tensor = torch.linalg.vector_norm(denoised, dim=1, keepdim=True)
        return denoised * (allowed / (given + 1e-8)).clamp(0.0, 1.0) * self.strength


def zero_star(predictions: Predictions, denoised: Tensor) -> Tensor:
    """CFG-Zero* of Fan et al. (2025): the negative side is scaled to be nearest to the positive one.

    The scale alpha = <c, u> / |u|^2, with c and u the noise in x that either side sees, is taken per sample.
    """
    cond, uncond = ((predictions.x - side).flatten(1) for side in (predictions.cond, predictions.uncond))
    alpha = (cond * uncond).sum(dim=1) / ((uncond**2).sum(dim=1) + 1e-8)
    alpha = _over(denoised, alpha)
    return denoised + predictions.uncond * (alpha - 1.0) * (1.0 - predictions.cfg)


def tangential(predictions: Predictions) -> Predictions:
    """TCFG of Kwon et al. (2025): of the negative side's noise only what lies along the main direction of both.

    The main direction is the first right singular vector of the two noises of a sample.
    """
    cond, uncond = ((predictions.x - side).flatten(1) for side in (predictions.cond, predictions.uncond))
    _, _, directions = torch.linalg.svd(torch.stack([uncond, cond], dim=1), full_matrices=False)
    main = directions[:, 0]
    damped = (uncond * main).sum(dim=1, keepdim=True) * main
    return replace(predictions, uncond=predictions.x - damped.reshape(predictions.x.shape))


@dataclass(frozen=True, slots=True)
class OnDifference:
    """An operation on latents, called with `latent=`, done to what the positive side adds to the negative one.

    Without a negative side it is done to the positive prediction.
    """

    operation: Callable[..., Tensor]

    def __call__(self, predictions: Predictions) -> Predictions:
        """The predictions with another positive side."""
        cond, uncond = predictions.cond, predictions.uncond
        if uncond is cond:
            changed = self.operation(latent=cond)
            return replace(predictions, cond=changed, uncond=changed)
        return replace(predictions, cond=self.operation(latent=cond - uncond) + uncond)


def _guided_by(predictions: Predictions, scale: Tensor) -> Tensor:
    scale = _over(predictions.cond, scale)
    return predictions.uncond + scale * (predictions.cond - predictions.uncond)


def _over(x: Tensor, values: Tensor) -> Tensor:
    """One value per sample, with as many dimensions as x."""
    return values.reshape(-1, *[1] * (x.ndim - 1))
