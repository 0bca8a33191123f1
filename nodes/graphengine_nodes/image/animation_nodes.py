"""Nodes that write animations: thin classes over `animations`.

Definitions are read without running anything, so this module imports no torch; the functions it calls are imported
where a node runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from graphengine.node.api import CONTEXT, NodeContext

if TYPE_CHECKING:
    from torch import Tensor

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.


class SaveAnimatedWEBP:
    """Pictures as an animated WebP file in the output folder, with the workflow inside."""

    CATEGORY = "image/animation"
    RETURN_TYPES = ()
    FUNCTION = "save"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "images": ("IMAGE",),
                "filename_prefix": ("STRING", {"default": "ComfyUI"}),
                "fps": ("FLOAT", {"default": 6.0, "min": 0.01, "max": 1000.0, "step": 0.01}),
                "lossless": ("BOOLEAN", {"default": True}),
                "quality": ("INT", {"default": 80, "min": 0, "max": 100}),
                "method": (["default", "fastest", "slowest"],),
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
        fps: float,
        lossless: bool,
        quality: int,
        method: str,
        context: NodeContext,
        prompt: Mapping[str, Any] | None = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The name of the file, for the editor to show."""
        from .animations import encode_webp, save_animation  # brings torch

        content = encode_webp(
            images,
            fps,
            lossless=lossless,
            quality=quality,
            method=method,
            prompt=prompt,
            extra=extra_pnginfo,
        )
        file = save_animation(content, ".webp", context.folders.output, filename_prefix, images, prompt)
        return {"ui": {"images": [{**file, "type": "output"}], "animated": (len(images) != 1,)}}


class SaveAnimatedPNG:
    """Pictures as an animated PNG file in the output folder, with the workflow inside."""

    CATEGORY = "image/animation"
    RETURN_TYPES = ()
    FUNCTION = "save"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "images": ("IMAGE",),
                "filename_prefix": ("STRING", {"default": "ComfyUI"}),
                "fps": ("FLOAT", {"default": 6.0, "min": 0.01, "max": 1000.0, "step": 0.01}),
                "compress_level": ("INT", {"default": 4, "min": 0, "max": 9}),
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
        fps: float,
        compress_level: int,
        context: NodeContext,
        prompt: Mapping[str, Any] | None = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The name of the file, for the editor to show."""
        from .animations import encode_apng, save_animation  # brings torch

        content = encode_apng(images, fps, compress_level, prompt=prompt, extra=extra_pnginfo)
        file = save_animation(content, ".png", context.folders.output, filename_prefix, images, prompt)
        return {"ui": {"images": [{**file, "type": "output"}], "animated": (True,)}}


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "SaveAnimatedWEBP": SaveAnimatedWEBP,
    "SaveAnimatedPNG": SaveAnimatedPNG,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "SaveAnimatedWEBP": "SaveAnimatedWEBP",
    "SaveAnimatedPNG": "SaveAnimatedPNG",
}
