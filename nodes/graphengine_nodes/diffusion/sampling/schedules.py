"""Falling sigmas for a number of sampling steps: one function per scheduler."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from graphengine_nodes.diffusion.model.model_sampling import ModelSampling

Schedule = Callable[[ModelSampling, int], Tensor]

_MOST_STEPS = 1_000_000  # of a whole schedule: 10,000 steps at a denoise of 0.01


def calculate_sigmas(sampling: ModelSampling, scheduler: str, steps: int) -> Tensor:
    """The noise levels of a run: falling, the last is 0. Float32 on the CPU, shape (steps + 1,).

    A few schedules give another number of steps: "ddim_uniform" strides through the training steps, "beta"
    drops levels that occur twice.

    Raises:
        ValueError: steps is below 1 or the scheduler is unknown.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; a schedule needs at least 1")
    try:
        schedule = SCHEDULES[scheduler]
    except KeyError:
        raise ValueError(f"unknown scheduler {scheduler!r}; known: {', '.join(SCHEDULES)}") from None
    return schedule(sampling, steps)


def whole_steps(steps: int, denoise: float) -> int:
    """The steps of the schedule whose last `steps` are run for a denoise above 0: steps / denoise, rounded down.

    Raises:
        ValueError: they are more than a million, which a denoise near 0 asks for.
    """
    whole = steps / denoise
    if whole > _MOST_STEPS:
        raise ValueError(
            f"denoise is {denoise:g}: {steps} steps would be the last of a schedule of {whole:.3g}; "
            f"give {steps / _MOST_STEPS:g} or more, or 0 to leave the latent as it is"
        )
    return steps if denoise > 0.9999 else int(whole)


def simple(sampling: ModelSampling, steps: int) -> Tensor:
    """Every N/steps-th entry of the training table, from the noisy end."""
    stride = len(sampling.sigmas) / steps
    return _then_zero([float(sampling.sigmas[-(1 + int(i * stride))]) for i in range(steps)])


def sgm_uniform(sampling: ModelSampling, steps: int) -> Tensor:
    """Uniform timesteps without the cleanest one, as in Stability's generative-models."""
    return _then_zero([float(sampling.sigma(t)) for t in _uniform_timesteps(sampling, steps + 1)[:-1]])


def normal(sampling: ModelSampling, steps: int) -> Tensor:
    """Uniform timesteps from the noisiest to the cleanest, then 0; k-diffusion's `DiscreteSchedule.get_sigmas`.

    Where the cleanest timestep already has (nearly) sigma 0, as in flow models, it is the final 0.
    """
    timesteps = _uniform_timesteps(sampling, steps)
    ends_at_zero = math.isclose(float(sampling.sigma(timesteps[-1])), 0.0, abs_tol=1e-5)
    if ends_at_zero:
        timesteps = _uniform_timesteps(sampling, steps + 1)
    sigmas = [float(sampling.sigma(t)) for t in timesteps]
    return torch.tensor(sigmas, dtype=torch.float32) if ends_at_zero else _then_zero(sigmas)


def karras(sampling: ModelSampling, steps: int, rho: float = 7.0) -> Tensor:
    """Noise levels of Karras et al. (2022), eq. 5."""
    return karras_levels(steps, *_range(sampling), rho)


def karras_levels(steps: int, sigma_min: float, sigma_max: float, rho: float) -> Tensor:
    """Falling from sigma_max to sigma_min with steps that shrink as sigma^(1 - 1 / rho), then 0."""
    ramp = torch.linspace(0, 1, steps)
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    return _append_zero((high + ramp * (low - high)) ** rho)


def exponential(sampling: ModelSampling, steps: int) -> Tensor:
    """Noise levels that are uniform in log sigma."""
    sigma_min, sigma_max = _range(sampling)
    return _append_zero(torch.linspace(math.log(sigma_max), math.log(sigma_min), steps).exp())


