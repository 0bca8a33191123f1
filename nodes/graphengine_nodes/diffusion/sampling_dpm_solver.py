"""DPM-Solver of Lu et al. (2022a) in the time t = -log(sigma): fast (fixed orders) and adaptive steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .sampling import Callback, Denoiser, NoiseSampler, Step, no_callback


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


def sample_dpm_adaptive(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler | None = None,
    rtol: float = 0.05,
    atol: float = 0.0078,
    h_init: float = 0.05,
) -> Tensor:
    """DPM-Solver-23 of Lu et al. (2022a): the step size follows from the error of order 2 against 3.

    Of the sigmas only the ends (0 excepted) count; the number of steps is not known before.
    """
    if len(sigmas) < 2:
        return x
    t, t_end = _ends(sigmas)
    controller = _StepSize(h_init)
    x_low_last = x
    index = 0
    while t < t_end - 1e-5:
        t_next = torch.minimum(t_end, t + controller.h)
        solver = _SolverStep(model, x, t, t_next)
        x_low, x_high = solver.second_order(r1=1 / 3), solver.third_order()
        callback(Step(index, _sigma(t), x, x - _sigma(t) * solver.eps))
        scale = torch.clamp(rtol * torch.maximum(x_low.abs(), x_low_last.abs()), min=atol)
        error = torch.linalg.vector_norm((x_low - x_high) / scale) / x.numel() ** 0.5
        if controller.accepts(float(error)):
            x, x_low_last, t = x_high, x_low, t_next
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

    def to_order(self, order: int) -> Tensor:
        """x at t_next by the solver of this order, 1 to 3."""
        if order == 1:
            return self._x - self._sigma_next * self._h.expm1() * self.eps
        return self.second_order() if order == 2 else self.third_order()

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


@dataclass(slots=True)
class _StepSize:
    """The integral controller of the step size h that k-diffusion uses (MIT licence, Katherine Crowson)."""

    h: float
    order: int = 3
    accept_safety: float = 0.81
    eps: float = 1e-8

    def accepts(self, error: float) -> bool:
        """Whether a step of this relative error counts; sets h for the next one either way."""
        factor = 1 + math.atan((1 / (error + self.eps)) ** (1 / self.order) - 1)
        self.h *= factor
        return factor >= self.accept_safety
