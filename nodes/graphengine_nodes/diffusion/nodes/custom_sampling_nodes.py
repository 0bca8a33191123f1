"""The nodes that run a sampler from its parts, and the parts that are no schedule: noise and guiders.

Definitions are read without running anything, so this module imports no torch; the functions it calls are imported
where a node runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine.node.api import CONTEXT, NodeContext

if TYPE_CHECKING:
    from torch import Tensor

    from graphengine_nodes.diffusion.model.model import Conditioning, DiffusionModel, Latent
    from graphengine_nodes.diffusion.sampling.guiders import Guider
    from graphengine_nodes.diffusion.sampling.noise import Noise
    from graphengine_nodes.diffusion.sampling.samplers import Sampler

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.

_SEED = ("INT", {"default": 0, "min": 0, "max": 0xFFFFFFFFFFFFFFFF, "control_after_generate": True})


def _cfg() -> tuple[str, dict[str, Any]]:
    return ("FLOAT", {"default": 8.0, "min": 0.0, "max": 100.0, "step": 0.1, "round": 0.01})


class SamplerCustom:
    """Runs a sampler over sigmas with classifier-free guidance."""

    CATEGORY = "sampling/custom_sampling"
    RETURN_TYPES = ("LATENT", "LATENT")
    RETURN_NAMES = ("output", "denoised_output")
    FUNCTION = "sample"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "model": ("MODEL",),
                "add_noise": ("BOOLEAN", {"default": True}),
                "noise_seed": _SEED,
                "cfg": _cfg(),
                "positive": ("CONDITIONING",),
                "negative": ("CONDITIONING",),
                "sampler": ("SAMPLER",),
                "sigmas": ("SIGMAS",),
                "latent_image": ("LATENT",),
            },
            "hidden": {"context": CONTEXT},
        }

    def sample(
        self,
        *,
        model: DiffusionModel,
        add_noise: bool,
        noise_seed: int,
        cfg: float,
        positive: Conditioning,
        negative: Conditioning,
        sampler: Sampler,
        sigmas: Tensor,
        latent_image: Latent,
        context: NodeContext,
    ) -> tuple[Latent, Latent]:
        """The latent at the last sigma, and what it looks like without noise."""
        from graphengine_nodes.diffusion.sampling.custom_sampling import sample_custom  # brings torch
        from graphengine_nodes.diffusion.sampling.guiders import ClassifierFree, Guider
        from graphengine_nodes.diffusion.sampling.noise import NoNoise, SeededNoise
        from graphengine_nodes.diffusion.sampling.previews import step_previews

        return sample_custom(
            Guider(model, {"positive": positive, "negative": negative}, ClassifierFree(cfg)),
            noise=SeededNoise(noise_seed) if add_noise else NoNoise(noise_seed),
            sampler=sampler,
            sigmas=sigmas,
            latent=latent_image,
            progress=context.progress,
            check_cancelled=context.check_cancelled,
            show=step_previews(model.latent_format, context),
        )


class SamplerCustomAdvanced:
    """Runs a sampler over sigmas with any guider and noise."""

    CATEGORY = "sampling/custom_sampling"
    RETURN_TYPES = ("LATENT", "LATENT")
    RETURN_NAMES = ("output", "denoised_output")
    FUNCTION = "sample"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "noise": ("NOISE",),
                "guider": ("GUIDER",),
                "sampler": ("SAMPLER",),
                "sigmas": ("SIGMAS",),
                "latent_image": ("LATENT",),
            },
            "hidden": {"context": CONTEXT},
        }

    def sample(
        self,
        *,
        noise: Noise,
        guider: Guider,
        sampler: Sampler,
        sigmas: Tensor,
        latent_image: Latent,
        context: NodeContext,
    ) -> tuple[Latent, Latent]:
        """The latent at the last sigma, and what it looks like without noise."""
        from graphengine_nodes.diffusion.sampling.custom_sampling import sample_custom  # brings torch
        from graphengine_nodes.diffusion.sampling.previews import step_previews

        return sample_custom(
            guider,
            noise=noise,
            sampler=sampler,
            sigmas=sigmas,
            latent=latent_image,
            progress=context.progress,
            check_cancelled=context.check_cancelled,
            show=step_previews(guider.model.latent_format, context),
        )


class RandomNoise:
    """Noise that follows from a seed."""

    CATEGORY = "sampling/custom_sampling/noise"
    RETURN_TYPES = ("NOISE",)
    FUNCTION = "get_noise"
    RESOURCES = ()

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"noise_seed": _SEED}}

    def get_noise(self, noise_seed: int) -> tuple[Noise]:
        """NOISE."""
        from graphengine_nodes.diffusion.sampling.noise import SeededNoise  # brings torch

        return (SeededNoise(noise_seed),)


class DisableNoise:
    """No noise, for a latent that has some already."""

    CATEGORY = "sampling/custom_sampling/noise"
    RETURN_TYPES = ("NOISE",)
    FUNCTION = "get_noise"
    RESOURCES = ()

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {}}

    def get_noise(self) -> tuple[Noise]:
        """NOISE."""
        from graphengine_nodes.diffusion.sampling.noise import NoNoise  # brings torch

        return (NoNoise(),)


class AddNoise:
    """A latent with noise of the level that a list of sigmas goes through."""

    CATEGORY = "_for_testing/custom_sampling/noise"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "add_noise"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "model": ("MODEL",),
                "noise": ("NOISE",),
                "sigmas": ("SIGMAS",),
                "latent_image": ("LATENT",),
            }
        }

    def add_noise(
        self, model: DiffusionModel, noise: Noise, sigmas: Tensor, latent_image: Latent
    ) -> tuple[Latent]:
        """LATENT of the same shape."""
        from graphengine_nodes.diffusion.sampling.custom_sampling import add_noise  # brings torch

        return (add_noise(model, noise, sigmas, latent_image),)


class _Guider:
    CATEGORY = "sampling/custom_sampling/guiders"
    RETURN_TYPES = ("GUIDER",)
    FUNCTION = "get_guider"
    RESOURCES = ()


class BasicGuider(_Guider):
    """One conditioning without guidance."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"model": ("MODEL",), "conditioning": ("CONDITIONING",)}}

    def get_guider(self, model: DiffusionModel, conditioning: Conditioning) -> tuple[Guider]:
        """GUIDER."""
        from graphengine_nodes.diffusion.sampling.guiders import Guider, PositiveOnly  # brings torch

        return (Guider(model, {"positive": conditioning}, PositiveOnly()),)


