"""The nodes that condition models on pictures which an image encoder has seen.

Thin classes over `vision_conditioning` and `style`. Definitions are read without running anything, so this module
imports no torch; the functions it calls are imported where a node runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine.node.api import CONTEXT, Files, NodeContext

if TYPE_CHECKING:
    from torch import Tensor

    from graphengine_nodes.diffusion.control.style import StyleModel
    from graphengine_nodes.diffusion.model.model import Conditioning, Latent
    from graphengine_nodes.diffusion.vae.autoencoder import VAE
    from graphengine_nodes.diffusion.vision.vision import ClipVision, VisionOutput

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.

_VIDEO = ("CONDITIONING", "CONDITIONING", "LATENT")
_NAMES = ("positive", "negative", "latent")


def _side(default: int) -> tuple[str, dict[str, int]]:
    return ("INT", {"default": default, "min": 16, "max": 16384, "step": 8})


def _angle(limit: float) -> tuple[str, dict[str, Any]]:
    return ("FLOAT", {"default": 0.0, "min": -limit, "max": limit, "step": 0.1, "round": False})


class unCLIPConditioning:
    """A picture that an unCLIP model shall vary."""

    CATEGORY = "conditioning"
    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "apply"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "conditioning": ("CONDITIONING",),
                "clip_vision_output": ("CLIP_VISION_OUTPUT",),
                "strength": ("FLOAT", {"default": 1.0, "min": -10.0, "max": 10.0, "step": 0.01}),
                "noise_augmentation": ("FLOAT", {"default": 0.0, "min": 0.0, "max": 1.0, "step": 0.01}),
            }
        }

    def apply(
        self,
        conditioning: Conditioning,
        clip_vision_output: VisionOutput,
        strength: float,
        noise_augmentation: float,
    ) -> tuple[Conditioning]:
        """The conditioning with that picture."""
        from graphengine_nodes.diffusion.conditioning.vision_conditioning import with_picture  # brings torch

        return (with_picture(conditioning, clip_vision_output, strength, noise_augmentation),)


class StyleModelLoader:
    """A network from a file that makes text tokens of pictures."""

    CATEGORY = "loaders"
    RETURN_TYPES = ("STYLE_MODEL",)
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"style_model_name": (Files("style_models"),)}, "hidden": {"context": CONTEXT}}

    def load(self, style_model_name: str, context: NodeContext) -> tuple[StyleModel]:
        """The STYLE_MODEL."""
        from graphengine_nodes.diffusion.control.style import load_style_model  # brings torch
        from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

        path = context.folders.path("style_models", style_model_name)
        return (load_style_model(open_checkpoint(path), context.device),)


class StyleModelApply:
    """A picture as further tokens of a text."""

    CATEGORY = "conditioning/style_model"
    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "apply"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "conditioning": ("CONDITIONING",),
                "style_model": ("STYLE_MODEL",),
                "clip_vision_output": ("CLIP_VISION_OUTPUT",),
                "strength": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 10.0, "step": 0.001}),
                "strength_type": (["multiply", "attn_bias"],),
            }
        }

    def apply(
        self,
        conditioning: Conditioning,
        style_model: StyleModel,
        clip_vision_output: VisionOutput,
        strength: float,
        strength_type: str,
    ) -> tuple[Conditioning]:
        """The conditioning with the tokens of the picture."""
        from graphengine_nodes.diffusion.control.style import with_style  # brings torch

        return (with_style(conditioning, style_model, clip_vision_output, strength, strength_type),)


class _OfPicture:
    RETURN_TYPES = _VIDEO
    RETURN_NAMES = _NAMES
    FUNCTION = "encode"


_PICTURE = {"clip_vision": ("CLIP_VISION",), "init_image": ("IMAGE",), "vae": ("VAE",)}


class SVD_img2vid_Conditioning(_OfPicture):
    """A picture that Stable Video Diffusion shall move."""

    CATEGORY = "conditioning/video_models"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                **_PICTURE,
                "width": _side(1024),
                "height": _side(576),
                "video_frames": ("INT", {"default": 14, "min": 1, "max": 4096}),
                "motion_bucket_id": ("INT", {"default": 127, "min": 1, "max": 1023}),
                "fps": ("INT", {"default": 6, "min": 1, "max": 1024}),
                "augmentation_level": ("FLOAT", {"default": 0.0, "min": 0.0, "max": 10.0, "step": 0.01}),
            }
        }

    def encode(
        self,
        clip_vision: ClipVision | None,
        init_image: Tensor,
        vae: VAE | None,
        width: int,
        height: int,
        video_frames: int,
        motion_bucket_id: int,
        fps: int,
        augmentation_level: float,
    ) -> tuple[Conditioning, Conditioning, Latent]:
        """Both sides, and an empty latent with one sample per frame."""
        from graphengine_nodes.diffusion.conditioning.vision_conditioning import video_of_picture  # brings torch
        from graphengine_nodes.diffusion.vae.vae import require_vae
        from graphengine_nodes.diffusion.vision.vision import require_vision

        return video_of_picture(
            require_vision(clip_vision),
            require_vae(vae),
            init_image,
            width,
            height,
            video_frames,
            motion_bucket=motion_bucket_id,
            fps=fps,
            augmentation=augmentation_level,
        )


class SV3D_Conditioning(_OfPicture):
    """A picture whose object SV3D shall show from all around."""

    CATEGORY = "conditioning/3d_models"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                **_PICTURE,
                "width": _side(576),
                "height": _side(576),
                "video_frames": ("INT", {"default": 21, "min": 1, "max": 4096}),
                "elevation": _angle(90.0),
            }
        }

    def encode(
        self,
        clip_vision: ClipVision | None,
        init_image: Tensor,
        vae: VAE | None,
        width: int,
        height: int,
        video_frames: int,
        elevation: float,
    ) -> tuple[Conditioning, Conditioning, Latent]:
        """Both sides, and an empty latent with one sample per view."""
        from graphengine_nodes.diffusion.conditioning.vision_conditioning import orbit_of_picture  # brings torch
        from graphengine_nodes.diffusion.vae.vae import require_vae
        from graphengine_nodes.diffusion.vision.vision import require_vision

        vision, decoder = require_vision(clip_vision), require_vae(vae)
        return orbit_of_picture(vision, decoder, init_image, width, height, video_frames, elevation)


class StableZero123_Conditioning(_OfPicture):
    """A picture whose object Stable Zero123 shall show from another side."""

    CATEGORY = "conditioning/3d_models"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                **_PICTURE,
                "width": _side(256),
                "height": _side(256),
                "batch_size": ("INT", {"default": 1, "min": 1, "max": 4096}),
                "elevation": _angle(180.0),
                "azimuth": _angle(180.0),
            }
        }

    def encode(
        self,
        clip_vision: ClipVision | None,
        init_image: Tensor,
        vae: VAE | None,
        width: int,
        height: int,
        batch_size: int,
        elevation: float,
        azimuth: float,
    ) -> tuple[Conditioning, Conditioning, Latent]:
        """Both sides, and an empty latent."""
        from graphengine_nodes.diffusion.conditioning.vision_conditioning import views_of_picture  # brings torch
        from graphengine_nodes.diffusion.vae.vae import require_vae
        from graphengine_nodes.diffusion.vision.vision import require_vision

        vision, decoder = require_vision(clip_vision), require_vae(vae)
        return views_of_picture(vision, decoder, init_image, width, height, [(elevation, azimuth)], batch_size)


class StableZero123_Conditioning_Batched(_OfPicture):
    """A picture whose object Stable Zero123 shall show from several other sides."""

    CATEGORY = "conditioning/3d_models"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        declared = StableZero123_Conditioning.INPUT_TYPES()["required"]
        steps = {"elevation_batch_increment": _angle(180.0), "azimuth_batch_increment": _angle(180.0)}
        return {"required": {**declared, **steps}}

    def encode(
        self,
        clip_vision: ClipVision | None,
        init_image: Tensor,
        vae: VAE | None,
        width: int,
        height: int,
        batch_size: int,
        elevation: float,
        azimuth: float,
        elevation_batch_increment: float,
        azimuth_batch_increment: float,
    ) -> tuple[Conditioning, Conditioning, Latent]:
        """Both sides, and an empty latent whose samples start from the same noise."""
        from graphengine_nodes.diffusion.conditioning.vision_conditioning import views_of_picture  # brings torch
        from graphengine_nodes.diffusion.vae.vae import require_vae
        from graphengine_nodes.diffusion.vision.vision import require_vision

        angles = [
            (elevation + elevation_batch_increment * number, azimuth + azimuth_batch_increment * number)
            for number in range(batch_size)
        ]
        vision, decoder = require_vision(clip_vision), require_vae(vae)
        positive, negative, latent = views_of_picture(
            vision, decoder, init_image, width, height, angles, batch_size
        )
        return positive, negative, {**latent, "batch_index": [0] * batch_size}


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "unCLIPConditioning": unCLIPConditioning,
    "StyleModelLoader": StyleModelLoader,
    "StyleModelApply": StyleModelApply,
    "SVD_img2vid_Conditioning": SVD_img2vid_Conditioning,
    "SV3D_Conditioning": SV3D_Conditioning,
    "StableZero123_Conditioning": StableZero123_Conditioning,
    "StableZero123_Conditioning_Batched": StableZero123_Conditioning_Batched,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "StyleModelLoader": "Load Style Model",
    "StyleModelApply": "Apply Style Model",
}
