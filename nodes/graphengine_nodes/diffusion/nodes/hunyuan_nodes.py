"""The node of HunyuanVideo: a thin class over `hunyuan_conditioning`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from graphengine.node.api import CONTEXT, NodeContext

from .video_conditioning_nodes import number

if TYPE_CHECKING:
    from torch import Tensor

    from graphengine_nodes.diffusion.model.model import Conditioning, Latent
    from graphengine_nodes.diffusion.vae.vae import VAE

# Any: ComfyUI's form, see `video_conditioning_nodes`. Imports of torch stand inside the methods.


class HunyuanImageToVideo:
    """Conditions HunyuanVideo on the picture that a video begins with."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("CONDITIONING", "LATENT")
    RETURN_NAMES: ClassVar[tuple[str, ...]] = ("positive", "latent")
    FUNCTION: ClassVar[str] = "encode"
    CATEGORY: ClassVar[str] = "conditioning/video_models"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form; sizes in pixels and frames."""
        return {
            "required": {
                "positive": ("CONDITIONING",),
                "vae": ("VAE",),
                "width": number(848, 16, 16),
                "height": number(480, 16, 16),
                "length": number(53, 1, 4),
                "batch_size": ("INT", {"default": 1, "min": 1, "max": 4096}),
                "guidance_type": (["v1 (concat)", "v2 (replace)", "custom"],),
            },
            "optional": {"start_image": ("IMAGE",)},
            "hidden": {"context": CONTEXT},
        }

    def encode(
        self,
        *,
        positive: Conditioning,
        vae: VAE | None,
        width: int,
        height: int,
        length: int,
        batch_size: int,
        guidance_type: str,
        context: NodeContext,
        start_image: Tensor | None = None,
    ) -> tuple[Conditioning, Latent]:
        """The conditioning and a latent (B, 16, T, H/8, W/8)."""
        from graphengine_nodes.diffusion.conditioning.hunyuan_conditioning import video_from_picture
        from graphengine_nodes.diffusion.conditioning.video_conditioning import VideoSize
        from graphengine_nodes.diffusion.vae.vae import require_vae

        size = VideoSize(width, height, length)
        check = context.check_cancelled
        return video_from_picture(positive, require_vae(vae), size, batch_size, start_image, guidance_type, check)


NODE_CLASS_MAPPINGS: dict[str, type] = {"HunyuanImageToVideo": HunyuanImageToVideo}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {}
