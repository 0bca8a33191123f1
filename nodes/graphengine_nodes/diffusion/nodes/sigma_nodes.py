"""The nodes that change SIGMAS, thin classes over `sigma_lists`.

Definitions are read without running anything, so this module imports no torch; the functions it calls are imported
where a node runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from graphengine_nodes.diffusion.model.model import DiffusionModel

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.


class _Sigmas:
    CATEGORY = "sampling/custom_sampling/sigmas"
    RETURN_TYPES: tuple[str, ...] = ("SIGMAS",)
    FUNCTION = "get_sigmas"
    RESOURCES = ()


class SplitSigmas(_Sigmas):
    """The sigmas up to a step, and from it on."""

    RETURN_TYPES = ("SIGMAS", "SIGMAS")
    RETURN_NAMES = ("high_sigmas", "low_sigmas")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"sigmas": ("SIGMAS",), "step": ("INT", {"default": 0, "min": 0, "max": 10000})}}

    def get_sigmas(self, sigmas: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Both hold the sigma at the step."""
        from graphengine_nodes.diffusion.sampling.sigma_lists import split  # brings torch

        return split(sigmas, step)


class SplitSigmasDenoise(_Sigmas):
    """The sigmas split so that the second part has a share of the steps."""

    RETURN_TYPES = ("SIGMAS", "SIGMAS")
    RETURN_NAMES = ("high_sigmas", "low_sigmas")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        denoise = ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.01})
        return {"required": {"sigmas": ("SIGMAS",), "denoise": denoise}}

    def get_sigmas(self, sigmas: Tensor, denoise: float) -> tuple[Tensor, Tensor]:
        """Both hold the sigma between."""
        from graphengine_nodes.diffusion.sampling.sigma_lists import split_denoise  # brings torch

        return split_denoise(sigmas, denoise)


class FlipSigmas(_Sigmas):
    """The sigmas backwards, to turn a picture into noise."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"sigmas": ("SIGMAS",)}}

    def get_sigmas(self, sigmas: Tensor) -> tuple[Tensor]:
        """Rising; a first 0 is 0.0001."""
        from graphengine_nodes.diffusion.sampling.sigma_lists import flip  # brings torch

        return (flip(sigmas),)


class SetFirstSigma(_Sigmas):
    """The sigmas with another first one."""

    FUNCTION = "set_first_sigma"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        sigma = ("FLOAT", {"default": 136.0, "min": 0.0, "max": 20000.0, "step": 0.001, "round": False})
        return {"required": {"sigmas": ("SIGMAS",), "sigma": sigma}}

    def set_first_sigma(self, sigmas: Tensor, sigma: float) -> tuple[Tensor]:
        """As many sigmas."""
        from graphengine_nodes.diffusion.sampling.sigma_lists import with_first  # brings torch

        return (with_first(sigmas, sigma),)


class ExtendIntermediateSigmas(_Sigmas):
    """The sigmas with more of them between those of a range."""

    FUNCTION = "extend"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        start = {"default": -1.0, "min": -1.0, "max": 20000.0, "step": 0.01, "round": False}
        end = {"default": 12.0, "min": 0.0, "max": 20000.0, "step": 0.01, "round": False}
        return {
            "required": {
                "sigmas": ("SIGMAS",),
                "steps": ("INT", {"default": 2, "min": 1, "max": 100}),
                "start_at_sigma": ("FLOAT", start),
                "end_at_sigma": ("FLOAT", end),
                "spacing": (["linear", "cosine", "sine"],),
            }
        }

    def extend(
        self, sigmas: Tensor, steps: int, start_at_sigma: float, end_at_sigma: float, spacing: str
    ) -> tuple[Tensor]:
        """Each step that starts within the range becomes `steps` steps."""
        from graphengine_nodes.diffusion.sampling.sigma_lists import extend  # brings torch

        return (extend(sigmas, steps, start_at_sigma, end_at_sigma, spacing),)


class ManualSigmas(_Sigmas):
    """Sigmas written by hand."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"sigmas": ("STRING", {"default": "1, 0.5", "multiline": False})}}

    def get_sigmas(self, sigmas: str) -> tuple[Tensor]:
        """The numbers of the text."""
        from graphengine_nodes.diffusion.sampling.sigma_lists import parse  # brings torch

        return (parse(sigmas),)


class SamplingPercentToSigma(_Sigmas):
    """The sigma after a part of a model's schedule."""

    RETURN_TYPES = ("FLOAT",)
    RETURN_NAMES = ("sigma_value",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "model": ("MODEL", {}),
                "sampling_percent": ("FLOAT", {"default": 0.0, "min": 0.0, "max": 1.0, "step": 0.0001}),
                "return_actual_sigma": ("BOOLEAN", {"default": False}),
            }
        }

    def get_sigmas(
        self, model: DiffusionModel, sampling_percent: float, return_actual_sigma: bool
    ) -> tuple[float]:
        """At 0 and 1 the limits that ranges are compared with, or the model's own highest and lowest sigma."""
        sampling = model.sampling
        if return_actual_sigma and sampling_percent in (0.0, 1.0):
            return (float(sampling.sigmas[-1 if sampling_percent == 0.0 else 0]),)
        return (sampling.percent_to_sigma(sampling_percent),)


NODE_CLASS_MAPPINGS: dict[str, type[Any]] = {
    "SplitSigmas": SplitSigmas,
    "SplitSigmasDenoise": SplitSigmasDenoise,
    "FlipSigmas": FlipSigmas,
    "SetFirstSigma": SetFirstSigma,
    "ExtendIntermediateSigmas": ExtendIntermediateSigmas,
    "ManualSigmas": ManualSigmas,
    "SamplingPercentToSigma": SamplingPercentToSigma,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {}
