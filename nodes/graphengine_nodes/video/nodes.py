"""The video nodes: thin classes over `values`, `decoding` and `encoding`.

Definitions are read without running anything, so this module imports no torch; the functions it calls are imported
where a node runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar

from graphengine.node.api import CONTEXT, Files, NodeContext

if TYPE_CHECKING:
    from torch import Tensor

    from graphengine_nodes.audio.values import Audio

    from .values import VideoInput

#: What the editor offers as videos; any other file of the input folder may still be named.
VIDEO_SUFFIXES = (".avi", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".ogv", ".webm")

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.


class CreateVideo:
    """A video of pictures, with or without sound."""

    CATEGORY = "image/video"
    RETURN_TYPES = ("VIDEO",)
    FUNCTION = "make"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "images": ("IMAGE",),
                "fps": ("FLOAT", {"default": 30.0, "min": 1.0, "max": 120.0, "step": 1.0}),
            },
            "optional": {
                "audio": ("AUDIO",),
            },
        }

    def make(self, images: Tensor, fps: float, audio: Audio | None = None) -> tuple[VideoInput]:
        """VIDEO."""
        from .values import VideoComponents, VideoFromComponents

        return (VideoFromComponents(VideoComponents(images, Fraction(fps), audio)),)


class GetVideoComponents:
    """The pictures and the sound of a video."""

    GRAPHENGINE_CHECKS_OFF: ClassVar[dict[str, str]] = {"wrong_type": "a silent video has no sound"}
    CATEGORY = "image/video"
    RETURN_TYPES = ("IMAGE", "AUDIO", "FLOAT")
    RETURN_NAMES = ("images", "audio", "fps")
    FUNCTION = "take_apart"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "video": ("VIDEO",),
            },
        }

    def take_apart(self, video: VideoInput) -> tuple[Tensor, Audio | None, float]:
        """IMAGE (frames, H, W, C), AUDIO or None, frames a second."""
        components = video.get_components()
        return components.images, components.audio, float(components.frame_rate)


class LoadVideo:
    """A video of the input folder."""

    CATEGORY = "image/video"
    RETURN_TYPES = ("VIDEO",)
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "file": (Files("input", VIDEO_SUFFIXES), {"video_upload": True}),
            },
            "hidden": {
                "context": CONTEXT,
            },
        }

    def load(self, file: str, context: NodeContext) -> tuple[VideoInput]:
        """VIDEO; its frames are read when they are needed."""
        from .values import VideoFromFile

        video = VideoFromFile(str(context.folders.path("input", file)), file)
        video.get_dimensions()  # what is no video is refused here, not where it is used
        return (video,)


class SaveVideo:
    """A video as a file in the output folder, with the workflow inside."""

    CATEGORY = "image/video"
    RETURN_TYPES = ()
    FUNCTION = "save"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "video": ("VIDEO",),
                "filename_prefix": ("STRING", {"default": "video/ComfyUI", "multiline": False}),
                "format": ("COMBO", {"default": "auto", "multiselect": False, "options": ["auto", "mp4"]}),
                "codec": ("COMBO", {"default": "auto", "multiselect": False, "options": ["auto", "h264"]}),
            },
            "hidden": {
                "prompt": "PROMPT",
                "extra_pnginfo": "EXTRA_PNGINFO",
                "context": CONTEXT,
            },
        }

    def save(
        self,
        video: VideoInput,
        filename_prefix: str,
        format: str,
        codec: str,
        context: NodeContext,
        prompt: Mapping[str, Any] | None = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The name of the file, for the editor to show."""
        from .saving import save_video  # brings torch

        return save_video(
            video,
            context.folders.output,
            filename_prefix,
            format,
            codec,
            prompt=prompt,
            extra=extra_pnginfo,
        )


class SaveWEBM:
    """Pictures as a WebM video in the output folder, with the workflow inside."""

    CATEGORY = "image/video"
    RETURN_TYPES = ()
    FUNCTION = "save"
    OUTPUT_NODE = True
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "images": ("IMAGE",),
                "filename_prefix": ("STRING", {"default": "ComfyUI", "multiline": False}),
                "codec": ("COMBO", {"multiselect": False, "options": ["vp9", "av1"]}),
                "fps": ("FLOAT", {"default": 24.0, "min": 0.01, "max": 1000.0, "step": 0.01}),
                "crf": ("FLOAT", {"default": 32.0, "min": 0, "max": 63.0, "step": 1}),
            },
            "hidden": {
                "prompt": "PROMPT",
                "extra_pnginfo": "EXTRA_PNGINFO",
                "context": CONTEXT,
            },
        }

    def save(
        self,
        images: Tensor,
        filename_prefix: str,
        codec: str,
        fps: float,
        crf: float,
        context: NodeContext,
        prompt: Mapping[str, Any] | None = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The name of the file, for the editor to show."""
        from .saving import save_webm  # brings torch

        return save_webm(
            images,
            context.folders.output,
            filename_prefix,
            codec,
            fps,
            crf,
            prompt=prompt,
            extra=extra_pnginfo,
        )


class LTXVPreprocess:
    """Pictures with the traces of video compression, which LTX-Video expects."""

    CATEGORY = "image"
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("output_image",)
    FUNCTION = "compress"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "image": ("IMAGE",),
                "img_compression": ("INT", {"default": 35, "min": 0, "max": 100}),
            },
        }

    def compress(self, image: Tensor, img_compression: int) -> tuple[Tensor]:
        """IMAGE (B, H, W, 3), see `compress_and_read`."""
        from .encoding import compress_and_read  # brings torch

        return (compress_and_read(image, img_compression),)


class VideoSlice:
    """A part of a video."""

    CATEGORY = "image/video"
    RETURN_TYPES = ("VIDEO",)
    FUNCTION = "cut"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form; in seconds."""
        return {
            "required": {
                "video": ("VIDEO", {}),
                "start_time": ("FLOAT", {"default": 0.0, "min": -1e5, "max": 1e5, "step": 0.001}),
                "duration": ("FLOAT", {"default": 0.0, "min": 0.0, "step": 0.001}),
                "strict_duration": ("BOOLEAN", {"default": False}),
            }
        }

    def cut(
        self, video: VideoInput, start_time: float, duration: float, strict_duration: bool
    ) -> tuple[VideoInput]:
        """VIDEO from the start on; a duration of 0 goes to its end."""
        from .trimming import trim_video  # brings torch

        return (trim_video(video, start_time, duration, strict=strict_duration),)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "Video Slice": VideoSlice,
    "CreateVideo": CreateVideo,
    "GetVideoComponents": GetVideoComponents,
    "LoadVideo": LoadVideo,
    "SaveVideo": SaveVideo,
    "SaveWEBM": SaveWEBM,
    "LTXVPreprocess": LTXVPreprocess,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "Video Slice": "Trim Video",
    "CreateVideo": "Create Video",
    "GetVideoComponents": "Get Video Components",
    "LoadVideo": "Load Video",
    "SaveVideo": "Save Video",
    "SaveWEBM": "SaveWEBM",
    "LTXVPreprocess": "LTXVPreprocess",
}
