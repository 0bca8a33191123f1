"""The GUIDER value: a model, its conditionings, and the rule that makes one prediction of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from graphengine_nodes.diffusion.model.combining import Guidance
from graphengine_nodes.diffusion.model.model import Conditioning, DiffusionModel

from .guidance import Point, Rule
from .guidance_formulas import perpendicular


@dataclass(frozen=True, slots=True, eq=False)
class Guider:
    """The GUIDER value: everything that turns a noisy latent into a denoised one."""

    model: DiffusionModel
    conditionings: Mapping[str, Conditioning]
    rule: Rule


@dataclass(frozen=True, slots=True)
class PositiveOnly:
    """The prediction for the one conditioning, without guidance."""

    negative: str | None = None

    def sides(self, guidance: Guidance) -> Sequence[str]:
        """The positive side."""
        return ("positive",)

    def join(self, guidance: Guidance, point: Point, predicted: Mapping[str, Tensor]) -> Tensor:
        """Its prediction."""
        cond = predicted["positive"]
        return guidance(point.predictions(cond, cond, 1.0))


@dataclass(frozen=True, slots=True)
class ClassifierFree:
    """Guidance from the negative past the positive prediction. At cfg 1 the negative side is not asked."""

    cfg: float
    negative: str | None = "negative"

    def sides(self, guidance: Guidance) -> Sequence[str]:
        """Both sides, or at cfg 1 the positive one."""
        return ("positive", "negative") if guidance.asks_negative(self.cfg) else ("positive",)

    def join(self, guidance: Guidance, point: Point, predicted: Mapping[str, Tensor]) -> Tensor:
        """The guided prediction."""
        cond = predicted["positive"]
        return guidance(point.predictions(cond, predicted.get("negative", cond), self.cfg))


@dataclass(frozen=True, slots=True)
class DualClassifierFree:
    """Two guidances over the sides "positive", "middle" and "negative"; Brooks et al. (2023), eq. 3.

    The sum of (positive - middle) times cfg_positive and of the guidance from negative to middle by cfg_middle.
    """

    cfg_positive: float
    cfg_middle: float
    negative: str | None = "negative"

    def sides(self, guidance: Guidance) -> Sequence[str]:
        """All three, or without the negative one when cfg_middle is 1."""
        sides = ("positive", "middle", "negative")
        return sides if guidance.asks_negative(self.cfg_middle) else sides[:2]

    def join(self, guidance: Guidance, point: Point, predicted: Mapping[str, Tensor]) -> Tensor:
        """The guided prediction."""
        positive, middle = predicted["positive"], predicted["middle"]
        towards_middle = point.predictions(middle, predicted.get("negative", middle), self.cfg_middle)
        return guidance(towards_middle) + (positive - middle) * self.cfg_positive


@dataclass(frozen=True, slots=True)
class NestedClassifierFree:
    """Guidance from negative to a prediction that is itself guided from middle to positive."""

    cfg_positive: float
    cfg_middle: float
    negative: str | None = "negative"

    def sides(self, guidance: Guidance) -> Sequence[str]:
        """All three, or without the negative one when cfg_middle is 1."""
        sides = ("positive", "middle", "negative")
        return sides if guidance.asks_negative(self.cfg_middle) else sides[:2]

    def join(self, guidance: Guidance, point: Point, predicted: Mapping[str, Tensor]) -> Tensor:
        """The guided prediction."""
        middle = predicted["middle"]
        cond = middle + (predicted["positive"] - middle) * self.cfg_positive
        return guidance(point.predictions(cond, predicted.get("negative", cond), self.cfg_middle))


@dataclass(frozen=True, slots=True)
class PerpendicularNegative:
    """Perp-Neg of Armandpour et al. (2023): only what is perpendicular to the positive direction is avoided.

    Directions start from the prediction for the empty text, the side "empty"; the projection is that of the whole
    batch at once.
    """

    cfg: float
    neg_scale: float
    negative: str | None = "empty"

    def sides(self, guidance: Guidance) -> Sequence[str]:
        """All three."""
        return ("positive", "negative", "empty")

    def join(self, guidance: Guidance, point: Point, predicted: Mapping[str, Tensor]) -> Tensor:
        """The guided prediction."""
        positive, negative, empty = (predicted[side] for side in ("positive", "negative", "empty"))
        denoised = perpendicular(positive, negative, empty, self.cfg, self.neg_scale)
        predictions = point.predictions(positive, empty, self.cfg)
        for change in guidance.after:
            denoised = change(predictions, denoised)
        return denoised