def ddim_uniform(sampling: ModelSampling, steps: int) -> Tensor:
    """Every (N // steps)-th entry of the table, starting at the second, as in DDIM (Song et al., 2021).

    Gives one step more than asked for where steps does not divide N.
    """
    table = sampling.sigmas
    lowest = 0 if math.isclose(float(table[1]), 0.0, abs_tol=1e-5) else 1
    stride = max(len(table) // (steps if lowest else steps + 1), 1)
    chosen = [float(table[i]) for i in range(1, len(table), stride)]
    return torch.tensor([0.0, *chosen][1 - lowest :][::-1], dtype=torch.float32)


def beta(sampling: ModelSampling, steps: int, alpha: float = 0.6, beta: float = 0.6) -> Tensor:
    """Timesteps at the quantiles of a beta distribution, dense at both ends; Lee et al. (2024), arXiv 2407.12173.

    A table entry that is hit twice is used once, so many steps give fewer.

    Raises:
        ValueError: alpha or beta is not above 0.
    """
    if alpha <= 0 or beta <= 0:
        raise ValueError(f"alpha is {alpha:g} and beta is {beta:g}; both must be above 0")
    import numpy  # heavy third-party, needed by this schedule alone
    from scipy.stats import beta as beta_distribution

    quantiles = 1 - numpy.linspace(0, 1, steps, endpoint=False)
    last = len(sampling.sigmas) - 1
    timesteps = numpy.rint(beta_distribution.ppf(quantiles, alpha, beta) * last)
    return _then_zero([float(sampling.sigmas[t]) for t in dict.fromkeys(timesteps.astype(int).tolist())])


def linear_quadratic(sampling: ModelSampling, steps: int, threshold: float = 0.025) -> Tensor:
    """Half the steps linear and small, the rest quadratic; Movie Gen (Polyak et al., 2024)."""
    sigma_max = float(sampling.sigmas[-1])
    if steps == 1:
        return torch.tensor([1.0, 0.0]) * sigma_max
    linear_steps = steps // 2
    quadratic_steps = steps - linear_steps
    slope = threshold / linear_steps
    excess = linear_steps - threshold * steps
    quadratic = excess / (linear_steps * quadratic_steps**2)
    linear = slope - 2 * excess / quadratic_steps**2
    constant = quadratic * linear_steps**2
    rising = [i * slope for i in range(linear_steps)]
    rising += [quadratic * i**2 + linear * i + constant for i in range(linear_steps, steps)]
    return torch.tensor([1.0 - level for level in [*rising, 1.0]], dtype=torch.float32) * sigma_max


def kl_optimal(sampling: ModelSampling, steps: int) -> Tensor:
    """Uniform in arctan(sigma); Sabour et al. (2024), "Align Your Steps", theorem 3.1."""
    sigma_min, sigma_max = _range(sampling)
    weight = torch.arange(steps, dtype=torch.float32).div_(max(steps - 1, 1))
    return _append_zero(torch.tan(weight * math.atan(sigma_min) + (1 - weight) * math.atan(sigma_max)))


SCHEDULES: Mapping[str, Schedule] = MappingProxyType(
    {
        "simple": simple,
        "sgm_uniform": sgm_uniform,
        "karras": karras,
        "exponential": exponential,
        "ddim_uniform": ddim_uniform,
        "beta": beta,
        "normal": normal,
        "linear_quadratic": linear_quadratic,
        "kl_optimal": kl_optimal,
    }
)
"""Schedule function by the name in the scheduler list of KSampler."""


def _range(sampling: ModelSampling) -> tuple[float, float]:
    """The lowest and the highest noise level of training."""
    return float(sampling.sigmas[0]), float(sampling.sigmas[-1])


def _uniform_timesteps(sampling: ModelSampling, count: int) -> Tensor:
    """Falling timesteps, both ends included. The end points stay tensors: that fixes linspace's rounding."""
    return torch.linspace(sampling.timestep(sampling.sigmas[-1]), sampling.timestep(sampling.sigmas[0]), count)


def _append_zero(sigmas: Tensor) -> Tensor:
    return torch.cat([sigmas, sigmas.new_zeros(1)])


def _then_zero(sigmas: list[float]) -> Tensor:
    return torch.tensor([*sigmas, 0.0], dtype=torch.float32)
