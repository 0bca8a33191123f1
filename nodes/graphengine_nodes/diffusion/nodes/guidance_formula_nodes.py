"""Nodes for further formulas that make one prediction of a positive and a negative one.

The model that comes in is left as it is. Definitions are read without running anything, so this module imports no
torch; the functions it calls are imported where a node runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine_nodes.diffusion.model.guided import with_after, with_before, with_combine

if TYPE_CHECKING:
    from graphengine_nodes.diffusion.model.model import Conditioning, DiffusionModel

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.


def _float(default: float, low: float, high: float, step: float) -> tuple[str, dict[str, Any]]:
    return ("FLOAT", {"default": default, "min": low, "max": high, "step": step})


class _FormulaNode:
    RETURN_TYPES = ("MODEL",)
    FUNCTION = "patch"
    RESOURCES = ()


class PerpNeg(_FormulaNode):
    """Guidance that avoids only what is perpendicular to the positive direction; PerpNegGuider has replaced it."""

    CATEGORY = "_for_testing"
    DEPRECATED = True
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "model": ("MODEL", {}),
                "empty_conditioning": ("CONDITIONING", {}),
                "neg_scale": _float(1.0, 0.0, 100.0, 0.01),
            }
        }

    def patch(
        self, model: DiffusionModel, empty_conditioning: Conditioning, neg_scale: float
    ) -> tuple[DiffusionModel]:
        """MODEL with that guidance, which asks for the empty text once more per step."""
        from graphengine_nodes.diffusion.sampling.guidance_formulas import PerpendicularToNegative  # brings torch

        combine = PerpendicularToNegative(neg_scale)
        return (with_combine(model, combine, conditionings={"empty": empty_conditioning}),)


class RenormCFG(_FormulaNode):
    """Guidance whose prediction is not much longer than the positive one; made for Lumina-Image 2.0."""

    CATEGORY = "advanced/model"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "model": ("MODEL", {}),
                "cfg_trunc": _float(100, 0.0, 100.0, 0.01),
                "renorm_cfg": _float(1.0, 0.0, 100.0, 0.01),
            }
        }

    def patch(self, model: DiffusionModel, cfg_trunc: float, renorm_cfg: float) -> tuple[DiffusionModel]:
        """MODEL with that guidance below the noise level cfg_trunc, without guidance above."""
        from graphengine_nodes.diffusion.sampling.guidance_formulas import Renormalized  # brings torch

        return (with_combine(model, Renormalized(renorm_cfg, cfg_trunc)),)


class APG(_FormulaNode):
    """Adaptive projected guidance: what lies along the positive prediction counts apart."""

    CATEGORY = "sampling/custom_sampling"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "model": ("MODEL", {}),
                "eta": _float(1.0, -10.0, 10.0, 0.01),
                "norm_threshold": _float(5.0, 0.0, 50.0, 0.1),
                "momentum": _float(0.0, -5.0, 1.0, 0.01),
            }
        }

    def patch(
        self, model: DiffusionModel, eta: float, norm_threshold: float, momentum: float
    ) -> tuple[DiffusionModel]:
        """MODEL with that guidance."""
        from graphengine_nodes.diffusion.sampling.guidance_formulas import Projected  # brings torch

        return (with_before(model, Projected(eta, norm_threshold, momentum)),)


class FreSca(_FormulaNode):
    """Guidance whose coarse and fine structures are scaled apart."""

    CATEGORY = "_for_testing"
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "model": ("MODEL", {}),
                "scale_low": _float(1.0, 0, 10, 0.01),
                "scale_high": _float(1.25, 0, 10, 0.01),
                "freq_cutoff": ("INT", {"default": 20, "min": 1, "max": 10000, "step": 1}),
            }
        }

    def patch(
        self, model: DiffusionModel, scale_low: float, scale_high: float, freq_cutoff: int
    ) -> tuple[DiffusionModel]:
        """MODEL with that guidance; freq_cutoff: how many of the lowest frequencies are coarse."""
        from graphengine_nodes.diffusion.sampling.guidance_formulas import FrequencyScaled  # brings torch

        return (with_before(model, FrequencyScaled(scale_low, scale_high, freq_cutoff)),)


class Mahiro(_FormulaNode):
    """Guidance that follows the positive prediction more where the negative one says something else."""

    CATEGORY = "_for_testing"
    RETURN_NAMES = ("patched_model",)
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"model": ("MODEL", {})}}

    def patch(self, model: DiffusionModel) -> tuple[DiffusionModel]:
        """MODEL with that guidance."""
        from graphengine_nodes.diffusion.sampling.guidance_formulas import towards_positive  # brings torch

        return (with_after(model, towards_positive),)


class EpsilonScaling(_FormulaNode):
    """Noise predictions made smaller, against the error that a sampler's own steps bring in."""

    CATEGORY = "model_patches/unet"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        options = {"default": 1.005, "min": 0.5, "max": 1.5, "step": 0.001, "display": "number"}
        return {"required": {"model": ("MODEL", {}), "scaling_factor": ("FLOAT", options)}}

    def patch(self, model: DiffusionModel, scaling_factor: float) -> tuple[DiffusionModel]:
        """MODEL whose predicted noise is divided by the factor."""
        from graphengine_nodes.diffusion.sampling.guidance_formulas import EpsilonScaled  # brings torch

        return (with_after(model, EpsilonScaled(scaling_factor)),)


NODE_CLASS_MAPPINGS: dict[str, type[Any]] = {
    "PerpNeg": PerpNeg,
    "RenormCFG": RenormCFG,
    "APG": APG,
    "FreSca": FreSca,
    "Mahiro": Mahiro,
    "Epsilon Scaling": EpsilonScaling,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "PerpNeg": "Perp-Neg (DEPRECATED by PerpNegGuider)",
    "APG": "Adaptive Projected Guidance",
    "Mahiro": "Mahiro is so cute that she deserves a better guidance function!! (。・ω・。)",
}
