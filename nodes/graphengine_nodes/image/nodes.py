"""The picture nodes: thin classes over `reading`, `scaling` and `writing`.

Definitions are read without running anything, so this module imports neither torch nor numpy nor Pillow; the
functions it calls are imported where a node runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from graphengine.node.api import CONTEXT, Files, NodeContext

if TYPE_CHECKING:
    from torch import Tensor

# Any throughout: INPUT_TYPES and the node's message to the editor are ComfyUI's open-ended forms.

#: What the editor offers as pictures; any other file of the input folder may still be named.
IMAGE_SUFFIXES = (".apng", ".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_IMAGE_METHODS = ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]


class LoadImage:
    """A picture of the input folder, and its transparency as a mask."""

    CATEGORY = "image"
    RETURN_TYPES = ("IMAGE", "MASK")
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {"image": (Files("input", IMAGE_SUFFIXES), {"image_upload": True})},
            "hidden": {"context": CONTEXT},
        }

    def load(self, image: str, context: NodeContext) -> tuple[Tensor, Tensor]:
        """IMAGE (B, H, W, 3) and MASK, see `read_image`."""
        from .reading import read_image  # brings torch

        return read_image(context.folders.path("input", image), image)


class LoadImageMask:
    """One channel of a picture of the input folder as a mask."""

    CATEGORY = "mask"
    RETURN_TYPES = ("MASK",)
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "image": (Files("input", IMAGE_SUFFIXES), {"image_upload": True}),
                "channel": (["alpha", "red", "green", "blue"],),
            },
            "hidden": {"context": CONTEXT},
        }

    def load(self, image: str, channel: str, context: NodeContext) -> tuple[Tensor]:
        """MASK (1, H, W), see `read_mask`."""
        from .reading import read_mask  # brings torch

        return (read_mask(context.folders.path("input", image), image, channel),)


class LoadImageOutput(LoadImage):
    """A picture of the output folder, and its transparency as a mask."""

    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form; the editor asks the server for the names."""
        remote = {
            "route": "/internal/files/output",
            "refresh_button": True,
            "control_after_refresh": "first",
        }
        options = {"image_upload": True, "image_folder": "output", "remote": remote}
        # Names of the output folder end with " [output]".
        return {"required": {"image": (Files("input", IMAGE_SUFFIXES), options)}, "hidden": {"context": CONTEXT}}


class ImageScale:
    """Pictures in another size."""

    CATEGORY = "image/upscaling"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "scale"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        size = ("INT", {"default": 512, "min": 0, "max": 16384, "step": 1})
        return {
            "required": {
                "image": ("IMAGE",),
                "upscale_method": (_IMAGE_METHODS,),
                "width": size,
                "height": size,
                "crop": (["disabled", "center"],),
            },
        }

    def scale(self, image: Tensor, upscale_method: str, width: int, height: int, crop: str) -> tuple[Tensor]:
        """IMAGE (B, height, width, C); a width or height of 0 follows from the other one."""
        from .scaling import scale_images  # brings torch

        return (scale_images(image, upscale_method, width, height, crop),)


class ImageScaleBy:
    """Pictures larger or smaller by a factor."""

    CATEGORY = "image/upscaling"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "scale"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "image": ("IMAGE",),
                "upscale_method": (_IMAGE_METHODS,),
                "scale_by": ("FLOAT", {"default": 1.0, "min": 0.01, "max": 8.0, "step": 0.01}),
            },
        }

    def scale(self, image: Tensor, upscale_method: str, scale_by: float) -> tuple[Tensor]:
        """IMAGE (B, H * scale_by, W * scale_by, C), rounded."""
        from .scaling import scale_images_by  # brings torch

        return (scale_images_by(image, upscale_method, scale_by),)


class SaveImage:
    """Pictures as PNG files in the output folder, with the workflow inside."""

    CATEGORY = "image"
    RETURN_TYPES = ()
    FUNCTION = "save"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "images": ("IMAGE", {}),
                "filename_prefix": ("STRING", {"default": "ComfyUI"}),
            },
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO", "context": CONTEXT},
        }

    def save(
        self,
        images: Tensor,
        filename_prefix: str,
        context: NodeContext,
        prompt: Mapping[str, Any] | None = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The names of the files, for the editor to show."""
        from .writing import save_images  # brings torch

        files = save_images(
            images,
            context.folders.output,
            filename_prefix,
            prompt=prompt,
            extra=extra_pnginfo,
            between=context.check_cancelled,
        )
        return {"ui": {"images": [{**file, "type": "output"} for file in files]}}


class PreviewImage:
    """Pictures as PNG files in the folder for temporary files."""

    CATEGORY = "image"
    RETURN_TYPES = ()
    FUNCTION = "save"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {"images": ("IMAGE",)},
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO", "context": CONTEXT},
        }

    def save(
        self,
        images: Tensor,
        context: NodeContext,
        prompt: Mapping[str, Any] | None = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The names of the files, for the editor to show."""
        from .writing import save_images  # brings torch

        # The random part keeps a picture that a page still shows from being taken for a later one.
        files = save_images(
            images,
            context.folders.temp,
            f"ComfyUI_temp_{token_hex(3)}",
            prompt=prompt,
            extra=extra_pnginfo,
            compression=1,
            between=context.check_cancelled,
        )
        return {"ui": {"images": [{**file, "type": "temp"} for file in files]}}
