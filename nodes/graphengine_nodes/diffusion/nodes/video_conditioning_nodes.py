"""The nodes that make latents and conditionings of videos: thin classes over `video_conditioning`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from graphengine.node.api import CONTEXT, NodeContext

if TYPE_CHECKING:
    from torch import Tensor

    from graphengine_nodes.diffusion.model.model import Conditioning, Latent
    from graphengine_nodes.diffusion.vae.vae import VAE
    from graphengine_nodes.diffusion.vision.vision import VisionOutput

# INPUT_TYPES is ComfyUI's: a nested dict whose values are of any kind, hence Any. Imports of torch and of the
# modules that need it stand inside the methods, so that listing nodes and checking workflows stay fast.

_Spec = tuple[str, dict[str, Any]]

_CONDITIONING: _Spec = ("CONDITIONING", {})
IMAGE: _Spec = ("IMAGE", {})
"""A picture or several."""

VISION: _Spec = ("CLIP_VISION_OUTPUT", {})
"""What CLIP vision saw."""

_VAE: _Spec = ("VAE", {})
_BATCH: _Spec = ("INT", {"default": 1, "min": 1, "max": 4096})
_SIDES = {"positive": _CONDITIONING, "negative": _CONDITIONING}

THREE: tuple[str, ...] = ("CONDITIONING", "CONDITIONING", "LATENT")
"""The outputs of most of these nodes."""

THREE_NAMES: tuple[str, ...] = ("positive", "negative", "latent")
"""Their names."""


def number(default: int, least: int, step: int) -> _Spec:
    """A whole number, at most 16384."""
    return ("INT", {"default": default, "min": least, "max": 16384, "step": step})


def wan_inputs(**optional: _Spec) -> dict[str, Any]:
    """The inputs that the nodes for Wan have alike, and optional ones."""
    return {
        "required": {
            **_SIDES,
            "vae": _VAE,
            "width": number(832, 16, 16),
            "height": number(480, 16, 16),
            "length": number(81, 1, 4),
            "batch_size": _BATCH,
        },
        "optional": optional,
        "hidden": {"context": CONTEXT},
    }


class WanImageToVideo:
    """Conditions Wan on the pictures that a video begins with."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = THREE
    RETURN_NAMES: ClassVar[tuple[str, ...]] = THREE_NAMES
    FUNCTION: ClassVar[str] = "encode"
    CATEGORY: ClassVar[str] = "conditioning/video_models"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form; sizes in pixels and frames."""
        return wan_inputs(clip_vision_output=VISION, start_image=IMAGE)

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
        context: NodeContext,
        clip_vision_output: VisionOutput | None = None,
        start_image: Tensor | None = None,
    ) -> tuple[Conditioning, Conditioning, Latent]:
        """Both conditionings and an empty latent (B, 16, T, H/8, W/8)."""
        from graphengine_nodes.diffusion.conditioning.video_conditioning import (
            conditioned,
            start_picture,
            wan_size,
        )
        from graphengine_nodes.diffusion.vae.vae import require_vae

        size = wan_size(width, height, length)
        options: dict[str, Any] = {"clip_vision_output": clip_vision_output}
        if start_image is not None:
            options |= start_picture(require_vae(vae), size, start_image, context.check_cancelled)
        return (*conditioned(positive, negative, options), {"samples": size.latent(batch_size)})


class WanFirstLastFrameToVideo:
    """Conditions Wan on the pictures that a video begins and ends with."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = THREE
    RETURN_NAMES: ClassVar[tuple[str, ...]] = THREE_NAMES
    FUNCTION: ClassVar[str] = "encode"
    CATEGORY: ClassVar[str] = "conditioning/video_models"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form; sizes in pixels and frames."""
        vision = {"clip_vision_start_image": VISION, "clip_vision_end_image": VISION}
        return wan_inputs(**vision, start_image=IMAGE, end_image=IMAGE)

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
        context: NodeContext,
        clip_vision_start_image: VisionOutput | None = None,
        clip_vision_end_image: VisionOutput | None = None,
        start_image: Tensor | None = None,
        end_image: Tensor | None = None,
    ) -> tuple[Conditioning, Conditioning, Latent]:
        """Both conditionings and an empty latent (B, 16, T, H/8, W/8)."""
        from graphengine_nodes.diffusion.conditioning.video_conditioning import (
            both_ends,
            conditioned,
            joined_vision,
            wan_size,
        )
        from graphengine_nodes.diffusion.vae.vae import require_vae

        size = wan_size(width, height, length)
        options: dict[str, Any] = both_ends(
            require_vae(vae), size, start_image, end_image, context.check_cancelled
        )
        options["clip_vision_output"] = joined_vision(clip_vision_start_image, clip_vision_end_image)
        return (*conditioned(positive, negative, options), {"samples": size.latent(batch_size)})


class WanFunInpaintToVideo:
    """Conditions Wan Fun InP on the pictures that a video begins and ends with."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = THREE
    RETURN_NAMES: ClassVar[tuple[str, ...]] = THREE_NAMES
    FUNCTION: ClassVar[str] = "encode"
    CATEGORY: ClassVar[str] = "conditioning/video_models"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form; sizes in pixels and frames."""
        return wan_inputs(clip_vision_output=VISION, start_image=IMAGE, end_image=IMAGE)

    def encode(
        self, *, clip_vision_output: VisionOutput | None = None, **inputs: Any
    ) -> tuple[Conditioning, Conditioning, Latent]:
        """Both conditionings and an empty latent (B, 16, T, H/8, W/8)."""
        return WanFirstLastFrameToVideo().encode(clip_vision_start_image=clip_vision_output, **inputs)


class Wan22ImageToVideoLatent:
    """A latent for Wan 2.2 5B whose video begins with pictures."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("LATENT",)
    FUNCTION: ClassVar[str] = "encode"
    CATEGORY: ClassVar[str] = "conditioning/inpaint"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form; sizes in pixels and frames."""
        return {
            "required": {
                "vae": _VAE,
                "width": number(1280, 32, 32),
                "height": number(704, 32, 32),
                "length": number(49, 1, 4),
                "batch_size": _BATCH,
            },
            "optional": {"start_image": IMAGE},
            "hidden": {"context": CONTEXT},
        }

    def encode(
        self,
        *,
        vae: VAE | None,
        width: int,
        height: int,
        length: int,
        batch_size: int,
        context: NodeContext,
        start_image: Tensor | None = None,
    ) -> tuple[Latent]:
        """LATENT (B, 48, T, H/16, W/16), with a noise mask when there are pictures."""
        from graphengine_nodes.diffusion.conditioning.video_conditioning import wan22_latent, wan22_size
        from graphengine_nodes.diffusion.vae.vae import require_vae

        size = wan22_size(width, height, length)
        return (wan22_latent(require_vae(vae), size, batch_size, start_image, context.check_cancelled),)


class LTXVConditioning:
    """Tells LTX-Video how many frames a second has."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("CONDITIONING", "CONDITIONING")
    RETURN_NAMES: ClassVar[tuple[str, ...]] = ("positive", "negative")
    FUNCTION: ClassVar[str] = "append"
    CATEGORY: ClassVar[str] = "conditioning/video_models"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        rate = ("FLOAT", {"default": 25.0, "min": 0.0, "max": 1000.0, "step": 0.01})
        return {"required": {**_SIDES, "frame_rate": rate}}

    def append(
        self, *, positive: Conditioning, negative: Conditioning, frame_rate: float
    ) -> tuple[Conditioning, Conditioning]:
        """Both conditionings with the option "frame_rate"."""
        from graphengine_nodes.diffusion.conditioning.video_conditioning import conditioned

        return conditioned(positive, negative, {"frame_rate": frame_rate})


