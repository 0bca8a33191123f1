"""The nodes of Wan's Fun series and of Phantom: thin classes over `wan_fun` and `camera_rays`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from graphengine.node.api import NodeContext
from graphengine_nodes.diffusion.conditioning.camera_motions import MOTIONS

from .video_conditioning_nodes import IMAGE, THREE, THREE_NAMES, VISION, number, wan_inputs

if TYPE_CHECKING:
    from torch import Tensor

    from graphengine_nodes.diffusion.model.model import Conditioning, Latent
    from graphengine_nodes.diffusion.vae.vae import VAE
    from graphengine_nodes.diffusion.vision.vision import VisionOutput

# Any: ComfyUI's form, see `video_conditioning_nodes`. Imports of torch stand inside the methods.


class WanCameraEmbedding:
    """A camera that moves, as the rays of each pixel of a video."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("WAN_CAMERA_EMBEDDING", "INT", "INT", "INT")
    RETURN_NAMES: ClassVar[tuple[str, ...]] = ("camera_embedding", "width", "height", "length")
    FUNCTION: ClassVar[str] = "run"
    CATEGORY: ClassVar[str] = "camera"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form; the lens in parts of width and height."""
        poses = {"default": "Static", "multiselect": False, "options": list(MOTIONS)}
        focal = {"default": 0.5, "min": 0, "max": 1, "step": 1e-09}
        centre = {"default": 0.5, "min": 0, "max": 1, "step": 0.01}
        return {
            "required": {
                "camera_pose": ("COMBO", poses),
                "width": number(832, 16, 16),
                "height": number(480, 16, 16),
                "length": number(81, 1, 4),
            },
            "optional": {
                "speed": ("FLOAT", {"default": 1.0, "min": 0, "max": 10.0, "step": 0.1}),
                **{name: ("FLOAT", dict(focal)) for name in ("fx", "fy")},
                **{name: ("FLOAT", dict(centre)) for name in ("cx", "cy")},
            },
        }

    def run(
        self,
        *,
        camera_pose: str,
        width: int,
        height: int,
        length: int,
        speed: float = 1.0,
        fx: float = 0.5,
        fy: float = 0.5,
        cx: float = 0.5,
        cy: float = 0.5,
    ) -> tuple[Tensor, int, int, int]:
        """WAN_CAMERA_EMBEDDING (1, 24, T, H, W) in pixels, and the sizes again.

        Raises:
            GraphEngineError: the focal length is 0.
        """
        from graphengine_nodes.diffusion.conditioning.camera_rays import Lens, camera_embedding

        lens = Lens(fx, fy, cx, cy)
        return camera_embedding(MOTIONS[camera_pose], width, height, length, speed, lens), width, height, length


class WanCameraImageToVideo:
    """Conditions Wan Fun Camera on a moving camera and the pictures that a video begins with."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = THREE
    RETURN_NAMES: ClassVar[tuple[str, ...]] = THREE_NAMES
    FUNCTION: ClassVar[str] = "encode"
    CATEGORY: ClassVar[str] = "conditioning/video_models"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form; sizes in pixels and frames."""
        camera: dict[str, Any] = {"camera_conditions": ("WAN_CAMERA_EMBEDDING", {})}
        return wan_inputs(clip_vision_output=VISION, start_image=IMAGE, **camera)

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
        camera_conditions: Tensor | None = None,
    ) -> tuple[Conditioning, Conditioning, Latent]:
        """Both conditionings and an empty latent (B, 16, T, H/8, W/8)."""
        from graphengine_nodes.diffusion.conditioning.video_conditioning import conditioned
        from graphengine_nodes.diffusion.conditioning.wan_fun import fun_size, start_of_video
        from graphengine_nodes.diffusion.vae.vae import require_vae

        vae = require_vae(vae)
        size = fun_size(vae, width, height, length)
        options: dict[str, Any] = {
            **start_of_video(vae, size, start_image, context.check_cancelled),
            "clip_vision_output": clip_vision_output,
            "camera_conditions": camera_conditions,
        }
        return (*conditioned(positive, negative, options), {"samples": size.latent(batch_size)})


class WanFunControlToVideo:
    """Conditions Wan 2.1 Fun Control on a video to follow and the pictures that a video begins with."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = THREE
    RETURN_NAMES: ClassVar[tuple[str, ...]] = THREE_NAMES
    FUNCTION: ClassVar[str] = "encode"
    CATEGORY: ClassVar[str] = "conditioning/video_models"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form; sizes in pixels and frames."""
        return wan_inputs(clip_vision_output=VISION, start_image=IMAGE, control_video=IMAGE)

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
        control_video: Tensor | None = None,
    ) -> tuple[Conditioning, Conditioning, Latent]:
        """Both conditionings and an empty latent (B, 16, T, H/8, W/8)."""
        from graphengine_nodes.diffusion.conditioning.video_conditioning import conditioned
        from graphengine_nodes.diffusion.conditioning.wan_fun import control_of_video, fun_size
        from graphengine_nodes.diffusion.vae.vae import require_vae

        vae = require_vae(vae)
        size = fun_size(vae, width, height, length)
        options: dict[str, Any] = {
            **control_of_video(vae, size, control_video, start_image, context.check_cancelled),
            "clip_vision_output": clip_vision_output,
        }
        return (*conditioned(positive, negative, options), {"samples": size.latent(batch_size)})


class Wan22FunControlToVideo:
    """Conditions Wan 2.2 Fun Control on a video to follow and a picture to be like."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = THREE
    RETURN_NAMES: ClassVar[tuple[str, ...]] = THREE_NAMES
    FUNCTION: ClassVar[str] = "encode"
    CATEGORY: ClassVar[str] = "conditioning/video_models"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form; sizes in pixels and frames."""
        return wan_inputs(ref_image=IMAGE, control_video=IMAGE)

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
        ref_image: Tensor | None = None,
        control_video: Tensor | None = None,
    ) -> tuple[Conditioning, Conditioning, Latent]:
        """Both conditionings and an empty latent of the VAE's kind."""
        from graphengine_nodes.diffusion.conditioning.video_conditioning import conditioned
        from graphengine_nodes.diffusion.conditioning.wan_fun import control_of_video, fun_size, with_reference
        from graphengine_nodes.diffusion.vae.vae import require_vae

        vae, check = require_vae(vae), context.check_cancelled
        size = fun_size(vae, width, height, length)
        sides = conditioned(positive, negative, {**control_of_video(vae, size, control_video, None, check)})
        return (*with_reference(sides, vae, size, ref_image, check), {"samples": size.latent(batch_size)})


