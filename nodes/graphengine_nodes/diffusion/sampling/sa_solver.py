"""SA-Solver: a stochastic Adams predictor and corrector."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .sampling import Callback, Denoiser, NoiseSampler, Step, levels, no_callback
from .sde import finite_snr, half_log_snr


def sample_sa_solver(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler,
    predictor_order: int = 3,
    corrector_order: int = 4,
    evaluate_again: bool = False,
    eta: float = 1.0,
    s_noise: float = 1.0,
    noisy: tuple[float, float] | None = None,
    simple_order_2: bool = False,
) -> Tensor:
    """SA-Solver of Xue et al. (2023), predicting data, algorithm 1 (P-E-C, or P-E-C-E with evaluate_again).

    Noise comes in (tau = eta) on the steps that end within `noisy`, a higher and a lower sigma; by default those
    after 20 % and 80 % of the schedule. The orders grow over the first steps and fall over the last ones.
    corrector_order 0 leaves the corrector out. simple_order_2: the weights of appendix D for order 2.
    """
    sampling = model.sampling
    sigmas = finite_snr(sampling, sigmas)
    lam = half_log_snr(sampling, sigmas.double()).tolist()
    noisy = noisy or (sampling.percent_to_sigma(0.2), sampling.percent_to_sigma(0.8))
    left = len(sigmas) - 2  # steps after the current one
    history: list[Tensor] = []  # denoised latents, newest first
    last: _Segment | None = None
    for i, sigma, sigma_next in levels(sigmas):
        denoised = model(x, sigma)
        callback(Step(i, sigma, x, denoised))
        if last is not None and corrector_order:
            order = min(corrector_order, i + 1, left + 1)
            x = last.end(_newest(lam, i, order), [denoised, *history][:order])
            denoised = model(x, sigma) if evaluate_again else denoised
        if sigma_next == 0:
            return denoised
        history = [denoised, *history[: max(predictor_order, corrector_order - 1) - 1]]
        tau = eta if noisy[1] <= float(sigma_next) <= noisy[0] else 0.0
        noise = noise_sampler(sigma, sigma_next) * s_noise if tau and s_noise else torch.zeros_like(x)
        last = _Segment(x, (sigma, sigma_next), (lam[i], lam[i + 1]), tau, noise, simple_order_2)
        order = max(1, min(predictor_order, i + 1, left))
        x = last.end(_newest(lam, i, order), history[:order])
        left -= 1
    return x


def sample_sa_solver_pece(
    model: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    callback: Callback = no_callback,
    noise_sampler: NoiseSampler,
) -> Tensor:
    """`sample_sa_solver` that evaluates the model again at each corrected latent."""
    return sample_sa_solver(model, x, sigmas, callback=callback, noise_sampler=noise_sampler, evaluate_again=True)


def _newest(lam: Sequence[float], i: int, count: int) -> list[float]:
    return [lam[i - k] for k in range(count)]


@dataclass(frozen=True, slots=True, eq=False)
class _Segment:
    """One step of the SDE, from x at sigma[0] to sigma[1]; lam is log(signal / sigma) there, tau the noisiness."""

    x: Tensor
    sigma: tuple[Tensor, Tensor]
    lam: tuple[float, float]
    tau: float
    noise: Tensor
    simple_order_2: bool = False

    def end(self, nodes: Sequence[float], denoised: Sequence[Tensor]) -> Tensor:
        """x at the end of the step, the denoised latent being the polynomial through its values at the nodes."""
        h = self.lam[1] - self.lam[0]
        x = self.sigma[1] / self.sigma[0] * math.exp(-(self.tau**2) * h) * self.x
        signal = self.sigma[1] * math.exp(self.lam[1])
        integrate = _simple_weights if self.simple_order_2 and len(nodes) == 2 else _adams_weights
        weights = integrate(1 + self.tau**2, h, [node - self.lam[1] for node in nodes])
        for weight, value in zip(weights, denoised, strict=True):
            x = x + signal * weight * value
        return x + self.sigma[1] * math.sqrt(-math.expm1(-2 * self.tau**2 * h)) * self.noise


def _adams_weights(rate: float, h: float, nodes: Sequence[float]) -> list[float]:
    """The integrals of rate * exp(rate * u) times each Lagrange polynomial over the nodes, for u from -h to 0.

    They are the weights that integrate the powers of u right, of which the moments are known.
    """
    decay = math.exp(-rate * h)
    moments = [1 - decay]
    for power in range(1, len(nodes)):
        moments.append(-((-h) ** power) * decay - power / rate * moments[-1])
    points = torch.tensor(nodes, dtype=torch.float64)
    powers = torch.stack([points**power for power in range(len(nodes))])
    weights: list[float] = torch.linalg.solve(powers, torch.tensor(moments, dtype=torch.float64)).tolist()
    return weights


def _simple_weights(rate: float, h: float, nodes: Sequence[float]) -> list[float]:
    """`_adams_weights` for two nodes, the slope's weight to first order in h; Xue et al. (2023), appendix D."""
    total = -math.expm1(-rate * h)
    if nodes[0] == 0:  # the corrector, whose newest node is the end of the step
        newest = 0.5 * rate * h
        return [newest, total - newest]
    oldest = 0.5 * rate * h * h / (nodes[1] - nodes[0])
    return [total - oldest, oldest]
