"""The nodes that make SIGMAS: one per schedule.

Definitions are read without running anything, so this module imports no torch; the functions it calls are imported
where a node runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine_nodes.diffusion.sampling.names import SCHEDULERS

if TYPE_CHECKING:
    from torch import Tensor

    from graphengine_nodes.diffusion.model.model import DiffusionModel, Latent

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.

_STEPS = ("INT", {"default": 20, "min": 1, "max": 10000})
_DENOISE = ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.01})


def _real(default: float, low: float, high: float, step: float = 0.01) -> tuple[str, dict[str, Any]]:
    """A number that is not rounded."""
    return ("FLOAT", {"default": default, "min": low, "max": high, "step": step, "round": False})


def _range() -> dict[str, Any]:
    return {"sigma_max": _real(14.614642, 0.0, 5000.0), "sigma_min": _real(0.0291675, 0.0, 5000.0)}


class _Scheduler:
    CATEGORY = "sampling/custom_sampling/schedulers"
    RETURN_TYPES = ("SIGMAS",)
    FUNCTION = "get_sigmas"
    RESOURCES = ()


class BasicScheduler(_Scheduler):
    """The sigmas of a scheduler of KSampler, for a model."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "model": ("MODEL",),
                "scheduler": (list(SCHEDULERS),),
                "steps": _STEPS,
                "denoise": _DENOISE,
            }
        }

    def get_sigmas(self, model: DiffusionModel, scheduler: str, steps: int, denoise: float) -> tuple[Tensor]:
        """SIGMAS (steps + 1,); none at denoise 0."""
        from graphengine_nodes.diffusion.sampling.sigma_formulas import scheduled  # brings torch

        return (scheduled(model.sampling, scheduler, steps, denoise),)


class KarrasScheduler(_Scheduler):
    """The noise levels of Karras et al. (2022)."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"steps": _STEPS, **_range(), "rho": _real(7.0, 0.0, 100.0)}}

    def get_sigmas(self, steps: int, sigma_max: float, sigma_min: float, rho: float) -> tuple[Tensor]:
        """SIGMAS (steps + 1,)."""
        from graphengine_nodes.diffusion.sampling.sigma_formulas import karras  # brings torch

        return (karras(steps, sigma_min, sigma_max, rho),)


class ExponentialScheduler(_Scheduler):
    """Noise levels that are uniform in log sigma."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"steps": _STEPS, **_range()}}

    def get_sigmas(self, steps: int, sigma_max: float, sigma_min: float) -> tuple[Tensor]:
        """SIGMAS (steps + 1,)."""
        from graphengine_nodes.diffusion.sampling.sigma_formulas import exponential  # brings torch

        return (exponential(steps, sigma_min, sigma_max),)


class PolyexponentialScheduler(_Scheduler):
    """Noise levels on a power of a ramp in log sigma."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"steps": _STEPS, **_range(), "rho": _real(1.0, 0.0, 100.0)}}

    def get_sigmas(self, steps: int, sigma_max: float, sigma_min: float, rho: float) -> tuple[Tensor]:
        """SIGMAS (steps + 1,)."""
        from graphengine_nodes.diffusion.sampling.sigma_formulas import polyexponential  # brings torch

        return (polyexponential(steps, sigma_min, sigma_max, rho),)


class LaplaceScheduler(_Scheduler):
    """Noise levels at the quantiles of a Laplace distribution."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        mu, beta = _real(0.0, -10.0, 10.0, 0.1), _real(0.5, 0.0, 10.0, 0.1)
        return {"required": {"steps": _STEPS, **_range(), "mu": mu, "beta": beta}}

    def get_sigmas(self, steps: int, sigma_max: float, sigma_min: float, mu: float, beta: float) -> tuple[Tensor]:
        """SIGMAS (steps,), without a 0 at the end."""
        from graphengine_nodes.diffusion.sampling.sigma_formulas import laplace  # brings torch

        return (laplace(steps, sigma_min, sigma_max, mu, beta),)


class VPScheduler(_Scheduler):
    """Noise levels of the continuous variance-preserving process."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "steps": _STEPS,
                "beta_d": _real(19.9, 0.0, 5000.0),
                "beta_min": _real(0.1, 0.0, 5000.0),
                "eps_s": _real(0.001, 0.0, 1.0, 0.0001),
            }
        }

    def get_sigmas(self, steps: int, beta_d: float, beta_min: float, eps_s: float) -> tuple[Tensor]:
        """SIGMAS (steps + 1,)."""
        from graphengine_nodes.diffusion.sampling.sigma_formulas import variance_preserving  # brings torch

        return (variance_preserving(steps, beta_d, beta_min, eps_s),)


class BetaSamplingScheduler(_Scheduler):
    """Noise levels at the quantiles of a beta distribution over the timesteps of a model."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        alpha, beta = _real(0.6, 0.0, 50.0), _real(0.6, 0.0, 50.0)
        return {"required": {"model": ("MODEL",), "steps": _STEPS, "alpha": alpha, "beta": beta}}

    def get_sigmas(self, model: DiffusionModel, steps: int, alpha: float, beta: float) -> tuple[Tensor]:
        """SIGMAS (steps + 1,); fewer where a timestep is hit twice."""
        from graphengine_nodes.diffusion.sampling import schedules  # brings torch

        return (schedules.beta(model.sampling, steps, alpha, beta),)