class LTXVImgToVideo:
    """A latent for LTX-Video whose video begins with a picture."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = THREE
    RETURN_NAMES: ClassVar[tuple[str, ...]] = THREE_NAMES
    FUNCTION: ClassVar[str] = "encode"
    CATEGORY: ClassVar[str] = "conditioning/video_models"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form; sizes in pixels and frames."""
        return {
            "required": {
                **_SIDES,
                "vae": _VAE,
                "image": IMAGE,
                "width": number(768, 64, 32),
                "height": number(512, 64, 32),
                "length": number(97, 9, 8),
                "batch_size": _BATCH,
                "strength": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0}),
            },
            "hidden": {"context": CONTEXT},
        }

    def encode(
        self,
        *,
        positive: Conditioning,
        negative: Conditioning,
        vae: VAE | None,
        image: Tensor,
        width: int,
        height: int,
        length: int,
        batch_size: int,
        strength: float,
        context: NodeContext,
    ) -> tuple[Conditioning, Conditioning, Latent]:
        """Both conditionings as they are, and LATENT (B, 128, T, H/32, W/32) with a noise mask."""
        from graphengine_nodes.diffusion.conditioning.video_conditioning import ltx_latent, ltx_size
        from graphengine_nodes.diffusion.vae.vae import require_vae

        size = ltx_size(width, height, length)
        latent = ltx_latent(require_vae(vae), size, batch_size, image, strength, context.check_cancelled)
        return positive, negative, latent


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "WanImageToVideo": WanImageToVideo,
    "WanFirstLastFrameToVideo": WanFirstLastFrameToVideo,
    "WanFunInpaintToVideo": WanFunInpaintToVideo,
    "Wan22ImageToVideoLatent": Wan22ImageToVideoLatent,
    "LTXVConditioning": LTXVConditioning,
    "LTXVImgToVideo": LTXVImgToVideo,
}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {}
