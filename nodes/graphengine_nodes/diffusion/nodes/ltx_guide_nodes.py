"""The nodes that show LTX-Video pictures at chosen times: thin classes over `ltx_guides`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from graphengine.node.api import CONTEXT, NodeContext

from .video_conditioning_nodes import THREE, THREE_NAMES

if TYPE_CHECKING:
    from torch import Tensor

    from graphengine_nodes.diffusion.model.model import Conditioning, Latent
    from graphengine_nodes.diffusion.vae.vae import VAE

# Any: ComfyUI's form, see `video_conditioning_nodes`. Imports of torch stand inside the methods.

_SIDES: dict[str, Any] = {"positive": ("CONDITIONING", {}), "negative": ("CONDITIONING", {})}


class LTXVAddGuide:
    """Shows LTX-Video pictures that its video has at a chosen time."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = THREE
    RETURN_NAMES: ClassVar[tuple[str, ...]] = THREE_NAMES
    FUNCTION: ClassVar[str] = "generate"
    CATEGORY: ClassVar[str] = "conditioning/video_models"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form; frame_idx counts frames of the video, from its end where negative."""
        return {
            "required": {
                **_SIDES,
                "vae": ("VAE", {}),
                "latent": ("LATENT", {}),
                "image": ("IMAGE", {}),
                "frame_idx": ("INT", {"default": 0, "min": -9999, "max": 9999}),
                "strength": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.01}),
            },
            "hidden": {"context": CONTEXT},
        }

    def generate(
        self,
        *,
        positive: Conditioning,
        negative: Conditioning,
        vae: VAE | None,
        latent: Latent,
        image: Tensor,
        frame_idx: int,
        strength: float,
        context: NodeContext,
    ) -> tuple[Conditioning, Conditioning, Latent]:
        """Both conditionings with the option "keyframe_idxs", and the latent with the guide at its end."""
        from graphengine_nodes.diffusion.conditioning.ltx_guides import add_guide
        from graphengine_nodes.diffusion.vae.vae import require_vae

        check = context.check_cancelled
        return add_guide(positive, negative, require_vae(vae), latent, image, frame_idx, strength, check)


class LTXVCropGuides:
    """Takes the guides of LTXVAddGuide away again: the video is left."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = THREE
    RETURN_NAMES: ClassVar[tuple[str, ...]] = THREE_NAMES
    FUNCTION: ClassVar[str] = "crop"
    CATEGORY: ClassVar[str] = "conditioning/video_models"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {**_SIDES, "latent": ("LATENT", {})}}

    def crop(
        self, *, positive: Conditioning, negative: Conditioning, latent: Latent
    ) -> tuple[Conditioning, Conditioning, Latent]:
        """Both conditionings without "keyframe_idxs", and the latent without the guides' frames."""
        from graphengine_nodes.diffusion.conditioning.ltx_guides import crop_guides

        return crop_guides(positive, negative, latent)


NODE_CLASS_MAPPINGS: dict[str, type] = {"LTXVAddGuide": LTXVAddGuide, "LTXVCropGuides": LTXVCropGuides}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {}
