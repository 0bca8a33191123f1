"""The node of Wan VACE: a thin class over `wan_vace`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from graphengine.node.api import NodeContext

from .video_conditioning_nodes import IMAGE, THREE, THREE_NAMES, wan_inputs

if TYPE_CHECKING:
    from torch import Tensor

    from graphengine_nodes.diffusion.model.model import Conditioning, Latent
    from graphengine_nodes.diffusion.vae.vae import VAE

# Any: ComfyUI's form, see `video_conditioning_nodes`. Imports of torch stand inside the methods.


class WanVaceToVideo:
    """Conditions Wan VACE on a video to follow, masks of what may change, and a picture to be like."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = (*THREE, "INT")
    RETURN_NAMES: ClassVar[tuple[str, ...]] = (*THREE_NAMES, "trim_latent")
    FUNCTION: ClassVar[str] = "encode"
    CATEGORY: ClassVar[str] = "conditioning/video_models"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form; sizes in pixels and frames."""
        inputs = wan_inputs(control_video=IMAGE, control_masks=("MASK", {}), reference_image=IMAGE)
        inputs["required"]["strength"] = ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1000.0, "step": 0.01})
        return inputs

    def encode(
        self,
        *,
        positive: Conditioning,
        negative: Conditioning,
        vae: VAE | None,
        width: int,
        height: int,
        length: int,
        batch_size: int,
        strength: float,
        context: NodeContext,
        control_video: Tensor | None = None,
        control_masks: Tensor | None = None,
        reference_image: Tensor | None = None,
    ) -> tuple[Conditioning, Conditioning, Latent, int]:
        """Both conditionings, an empty latent (B, 16, T, H/8, W/8), and its frames before the video's first."""
        from graphengine_nodes.diffusion.conditioning.video_conditioning import wan_size
        from graphengine_nodes.diffusion.conditioning.wan_vace import followed, told_of
        from graphengine_nodes.diffusion.vae.vae import require_vae

        vae, check = require_vae(vae), context.check_cancelled
        size = wan_size(width, height, length)
        shown = followed(vae, size, control_video, control_masks, reference_image, check)
        longer = wan_size(width, height, length + shown.before * size.frames)
        sides = told_of(positive, shown, strength), told_of(negative, shown, strength)
        return (*sides, {"samples": longer.latent(batch_size)}, shown.before)


NODE_CLASS_MAPPINGS: dict[str, type] = {"WanVaceToVideo": WanVaceToVideo}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {}