class WanPhantomSubjectToVideo:
    """Conditions Wan Phantom on pictures of what shall be seen in a video."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("CONDITIONING", *THREE)
    RETURN_NAMES: ClassVar[tuple[str, ...]] = ("positive", "negative_text", "negative_img_text", "latent")
    FUNCTION: ClassVar[str] = "encode"
    CATEGORY: ClassVar[str] = "conditioning/video_models"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form; sizes in pixels and frames."""
        return wan_inputs(images=IMAGE)

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
        images: Tensor | None = None,
    ) -> tuple[Conditioning, Conditioning, Conditioning, Latent]:
        """Both conditionings with the pictures, the negative one with empty ones, and an empty latent.

        The latent: (B, 16, T, H/8, W/8).
        """
        from graphengine_nodes.diffusion.conditioning.video_conditioning import wan_size
        from graphengine_nodes.diffusion.conditioning.wan_fun import subjects_of_video, told_of_subjects
        from graphengine_nodes.diffusion.vae.vae import require_vae

        size = wan_size(width, height, length)
        latent: Latent = {"samples": size.latent(batch_size)}
        if images is None:
            return positive, negative, negative, latent
        subjects = subjects_of_video(require_vae(vae), size, images, context.check_cancelled)
        return (*told_of_subjects(positive, negative, subjects), latent)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "WanCameraEmbedding": WanCameraEmbedding,
    "WanCameraImageToVideo": WanCameraImageToVideo,
    "WanFunControlToVideo": WanFunControlToVideo,
    "Wan22FunControlToVideo": Wan22FunControlToVideo,
    "WanPhantomSubjectToVideo": WanPhantomSubjectToVideo,
}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {}