class CFGGuider(_Guider):
    """Classifier-free guidance, as in KSampler."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "model": ("MODEL",),
                "positive": ("CONDITIONING",),
                "negative": ("CONDITIONING",),
                "cfg": _cfg(),
            }
        }

    def get_guider(
        self, model: DiffusionModel, positive: Conditioning, negative: Conditioning, cfg: float
    ) -> tuple[Guider]:
        """GUIDER."""
        from graphengine_nodes.diffusion.sampling.guiders import ClassifierFree, Guider  # brings torch

        return (Guider(model, {"positive": positive, "negative": negative}, ClassifierFree(cfg)),)


class DualCFGGuider(_Guider):
    """Guidance between three conditionings, as InstructPix2Pix has it."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "model": ("MODEL",),
                "cond1": ("CONDITIONING",),
                "cond2": ("CONDITIONING",),
                "negative": ("CONDITIONING",),
                "cfg_conds": _cfg(),
                "cfg_cond2_negative": _cfg(),
                "style": (["regular", "nested"],),
            }
        }

    def get_guider(
        self,
        model: DiffusionModel,
        cond1: Conditioning,
        cond2: Conditioning,
        negative: Conditioning,
        cfg_conds: float,
        cfg_cond2_negative: float,
        style: str = "regular",
    ) -> tuple[Guider]:
        """GUIDER."""
        from graphengine_nodes.diffusion.sampling.guiders import (
            DualClassifierFree,
            Guider,
            NestedClassifierFree,
        )  # brings torch

        rule = NestedClassifierFree if style == "nested" else DualClassifierFree
        sides = {"positive": cond1, "middle": cond2, "negative": negative}
        return (Guider(model, sides, rule(cfg_conds, cfg_cond2_negative)),)


class PerpNegGuider(_Guider):
    """Guidance that avoids only what the negative text adds to the positive one."""

    CATEGORY = "_for_testing"
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "model": ("MODEL", {}),
                "positive": ("CONDITIONING", {}),
                "negative": ("CONDITIONING", {}),
                "empty_conditioning": ("CONDITIONING", {}),
                "cfg": _cfg(),
                "neg_scale": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 100.0, "step": 0.01}),
            }
        }

    def get_guider(
        self,
        model: DiffusionModel,
        positive: Conditioning,
        negative: Conditioning,
        empty_conditioning: Conditioning,
        cfg: float,
        neg_scale: float,
    ) -> tuple[Guider]:
        """GUIDER."""
        from graphengine_nodes.diffusion.sampling.guiders import Guider, PerpendicularNegative  # brings torch

        sides = {"positive": positive, "negative": negative, "empty": empty_conditioning}
        return (Guider(model, sides, PerpendicularNegative(cfg, neg_scale)),)


NODE_CLASS_MAPPINGS: dict[str, type[Any]] = {
    "SamplerCustom": SamplerCustom,
    "SamplerCustomAdvanced": SamplerCustomAdvanced,
    "RandomNoise": RandomNoise,
    "DisableNoise": DisableNoise,
    "AddNoise": AddNoise,
    "BasicGuider": BasicGuider,
    "CFGGuider": CFGGuider,
    "DualCFGGuider": DualCFGGuider,
    "PerpNegGuider": PerpNegGuider,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {}
