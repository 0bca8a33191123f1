"""DPM-Solver of Lu et al. (2022a) in the time t = -log(sigma): fast (fixed orders) and adaptive steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .ancestral import split_variance
from .sampling import Callback, Denoiser, NoiseSampler, Step, no_callback

_HIGHEST_FACTOR = 1 + math.pi / 2
"""The step size grows by less than this at a time."""

_SMALLEST_SCALE = 1e-12
"""What errors are divided by at least, so that none over none is none."""

_SMALLEST_STEP = 1e-6
"""In -log(sigma): a smaller step does not move a float32 time."""


def sample_dpm_fast(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler | None = None,
) -> Tensor:
    """DPM-Solver-Fast of Lu et al. (2022a): as many model calls as there are sigmas after the first.

    Of the sigmas only the ends (0 excepted) count. One `Step` per solver step, each of up to three model calls.
    """
    if len(sigmas) < 2:
        return x
    calls = len(sigmas) - 1
    count = calls // 3 + 1
    orders = [3] * (count - 2) + [2, 1] if calls % 3 == 0 else [3] * (count - 1) + [calls % 3]
    t_start, t_end = _ends(sigmas)
    times = torch.linspace(float(t_start), float(t_end), count + 1, device=x.device)
    for i, order in enumerate(orders):
        solver = _SolverStep(model, x, times[i], times[i + 1])
        callback(Step(i, _sigma(times[i]), x, x - _sigma(times[i]) * solver.eps))
        x = solver.to_order(order)
    return x


@dataclass(frozen=True, slots=True)
class StepControl:
    """The first step in -log(sigma) and the weights of the PID controller of the step size.

    Raises:
        ValueError: the first step is not above 0, or accept_safety is one that no step can reach.
    """

    h_init: float = 0.05
    pcoeff: float = 0.0
    icoeff: float = 1.0
    dcoeff: float = 0.0
    accept_safety: float = 0.81

    def __post_init__(self) -> None:
        if self.h_init <= 0:
            raise ValueError(f"h_init is {self.h_init:g}; the first step must be above 0")
        if self.accept_safety >= _HIGHEST_FACTOR:
            raise ValueError(
                f"accept_safety is {self.accept_safety:g}; no step is accepted from {_HIGHEST_FACTOR:.3g} on"
            )


def sample_dpm_adaptive(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler,
    control: StepControl | None = None,
    order: int = 3,
    rtol: float = 0.05,
    atol: float = 0.0078,
    eta: float = 0.0,
    s_noise: float = 1.0,
) -> Tensor:
    """DPM-Solver-12 and -23 of Lu et al. (2022a): the step size follows from the error of two orders.

    Of the sigmas only the ends (0 excepted) count; the number of steps is not known before. For eta > 0 each step
    goes down to less noise and adds fresh noise.

    Raises:
        ValueError: no step is small enough for the tolerances, or the model gives values that are not finite.
    """
    if len(sigmas) < 2:
        return x
    t, t_end = _ends(sigmas)
    controller = _StepSize(control or StepControl(), 1.5 if eta else order)
    x_low_last = x
    index = 0
    while t < t_end - 1e-5:
        t_next = torch.minimum(t_end, t + controller.h)
        t_down = t_next
        if eta:
            down, _ = split_variance(_sigma(t), _sigma(t_next), eta)
            t_down = torch.minimum(t_end, -down.log())
        solver = _SolverStep(model, x, t, t_down)
        low, high = (1, 2) if order == 2 else (2, 3)
        x_low, x_high = solver.to_order(low, r1=1 / 3), solver.to_order(high)
        callback(Step(index, _sigma(t), x, x - _sigma(t) * solver.eps))
        scale = torch.clamp(rtol * torch.maximum(x_low.abs(), x_low_last.abs()), min=max(atol, _SMALLEST_SCALE))
        error = torch.linalg.vector_norm((x_low - x_high) / scale) / x.numel() ** 0.5
        if controller.accepts(float(error)):
            x, x_low_last = x_high, x_low
            if eta:
                up = (_sigma(t_next) ** 2 - _sigma(t_down) ** 2) ** 0.5
                x = x + up * s_noise * noise_sampler(_sigma(t), _sigma(t_next))
            t = t_next
        index += 1
    return x


def _ends(sigmas: Tensor) -> tuple[Tensor, Tensor]:
    """The time of the first sigma and of the last one above 0."""
    last = sigmas[-1] if sigmas[-1] > 0 else sigmas[-2]
    return -sigmas[0].log(), -last.log()


def _sigma(t: Tensor) -> Tensor:
    return t.neg().exp()


class _SolverStep:
    """One step from t to t_next: the formulas of algorithms 1 and 2 of Lu et al. (2022a), sharing model calls."""

    def __init__(self, model: Denoiser, x: Tensor, t: Tensor, t_next: Tensor) -> None:
        self._model = model
        self._x = x
        self._t = t
        self._h = t_next - t
        self._sigma_next = _sigma(t_next)
        self._eps_at: dict[float, Tensor] = {}
        self.eps = self._noise(x, t)

    def to_order(self, order: int, r1: float | None = None) -> Tensor:
        """x at t_next by the solver of this order, 1 to 3; r1 is the place of its second stage, if not its own."""
        if order == 1:
            return self._x - self._sigma_next * self._h.expm1() * self.eps
        solver, own = (self.second_order, 0.5) if order == 2 else (self.third_order, 1 / 3)
        return solver(own if r1 is None else r1)

    def second_order(self, r1: float = 0.5) -> Tensor:
        """x at t_next by DPM-Solver-2, whose second stage is at t + r1 * h."""
        eps_r1 = self._stage(r1)
        slope = self.eps + (eps_r1 - self.eps) / (2 * r1)
        return self._x - self._sigma_next * self._h.expm1() * slope

    def third_order(self, r1: float = 1 / 3, r2: float = 2 / 3) -> Tensor:
        """x at t_next by DPM-Solver-3, with stages at t + r1 * h and t + r2 * h."""
        eps_r1 = self._stage(r1)
        h, s2 = self._h, self._t + r2 * self._h
        growth = (r2 * h).expm1()
        u2 = self._x - _sigma(s2) * (growth * self.eps + (r2 / r1) * (growth / (r2 * h) - 1) * (eps_r1 - self.eps))
        eps_r2 = self._noise(u2, s2)
        return self._x - self._sigma_next * (h.expm1() * self.eps + (h.expm1() / h - 1) / r2 * (eps_r2 - self.eps))

    def _stage(self, r1: float) -> Tensor:
        if r1 not in self._eps_at:
            s1 = self._t + r1 * self._h
            u1 = self._x - _sigma(s1) * (r1 * self._h).expm1() * self.eps
            self._eps_at[r1] = self._noise(u1, s1)
        return self._eps_at[r1]

    def _noise(self, x: Tensor, t: Tensor) -> Tensor:
        sigma = _sigma(t)
        return (x - self._model(x, sigma)) / sigma


class _StepSize:
    """The controller of the step size h that k-diffusion uses (MIT licence, Katherine Crowson)."""

    def __init__(self, control: StepControl, order: float, eps: float = 1e-8) -> None:
        self.h = control.h_init
        p, i, d = control.pcoeff, control.icoeff, control.dcoeff
        self._powers = ((p + i + d) / order, -(p + 2 * d) / order, d / order)
        self._accept_safety = control.accept_safety
        self._eps = eps
        self._inverse_errors: list[float] = []  # of this step and the two accepted before

    def accepts(self, error: float) -> bool:
        """Whether a step of this relative error counts; sets h for the next one either way.

        Raises:
            ValueError: the error is not a number, or h would be too small to move on.
        """
        if math.isnan(error):
            raise ValueError("the model gave values that are not numbers, so that no step size can be chosen")
        inverse = 1 / (error + self._eps)
        self._inverse_errors = [inverse, *(self._inverse_errors[1:] or (inverse, inverse))]
        change = math.prod(e**power for e, power in zip(self._inverse_errors, self._powers, strict=True) if power)
        factor = 1 + math.atan(change - 1)
        self.h *= factor
        accepted = factor >= self._accept_safety
        if accepted:
            self._inverse_errors[1:] = self._inverse_errors[:2]
        elif self.h < _SMALLEST_STEP or factor > 1:
            raise ValueError(
                f"no step of sampler 'dpm_adaptive' is accepted (relative error {error:g}, step {self.h:g}); "
                "raise rtol and atol, or lower accept_safety"
            )
        return accepted
