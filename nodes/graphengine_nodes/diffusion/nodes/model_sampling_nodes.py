"""The nodes that give a MODEL other noise levels. The model that comes in is left as it is.

Definitions are read without running anything, so this module imports no torch; the functions it calls are imported
where a node runs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphengine_nodes.diffusion.model.model import DiffusionModel, Latent

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.


def _shift(default: float) -> tuple[str, dict[str, Any]]:
    return ("FLOAT", {"default": default, "min": 0.0, "max": 100.0, "step": 0.01})


def _sigma(default: float) -> tuple[str, dict[str, Any]]:
    return ("FLOAT", {"default": default, "min": 0.0, "max": 1000.0, "step": 0.001, "round": False})


class _ModelNode:
    CATEGORY = "advanced/model"
    RETURN_TYPES = ("MODEL",)
    FUNCTION = "patch"
    RESOURCES = ()


class ModelSamplingDiscrete(_ModelNode):
    """The levels of SD1, SD2 and SDXL, and what the network is taken to predict."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "model": ("MODEL",),
                "sampling": (["eps", "v_prediction", "lcm", "x0", "img_to_img"],),
                "zsnr": ("BOOLEAN", {"default": False}),
            }
        }

    def patch(self, model: DiffusionModel, sampling: str, zsnr: bool) -> tuple[DiffusionModel]:
        """MODEL with those levels; zsnr: the last one holds (almost) no signal."""
        from graphengine_nodes.diffusion.model.model_sampling_variants import discrete  # brings torch

        return (replace(model, sampling=discrete(sampling, zero_terminal_snr=zsnr)),)


class ModelSamplingSD3(_ModelNode):
    """The levels of rectified flow, shifted; the network is told a time of 0..1000."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"model": ("MODEL",), "shift": _shift(3.0)}}

    def patch(self, model: DiffusionModel, shift: float) -> tuple[DiffusionModel]:
        """MODEL with those levels."""
        from graphengine_nodes.diffusion.model.model_sampling import FlowSampling  # brings torch

        return (replace(model, sampling=FlowSampling.shifted(shift)),)


class ModelSamplingStableCascade(_ModelNode):
    """The levels of Stable Cascade, shifted."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"model": ("MODEL",), "shift": _shift(2.0)}}

    def patch(self, model: DiffusionModel, shift: float) -> tuple[DiffusionModel]:
        """MODEL with those levels."""
        from graphengine_nodes.diffusion.model.model_sampling_variants import CosineSampling  # brings torch

        return (replace(model, sampling=CosineSampling.shifted(shift)),)


class ModelSamplingAuraFlow(_ModelNode):
    """The levels of rectified flow, shifted; the network is told a time of 0..1."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"model": ("MODEL",), "shift": _shift(1.73)}}

    def patch(self, model: DiffusionModel, shift: float) -> tuple[DiffusionModel]:
        """MODEL with those levels."""
        from graphengine_nodes.diffusion.model.model_sampling import FlowSampling  # brings torch

        return (replace(model, sampling=FlowSampling.shifted(shift, multiplier=1.0)),)


class ModelSamplingFlux(_ModelNode):
    """The levels of Flux, shifted by the size of the picture."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        size = ("INT", {"default": 1024, "min": 16, "max": 16384, "step": 8})
        return {
            "required": {
                "model": ("MODEL",),
                "max_shift": _shift(1.15),
                "base_shift": _shift(0.5),
                "width": size,
                "height": size,
            }
        }

    def patch(
        self, model: DiffusionModel, max_shift: float, base_shift: float, width: int, height: int
    ) -> tuple[DiffusionModel]:
        """MODEL with the shift on the line through base_shift at 256 tokens and max_shift at 4,096."""
        from graphengine_nodes.diffusion.model.model_sampling import FlowSampling  # brings torch
        from graphengine_nodes.diffusion.sampling.sigma_formulas import shift_of_tokens

        shift = shift_of_tokens(width * height / (16 * 16), (256, base_shift), (4096, max_shift))
        return (replace(model, sampling=FlowSampling.exponentially_shifted(shift)),)


class ModelSamplingLTXV(_ModelNode):
    """The levels of LTX-Video, shifted by the size of the latent."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {"model": ("MODEL", {}), "max_shift": _shift(2.05), "base_shift": _shift(0.95)},
            "optional": {"latent": ("LATENT", {})},
        }

    def patch(
        self, model: DiffusionModel, max_shift: float, base_shift: float, latent: Latent | None = None
    ) -> tuple[DiffusionModel]:
        """MODEL with the shift on the line through base_shift at 1,024 tokens and max_shift at 4,096.

        Without a latent, 4,096 tokens are taken.
        """
        from graphengine_nodes.diffusion.model.model_sampling import FlowSampling  # brings torch
        from graphengine_nodes.diffusion.sampling.sigma_formulas import shift_of_tokens

        tokens = 4096 if latent is None else latent["samples"].shape[2:].numel()
        shift = shift_of_tokens(tokens, (1024, base_shift), (4096, max_shift))
        return (replace(model, sampling=FlowSampling.exponentially_shifted(shift)),)


class ModelSamplingContinuousEDM(_ModelNode):
    """Any level between two, of which the network is told the logarithm."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "model": ("MODEL",),
                "sampling": (["v_prediction", "edm", "edm_playground_v2.5", "eps", "cosmos_rflow"],),
                "sigma_max": _sigma(120.0),
                "sigma_min": _sigma(0.002),
            }
        }

    def patch(
        self, model: DiffusionModel, sampling: str, sigma_max: float, sigma_min: float
    ) -> tuple[DiffusionModel]:
        """MODEL with those levels.

        Raises:
            ValueError: the sampling is one of a family that cannot be run.
        """
        from graphengine_nodes.diffusion.model.model_sampling_variants import continuous  # brings torch

        return (replace(model, sampling=continuous(sampling, sigma_min, sigma_max)),)


class ModelSamplingContinuousV(_ModelNode):
    """Any level between two, of which the network is told the angle."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "model": ("MODEL",),
                "sampling": (["v_prediction"],),
                "sigma_max": _sigma(500.0),
                "sigma_min": _sigma(0.03),
            }
        }

    def patch(
        self, model: DiffusionModel, sampling: str, sigma_max: float, sigma_min: float
    ) -> tuple[DiffusionModel]:
        """MODEL with those levels, whose network predicts the velocity."""
        from graphengine_nodes.diffusion.model.model_sampling_variants import ContinuousSampling  # brings torch

        levels = ContinuousSampling.between(sigma_min, sigma_max, "v", "arctan")
        return (replace(model, sampling=levels),)


NODE_CLASS_MAPPINGS: dict[str, type[Any]] = {
    "ModelSamplingDiscrete": ModelSamplingDiscrete,
    "ModelSamplingSD3": ModelSamplingSD3,
    "ModelSamplingAuraFlow": ModelSamplingAuraFlow,
    "ModelSamplingStableCascade": ModelSamplingStableCascade,
    "ModelSamplingFlux": ModelSamplingFlux,
    "ModelSamplingLTXV": ModelSamplingLTXV,
    "ModelSamplingContinuousEDM": ModelSamplingContinuousEDM,
    "ModelSamplingContinuousV": ModelSamplingContinuousV,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {}
