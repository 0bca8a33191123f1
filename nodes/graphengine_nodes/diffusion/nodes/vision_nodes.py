"""The nodes that load image encoders and let them look at pictures.

Thin classes over `vision_loading` and `vision`. Definitions are read without running anything, so this module
imports no torch; the functions it calls are imported where a node runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine.node.api import CONTEXT, Files, NodeContext

if TYPE_CHECKING:
    from torch import Tensor

    from graphengine_nodes.diffusion.model.model import DiffusionModel
    from graphengine_nodes.diffusion.text.text_encode import TextEncoder
    from graphengine_nodes.diffusion.vae.autoencoder import VAE
    from graphengine_nodes.diffusion.vision.vision import ClipVision, VisionOutput

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.


class CLIPVisionLoader:
    """An image encoder from a file."""

    CATEGORY = "loaders"
    RETURN_TYPES = ("CLIP_VISION",)
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"clip_name": (Files("clip_vision"),)}, "hidden": {"context": CONTEXT}}

    def load(self, clip_name: str, context: NodeContext) -> tuple[ClipVision]:
        """The CLIP_VISION."""
        from graphengine_nodes.diffusion.vision.loading import load_vision  # brings torch
        from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

        return (load_vision(open_checkpoint(context.folders.path("clip_vision", clip_name)), context.device),)


class CLIPVisionEncode:
    """What an image encoder sees in pictures."""

    CATEGORY = "conditioning"
    RETURN_TYPES = ("CLIP_VISION_OUTPUT",)
    FUNCTION = "encode"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "clip_vision": ("CLIP_VISION",),
                "image": ("IMAGE",),
                "crop": (["center", "none"],),
            }
        }

    def encode(self, clip_vision: ClipVision | None, image: Tensor, crop: str) -> tuple[VisionOutput]:
        """The CLIP_VISION_OUTPUT."""
        from graphengine_nodes.diffusion.vision.vision import require_vision  # brings torch

        return (require_vision(clip_vision).encode_image(image, crop=crop == "center"),)


class unCLIPCheckpointLoader:
    """A diffusion model that varies pictures, with everything that it needs, from one file."""

    CATEGORY = "loaders"
    RETURN_TYPES = ("MODEL", "CLIP", "VAE", "CLIP_VISION")
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"ckpt_name": (Files("checkpoints"),)}, "hidden": {"context": CONTEXT}}

    def load(
        self, ckpt_name: str, context: NodeContext
    ) -> tuple[DiffusionModel, TextEncoder | None, VAE | None, ClipVision | None]:
        """MODEL, CLIP, VAE and CLIP_VISION; None for what the file does not hold."""
        from graphengine_nodes.diffusion.families.families import load_checkpoint  # brings torch
        from graphengine_nodes.diffusion.text.embeddings import embedding_files
        from graphengine_nodes.diffusion.vision.loading import load_vision_of_checkpoint
        from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

        checkpoint = open_checkpoint(context.folders.path("checkpoints", ckpt_name))
        model, clip, vae = load_checkpoint(checkpoint, context.device, embedding_files(context.folders))
        return model, clip, vae, load_vision_of_checkpoint(checkpoint, context.device)


class ImageOnlyCheckpointLoader:
    """A diffusion model that is told pictures alone, with its image encoder and VAE, from one file."""

    CATEGORY = "loaders/video_models"
    RETURN_TYPES = ("MODEL", "CLIP_VISION", "VAE")
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"ckpt_name": (Files("checkpoints"),)}, "hidden": {"context": CONTEXT}}

    def load(self, ckpt_name: str, context: NodeContext) -> tuple[DiffusionModel, ClipVision | None, VAE | None]:
        """MODEL, CLIP_VISION and VAE; None for what the file does not hold."""
        from graphengine_nodes.diffusion.families.families import find_family, load_model  # brings torch
        from graphengine_nodes.diffusion.unet.zero123 import with_camera
        from graphengine_nodes.diffusion.vision.loading import load_vision_of_checkpoint
        from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

        checkpoint, device = open_checkpoint(context.folders.path("checkpoints", ckpt_name)), context.device
        model = with_camera(load_model(checkpoint, device), checkpoint)
        vae = find_family(checkpoint).load_vae(checkpoint, device)
        return model, load_vision_of_checkpoint(checkpoint, device), vae


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "unCLIPCheckpointLoader": unCLIPCheckpointLoader,
    "ImageOnlyCheckpointLoader": ImageOnlyCheckpointLoader,
    "CLIPVisionLoader": CLIPVisionLoader,
    "CLIPVisionEncode": CLIPVisionEncode,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "ImageOnlyCheckpointLoader": "Image Only Checkpoint Loader (img2vid model)",
    "CLIPVisionLoader": "Load CLIP Vision",
    "CLIPVisionEncode": "CLIP Vision Encode",
}
