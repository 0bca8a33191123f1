"""Nodes that give a conditioning what one kind of model asks for.

Thin classes over `conditioning` and `conditioning_pictures`. Definitions are read without running anything, so
this module imports no torch; the functions it calls are imported where a node runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from graphengine.node.api import CONTEXT, NodeContext

if TYPE_CHECKING:
    from torch import Tensor

    from graphengine_nodes.diffusion.model.model import Conditioning, Latent
    from graphengine_nodes.diffusion.vae.autoencoder import VAE

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.

_CONDITIONING = ("CONDITIONING",)
_PAIR = {"positive": _CONDITIONING, "negative": _CONDITIONING}


class FluxGuidance:
    """The guidance that a distilled Flux model was trained to follow."""

    CATEGORY = "advanced/conditioning/flux"
    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "append"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        guidance = ("FLOAT", {"default": 3.5, "min": 0.0, "max": 100.0, "step": 0.1})
        return {"required": {"conditioning": _CONDITIONING, "guidance": guidance}}

    def append(self, conditioning: Conditioning, guidance: float) -> tuple[Conditioning]:
        """The conditioning with the option "guidance"."""
        from graphengine_nodes.diffusion.conditioning.conditioning import with_options  # brings torch

        return (with_options(conditioning, guidance=guidance),)


class FluxDisableGuidance:
    """Without the guidance that a distilled Flux model follows, for models that have no input for it."""

    CATEGORY = "advanced/conditioning/flux"
    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "append"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"conditioning": _CONDITIONING}}

    def append(self, conditioning: Conditioning) -> tuple[Conditioning]:
        """The conditioning with a "guidance" of None."""
        from graphengine_nodes.diffusion.conditioning.conditioning import with_options  # brings torch

        return (with_options(conditioning, guidance=None),)


class ReferenceLatent:
    """A picture that an editing model looks at; several in a row are several pictures."""

    CATEGORY = "advanced/conditioning/edit_models"
    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "append"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"conditioning": _CONDITIONING}, "optional": {"latent": ("LATENT",)}}

    def append(self, conditioning: Conditioning, latent: Latent | None = None) -> tuple[Conditioning]:
        """The conditioning with one more of its "reference_latents"."""
        from graphengine_nodes.diffusion.conditioning.conditioning import with_appended  # brings torch

        if latent is None:
            return (conditioning,)
        return (with_appended(conditioning, "reference_latents", [latent["samples"]]),)


class ReferenceMultiLatent:
    """Several pictures that an editing model looks at."""

    CATEGORY = "advanced/conditioning/edit_models"
    RETURN_TYPES = ("CONDITIONING", "CONDITIONING", "LATENT")
    RETURN_NAMES = ("positive", "negative", "empty_latent")
    FUNCTION = "append"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        megapixels = ["FLOAT", {"default": 1.0, "min": 0.01, "max": 16.0, "step": 0.01}]
        sizes = [
            {"key": "keep resolution", "inputs": {}},
            {"key": "resize", "inputs": {"required": {"megapixels": megapixels}}},
        ]
        template = {"input": {"optional": {"image": ["IMAGE", {}]}}, "prefix": "image", "min": 1, "max": 100}
        return {
            "required": {"positive": _CONDITIONING, "resolution": ("COMFY_DYNAMICCOMBO_V3", {"options": sizes})},
            "optional": {
                "negative": _CONDITIONING,
                "vae": ("VAE",),
                "images": ("COMFY_AUTOGROW_V3", {"template": template}),
            },
            "hidden": {"context": CONTEXT},
        }

    def append(
        self,
        positive: Conditioning,
        resolution: Mapping[str, Any],
        negative: Conditioning | None = None,
        vae: VAE | None = None,
        images: Mapping[str, Tensor] | None = None,
        context: NodeContext | None = None,
    ) -> tuple[Conditioning, Conditioning, Latent]:
        """Both conditionings with their "reference_latents", and an empty latent in the size of the first."""
        from graphengine_nodes.diffusion.conditioning.conditioning import with_appended  # brings torch
        from graphengine_nodes.diffusion.conditioning.conditioning_pictures import (
            empty_like_reference,
            reference_latents,
        )

        megapixels = resolution.get("megapixels")
        given = [value for _, value in sorted((images or {}).items(), key=lambda item: int(item[0][5:]))]
        check = (context or NodeContext()).check_cancelled
        latents = reference_latents(vae, given, megapixels, check)
        sides = [
            with_appended(side, "reference_latents", latents) if latents else side
            for side in (positive, positive if negative is None else negative)
        ]
        return sides[0], sides[1], empty_like_reference(latents, megapixels)


class FluxKontextMultiReferenceLatentMethod:
    """How Flux tells several reference pictures apart by their positions."""

    CATEGORY = "advanced/conditioning/flux"
    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "append"
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        methods = ("COMBO", {"multiselect": False, "options": ["offset", "index", "uxo/uno"]})
        return {"required": {"conditioning": _CONDITIONING, "reference_latents_method": methods}}

    def append(self, conditioning: Conditioning, reference_latents_method: str) -> tuple[Conditioning]:
        """The conditioning with the option "reference_latents_method": "offset", "index" or "uxo"."""
        from graphengine_nodes.diffusion.conditioning.conditioning import with_options  # brings torch

        method = "uxo" if "uxo" in reference_latents_method else reference_latents_method
        return (with_options(conditioning, reference_latents_method=method),)


class InpaintModelConditioning:
    """The masked picture, for models that were trained to paint into one."""

    CATEGORY = "conditioning/inpaint"
    RETURN_TYPES = ("CONDITIONING", "CONDITIONING", "LATENT")
    RETURN_NAMES = ("positive", "negative", "latent")
    FUNCTION = "encode"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                **_PAIR,
                "vae": ("VAE",),
                "pixels": ("IMAGE",),
                "mask": ("MASK",),
                "noise_mask": ("BOOLEAN", {"default": True}),
            },
            "hidden": {"context": CONTEXT},
        }

    def encode(
        self,
        positive: Conditioning,
        negative: Conditioning,
        pixels: Tensor,
        vae: VAE | None,
        mask: Tensor,
        noise_mask: bool = True,
        context: NodeContext | None = None,
    ) -> tuple[Conditioning, Conditioning, Latent]:
        """Both conditionings with the masked picture, and the latent to sample."""
        from graphengine_nodes.diffusion.conditioning.conditioning import with_options  # brings torch
        from graphengine_nodes.diffusion.conditioning.conditioning_pictures import inpaint_model_inputs
        from graphengine_nodes.diffusion.vae.vae import require_vae

        check = (context or NodeContext()).check_cancelled
        options, latent = inpaint_model_inputs(require_vae(vae), pixels, mask, noise_mask=noise_mask, check=check)
        return with_options(positive, **options), with_options(negative, **options), latent


class InstructPixToPixConditioning:
    """The picture that an InstructPix2Pix model shall edit."""

    CATEGORY = "conditioning/instructpix2pix"
    RETURN_TYPES = ("CONDITIONING", "CONDITIONING", "LATENT")
    RETURN_NAMES = ("positive", "negative", "latent")
    FUNCTION = "encode"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {**_PAIR, "vae": ("VAE",), "pixels": ("IMAGE",)},
            "hidden": {"context": CONTEXT},
        }

    def encode(
        self,
        positive: Conditioning,
        negative: Conditioning,
        pixels: Tensor,
        vae: VAE | None,
        context: NodeContext | None = None,
    ) -> tuple[Conditioning, Conditioning, Latent]:
        """Both conditionings with the latent of the picture, and an empty latent of its size."""
        from graphengine_nodes.diffusion.conditioning.conditioning import with_options  # brings torch
        from graphengine_nodes.diffusion.conditioning.conditioning_pictures import edit_inputs
        from graphengine_nodes.diffusion.vae.vae import require_vae

        options, latent = edit_inputs(require_vae(vae), pixels, (context or NodeContext()).check_cancelled)
        return with_options(positive, **options), with_options(negative, **options), latent


class SD_4XUpscale_Conditioning:
    """The small picture for the x4 upscaling model of SD2."""

    CATEGORY = "conditioning/upscale_diffusion"
    RETURN_TYPES = ("CONDITIONING", "CONDITIONING", "LATENT")
    RETURN_NAMES = ("positive", "negative", "latent")
    FUNCTION = "encode"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "images": ("IMAGE",),
                **_PAIR,
                "scale_ratio": ("FLOAT", {"default": 4.0, "min": 0.0, "max": 10.0, "step": 0.01}),
                "noise_augmentation": ("FLOAT", {"default": 0.0, "min": 0.0, "max": 1.0, "step": 0.001}),
            }
        }

    def encode(
        self,
        images: Tensor,
        positive: Conditioning,
        negative: Conditioning,
        scale_ratio: float,
        noise_augmentation: float,
    ) -> tuple[Conditioning, Conditioning, Latent]:
        """Both conditionings with the small picture, and an empty latent for the large one."""
        from graphengine_nodes.diffusion.conditioning.conditioning_pictures import (
            upscale_conditionings,
        )  # brings torch

        return upscale_conditionings(images, positive, negative, scale_ratio, noise_augmentation)


class CosmosPredict2ImageToVideoLatent:
    """The start of a video of Cosmos Predict2, with pictures at its ends."""

    CATEGORY = "conditioning/inpaint"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "encode"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "vae": ("VAE",),
                "width": ("INT", {"default": 848, "min": 16, "max": 16384, "step": 16}),
                "height": ("INT", {"default": 480, "min": 16, "max": 16384, "step": 16}),
                "length": ("INT", {"default": 93, "min": 1, "max": 16384, "step": 4}),
                "batch_size": ("INT", {"default": 1, "min": 1, "max": 4096}),
            },
            "optional": {"start_image": ("IMAGE",), "end_image": ("IMAGE",)},
            "hidden": {"context": CONTEXT},
        }

    def encode(
        self,
        vae: VAE | None,
        width: int,
        height: int,
        length: int,
        batch_size: int,
        start_image: Tensor | None = None,
        end_image: Tensor | None = None,
        context: NodeContext | None = None,
    ) -> tuple[Latent]:
        """LATENT with a noise mask that keeps the pictures."""
        from graphengine_nodes.diffusion.conditioning.cosmos_latents import start_and_end  # brings torch
        from graphengine_nodes.diffusion.vae.vae import require_vae

        check = (context or NodeContext()).check_cancelled
        size = (width, height, length, batch_size)
        return (start_and_end(require_vae(vae), *size, start_image, end_image, check),)


class StableCascade_StageB_Conditioning:
    """What stage C of Stable Cascade made, for stage B to refine."""

    CATEGORY = "conditioning/stable_cascade"
    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "set_prior"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"conditioning": _CONDITIONING, "stage_c": ("LATENT",)}}

    def set_prior(self, conditioning: Conditioning, stage_c: Latent) -> tuple[Conditioning]:
        """The conditioning with the option "stable_cascade_prior"."""
        from graphengine_nodes.diffusion.conditioning.conditioning import with_options  # brings torch

        return (with_options(conditioning, stable_cascade_prior=stage_c["samples"]),)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "FluxGuidance": FluxGuidance,
    "FluxDisableGuidance": FluxDisableGuidance,
    "ReferenceLatent": ReferenceLatent,
    "FluxKontextMultiReferenceLatentMethod": FluxKontextMultiReferenceLatentMethod,
    "InpaintModelConditioning": InpaintModelConditioning,
    "InstructPixToPixConditioning": InstructPixToPixConditioning,
    "SD_4XUpscale_Conditioning": SD_4XUpscale_Conditioning,
    "ReferenceMultiLatent": ReferenceMultiLatent,
    "StableCascade_StageB_Conditioning": StableCascade_StageB_Conditioning,
    "CosmosPredict2ImageToVideoLatent": CosmosPredict2ImageToVideoLatent,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {"ReferenceMultiLatent": "Set Reference Multi Latent"}
