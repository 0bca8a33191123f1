"""Formulas and noise of k-diffusion that samplers of packs use."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from graphengine_comfy._placeholders import placeholders_of

if TYPE_CHECKING:
    from torch import Tensor


# Any throughout: devices and seeds are what torch takes.
def append_zero(x: "Tensor") -> "Tensor":
    """The list with a 0 behind it."""
    import torch  # packs of plain Python import this module too

    return torch.cat([x, x.new_zeros([1])])


def append_dims(x: "Tensor", target_dims: int) -> "Tensor":
    """The tensor with dimensions of size 1 behind its own."""
    return x[(...,) + (None,) * (target_dims - x.ndim)]


def to_d(x: "Tensor", sigma: "Tensor", denoised: "Tensor") -> "Tensor":
    """The derivative dx/dsigma of the probability-flow ODE; Karras et al. (2022), eq. 3."""
    return (x - denoised) / append_dims(sigma, x.ndim)


def get_sigmas_karras(
    n: int, sigma_min: float, sigma_max: float, rho: float = 7.0, device: Any = "cpu"
) -> "Tensor":
    """Karras et al. (2022), eq. 5: n levels and 0."""
    from graphengine_nodes.diffusion.sampling.sigma_formulas import karras  # brings torch

    return karras(n, float(sigma_min), float(sigma_max), rho).to(device)


def get_sigmas_exponential(n: int, sigma_min: float, sigma_max: float, device: Any = "cpu") -> "Tensor":
    """n levels at equal ratios, and 0."""
    from graphengine_nodes.diffusion.sampling.sigma_formulas import exponential  # brings torch

    return exponential(n, float(sigma_min), float(sigma_max)).to(device)


def get_sigmas_polyexponential(
    n: int, sigma_min: float, sigma_max: float, rho: float = 1.0, device: Any = "cpu"
) -> "Tensor":
    """n levels whose logarithms follow a power of the step, and 0."""
    from graphengine_nodes.diffusion.sampling.sigma_formulas import polyexponential  # brings torch

    return polyexponential(n, float(sigma_min), float(sigma_max), rho).to(device)


def get_ancestral_step(sigma_from: Any, sigma_to: Any, eta: float = 1.0) -> tuple[Any, Any]:
    """The level to step down to, and the noise to add then: with `eta` 0 all the way down and none.

    The squares of both make the square of `sigma_to`.
    """
    if not eta:
        return sigma_to, 0.0
    variance = sigma_to**2 * (sigma_from**2 - sigma_to**2) / sigma_from**2
    up = min(sigma_to, eta * variance**0.5)
    return (sigma_to**2 - up**2) ** 0.5, up


def default_noise_sampler(x: "Tensor", seed: int | None = None) -> Callable[[Any, Any], "Tensor"]:
    """A function of two levels that gives new noise like x; with a seed, the same in every run."""
    import torch  # packs of plain Python import this module too

    generator = None if seed is None else torch.Generator(x.device).manual_seed(seed)

    def draw(sigma: Any, sigma_next: Any) -> "Tensor":
        return torch.randn(x.shape, dtype=x.dtype, layout=x.layout, device=x.device, generator=generator)

    return draw


class BrownianTreeNoiseSampler:
    """A function of two levels that gives an increment of one Brownian motion, scaled to variance 1."""

    def __init__(
        self,
        x: "Tensor",
        sigma_min: Any,
        sigma_max: Any,
        seed: int | None = None,
        transform: Callable[[Any], Any] = lambda level: level,
        cpu: bool = False,
    ) -> None:
        import torch  # packs of plain Python import this module too

        from graphengine_nodes.diffusion.sampling.noise import brownian_noise

        if seed is None:
            seed = int(torch.randint(0, 2**63 - 1, []).item())
        ends = [torch.as_tensor(transform(torch.as_tensor(level))) for level in (sigma_min, sigma_max)]
        self._transform = transform
        self._noise = brownian_noise(x, seed, torch.stack([end.cpu() for end in ends]))

    def __call__(self, sigma: Any, sigma_next: Any) -> "Tensor":
        """The increment between two levels."""
        import torch  # packs of plain Python import this module too

        start, end = (self._transform(torch.as_tensor(level)) for level in (sigma, sigma_next))
        return self._noise(start, end)


__getattr__ = placeholders_of(__name__)
