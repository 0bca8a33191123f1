"""Nodes that start Stable Cascade from pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from graphengine.node.api import CONTEXT, NodeContext

if TYPE_CHECKING:
    from torch import Tensor

    from graphengine_nodes.diffusion.model.model import Latent
    from graphengine_nodes.diffusion.vae.autoencoder import VAE

_PICTURE: dict[str, Any] = {"image": ("IMAGE",), "vae": ("VAE",)}


class StableCascade_StageC_VAEEncode:
    """A picture as stage C of Stable Cascade knows it."""

    CATEGORY = "latent/stable_cascade"
    RETURN_TYPES = ("LATENT", "LATENT")
    RETURN_NAMES = ("stage_c", "stage_b")
    FUNCTION = "generate"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        compression = ("INT", {"default": 42, "min": 4, "max": 128, "step": 1})
        return {"required": {**_PICTURE, "compression": compression}, "hidden": {"context": CONTEXT}}

    def generate(
        self, image: Tensor, vae: VAE | None, compression: int, context: NodeContext | None = None
    ) -> tuple[Latent, Latent]:
        """LATENT of the picture for stage C, and an empty one for stage B."""
        from graphengine_nodes.diffusion.vae.cascade import stage_c_latents
        from graphengine_nodes.diffusion.vae.vae import require_vae  # brings torch

        check = (context or NodeContext()).check_cancelled
        stage_c, stage_b = stage_c_latents(require_vae(vae), image, compression, check)
        return {"samples": stage_c}, {"samples": stage_b}


class StableCascade_SuperResolutionControlnet:
    """A picture as the ControlNet for larger pictures takes it, and empty latents of twice its size."""

    GRAPHENGINE_CHECKS_OFF: ClassVar[dict[str, str]] = {
        "out_of_range": "the picture is a latent, as its ControlNet takes it",
        "wrong_type": "the latents of pictures below 32 pixels are empty, as in ComfyUI",
    }
    CATEGORY = "_for_testing/stable_cascade"
    RETURN_TYPES = ("IMAGE", "LATENT", "LATENT")
    RETURN_NAMES = ("controlnet_input", "stage_c", "stage_b")
    FUNCTION = "generate"
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": _PICTURE, "hidden": {"context": CONTEXT}}

    def generate(
        self, image: Tensor, vae: VAE | None, context: NodeContext | None = None
    ) -> tuple[Tensor, Latent, Latent]:
        """The latent of stage A as an IMAGE of 4 channels, and LATENTs of zeros for both stages."""
        from graphengine_nodes.diffusion.vae.vae import require_vae  # brings torch

        check = (context or NodeContext()).check_cancelled
        batch, height, width = image.shape[:3]
        stage_c = image.new_zeros(batch, 16, height // 16, width // 16)
        stage_b = image.new_zeros(batch, 4, height // 2, width // 2)
        seen = require_vae(vae).encode(image[..., :3], check).movedim(1, -1)
        return seen, {"samples": stage_c}, {"samples": stage_b}


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "StableCascade_StageC_VAEEncode": StableCascade_StageC_VAEEncode,
    "StableCascade_SuperResolutionControlnet": StableCascade_SuperResolutionControlnet,
}
