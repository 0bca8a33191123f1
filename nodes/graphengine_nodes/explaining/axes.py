"""The numbers on an axis: where they stand and how they read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_NICE = (1.0, 2.0, 2.5, 5.0, 10.0)
_MOST_DECADES = 7
_SMALLEST = 1e-30


@dataclass(frozen=True, slots=True)
class Axis:
    """What an axis shows.

    log: equal distances are equal ratios. whole: only whole numbers stand at it. limits: low and high, else from
    the values.
    """

    label: str
    log: bool = False
    whole: bool = False
    limits: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Scale:
    """The way from values to places 0..1 along an axis."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def place(self, value: float) -> float:
        """Where a value stands; outside of 0..1 for one beyond the limits."""
        low, high = self._inner(self.low), self._inner(self.high)
        return (self._inner(value) - low) / (high - low)

    def ticks(self, about: int = 6) -> list[float]:
        """Values with few digits inside the limits, about so many."""
        if self.log:
            return _decades(self.low, self.high, about)
        return _steps(self.low, self.high, about, least=1.0 if self.whole else 0.0)

    def _inner(self, value: float) -> float:
        return math.log10(value) if self.log else value


def scale_for(axis: Axis, values: Sequence[float]) -> Scale:
    """The scale that shows the finite values (above 0 on a logarithmic axis), with some room around them."""
    if axis.limits is not None:
        return Scale(*axis.limits, axis.log, axis.whole)
    shown = [value for value in values if math.isfinite(value) and (value > 0 or not axis.log)]
    low, high = (min(shown), max(shown)) if shown else (1.0, 1.0)
    if axis.log:
        room = (high / low) ** 0.04
        return (
            Scale(low / room, high * room, log=True)
            if high > low * (1 + 1e-6)
            else Scale(low / 10, low * 10, log=True)
        )
    largest = max(abs(low), abs(high))
    flat = high - low <= max(1e-9 * largest, _SMALLEST)  # apart by rounding alone
    room = max(largest, _SMALLEST) / 2 if flat else (high - low) * 0.04
    return Scale(low - room, high + room, whole=axis.whole)


def _steps(low: float, high: float, about: int, least: float) -> list[float]:
    raw = (high - low) / max(1, about)
    power = 10.0 ** math.floor(math.log10(raw))
    step = max(least, next(nice * power for nice in _NICE if nice * power >= raw * (1 - 1e-9)))
    step = math.ceil(step) if least else step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _decades(low: float, high: float, about: int) -> list[float]:
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    if last - first < 2:  # too few powers of ten: also twice and five times each
        powers = range(first - 1, last + 1)
        found = [m * 10.0**p for p in powers for m in (1, 2, 5) if low <= m * 10.0**p <= high]
        return found if len(found) > 1 else _steps(low, high, about, least=0.0)
    every = math.ceil((last - first + 1) / min(about, _MOST_DECADES))
    return [10.0**power for power in range(first, last + 1, every)]


def as_label(value: float) -> str:
    """A number as it stands at an axis: few digits, powers of ten only where they are shorter."""
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e5:
        return f"{value:.6g}"
    return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