class SDTurboScheduler(_Scheduler):
    """The timesteps that SD-Turbo and SDXL-Turbo were distilled for."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "model": ("MODEL",),
                "steps": ("INT", {"default": 1, "min": 1, "max": 10}),
                "denoise": ("FLOAT", {"default": 1.0, "min": 0, "max": 1.0, "step": 0.01}),
            }
        }

    def get_sigmas(self, model: DiffusionModel, steps: int, denoise: float) -> tuple[Tensor]:
        """SIGMAS (steps + 1,)."""
        from graphengine_nodes.diffusion.sampling.sigma_formulas import sd_turbo  # brings torch

        return (sd_turbo(model.sampling, steps, denoise),)


class AlignYourStepsScheduler(_Scheduler):
    """The noise levels that Sabour et al. (2024) found best for a family of models."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "model_type": ("COMBO", {"multiselect": False, "options": ["SD1", "SDXL", "SVD"]}),
                "steps": ("INT", {"default": 10, "min": 1, "max": 10000}),
                "denoise": _DENOISE,
            }
        }

    def get_sigmas(self, model_type: str, steps: int, denoise: float) -> tuple[Tensor]:
        """SIGMAS (steps + 1,); none at denoise 0."""
        from graphengine_nodes.diffusion.sampling.sigma_formulas import align_your_steps  # brings torch

        return (align_your_steps(model_type, steps, denoise),)


class LTXVScheduler(_Scheduler):
    """The flow levels of LTX-Video, by the size of the latent."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "steps": _STEPS,
                "max_shift": ("FLOAT", {"default": 2.05, "min": 0.0, "max": 100.0, "step": 0.01}),
                "base_shift": ("FLOAT", {"default": 0.95, "min": 0.0, "max": 100.0, "step": 0.01}),
                "stretch": ("BOOLEAN", {"default": True}),
                "terminal": ("FLOAT", {"default": 0.1, "min": 0.0, "max": 0.99, "step": 0.01}),
            },
            "optional": {"latent": ("LATENT", {})},
        }

    def get_sigmas(
        self,
        steps: int,
        max_shift: float,
        base_shift: float,
        stretch: bool,
        terminal: float,
        latent: Latent | None = None,
    ) -> tuple[Tensor]:
        """SIGMAS (steps + 1,). Without a latent, 4,096 tokens are taken."""
        from graphengine_nodes.diffusion.sampling.sigma_formulas import ltxv  # brings torch

        tokens = 4096 if latent is None else latent["samples"].shape[2:].numel()
        shifts = {"max_shift": max_shift, "base_shift": base_shift}
        return (ltxv(steps, tokens, **shifts, stretch=stretch, terminal=terminal),)


class Flux2Scheduler(_Scheduler):
    """The flow levels of Flux.2, by the size of the picture and the number of steps."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        size = ("INT", {"default": 1024, "min": 16, "max": 16384, "step": 1})
        return {
            "required": {"steps": ("INT", {"default": 20, "min": 1, "max": 4096}), "width": size, "height": size}
        }

    def get_sigmas(self, steps: int, width: int, height: int) -> tuple[Tensor]:
        """SIGMAS (steps + 1,)."""
        from graphengine_nodes.diffusion.sampling.sigma_formulas import flux2  # brings torch

        return (flux2(steps, width, height),)


NODE_CLASS_MAPPINGS: dict[str, type[Any]] = {
    "BasicScheduler": BasicScheduler,
    "KarrasScheduler": KarrasScheduler,
    "ExponentialScheduler": ExponentialScheduler,
    "PolyexponentialScheduler": PolyexponentialScheduler,
    "LaplaceScheduler": LaplaceScheduler,
    "VPScheduler": VPScheduler,
    "BetaSamplingScheduler": BetaSamplingScheduler,
    "SDTurboScheduler": SDTurboScheduler,
    "AlignYourStepsScheduler": AlignYourStepsScheduler,
    "LTXVScheduler": LTXVScheduler,
    "Flux2Scheduler": Flux2Scheduler,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {}
