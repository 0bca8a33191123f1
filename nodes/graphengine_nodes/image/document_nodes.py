"""Nodes that save pictures in other forms, and compare them: thin classes over `documents` and `writing`.

Definitions are read without running anything, so this module imports no torch; the functions it calls are imported
where a node runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from graphengine.node.api import CONTEXT, GraphEngineError, NodeContext

if TYPE_CHECKING:
    from torch import Tensor

# Any throughout: INPUT_TYPES and the messages to the editor are ComfyUI's open-ended forms, drawings a pack's.

_HIDDEN = {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO", "context": CONTEXT}


def _formats() -> list[dict[str, Any]]:
    """The formats, each with the inputs it brings."""

    def format_of(key: str, depths: list[str], spaces: list[str]) -> dict[str, Any]:
        inputs = {"bit_depth": ["COMBO", {"options": depths}], "input_color_space": ["COMBO", {"options": spaces}]}
        return {"key": key, "inputs": {"required": inputs}}

    return [
        format_of("png", ["8-bit", "16-bit"], ["sRGB"]),
        format_of("exr", ["16-bit float", "32-bit float"], ["sRGB", "HDR", "linear", "linear ACEScg"]),
        format_of("avif", ["auto", "8-bit YUV420", "10-bit YUV420"], ["sRGB", "HDR", "HDR PQ"]),
    ]


class SaveImageAdvanced:
    """Pictures as PNG files with 8 or 16 bits, with the workflow inside."""

    CATEGORY = "image"
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("images",)
    FUNCTION = "save"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "images": ("IMAGE", {}),
                "filename_prefix": ("STRING", {"default": "ComfyUI"}),
                "format": ("COMFY_DYNAMICCOMBO_V3", {"options": _formats()}),
            },
            "hidden": dict(_HIDDEN),
        }

    def save(
        self,
        images: Tensor,
        filename_prefix: str,
        format: Mapping[str, Any],
        context: NodeContext,
        prompt: Mapping[str, Any] | None = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The pictures, and the names of the files for the editor to show."""
        from .documents import save_deep_images  # brings torch
        from .writing import save_images

        if format["format"] != "png":
            raise GraphEngineError(
                f"pictures cannot be saved as {format['format']!r} yet",
                hint="choose 'png', with 16 bits if need be",
            )
        save = save_deep_images if format.get("bit_depth") == "16-bit" else save_images
        files = save(
            images,
            context.folders.output,
            filename_prefix,
            prompt=prompt,
            extra=extra_pnginfo,
            between=context.check_cancelled,
        )
        return {"ui": {"images": [{**file, "type": "output"} for file in files]}, "result": (images,)}


class ImageCompare:
    """Two pictures for the editor to show one over the other."""

    CATEGORY = "image"
    RETURN_TYPES = ()
    FUNCTION = "compare"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "optional": {"image_a": ("IMAGE", {}), "image_b": ("IMAGE", {}), "compare_view": ("IMAGECOMPARE", {})},
            "hidden": dict(_HIDDEN),
        }

    def compare(
        self,
        context: NodeContext,
        image_a: Tensor | None = None,
        image_b: Tensor | None = None,
        compare_view: Any = None,
        prompt: Mapping[str, Any] | None = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The names of the files, for the editor to show."""
        from .writing import save_images  # brings torch

        shown: dict[str, list[dict[str, str]]] = {"a_images": [], "b_images": []}
        for name, images in (("a", image_a), ("b", image_b)):
            if images is None:
                continue
            # The random part keeps a picture that a page still shows from being taken for a later one.
            prefix = f"comfy.compare.{name}_{token_hex(3)}"
            files = save_images(
                images,
                context.folders.temp,
                prefix,
                prompt=prompt,
                extra=extra_pnginfo,
                compression=1,
                between=context.check_cancelled,
            )
            shown[f"{name}_images"] = [{**file, "type": "temp"} for file in files]
        return {"ui": shown}


class SaveSVGNode:
    """Drawings as SVG files in the output folder, with the workflow inside."""

    CATEGORY = "image/save"
    RETURN_TYPES = ()
    FUNCTION = "save_svg"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {"svg": ("SVG",), "filename_prefix": ("STRING", {"default": "svg/ComfyUI"})},
            "hidden": dict(_HIDDEN),
        }

    def save_svg(
        self,
        svg: Any,
        context: NodeContext,
        filename_prefix: str = "svg/ComfyUI",
        prompt: Mapping[str, Any] | None = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The names of the files, for the editor to show. svg: its `data` are open files, as packs make them."""
        from .documents import save_drawings  # brings torch

        try:
            drawings = [bytes(drawing.getvalue()) for drawing in svg.data]
        except (AttributeError, TypeError) as error:
            raise GraphEngineError(f"input 'svg' is {type(svg).__name__}, which is no drawing: {error}") from error
        files = save_drawings(
            drawings, context.folders.output, filename_prefix, prompt=prompt, extra=extra_pnginfo
        )
        return {"ui": {"images": [{**file, "type": "output"} for file in files]}}


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "SaveImageAdvanced": SaveImageAdvanced,
    "ImageCompare": ImageCompare,
    "SaveSVGNode": SaveSVGNode,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "SaveImageAdvanced": "Save Image (Advanced)",
    "ImageCompare": "Compare Images",
    "SaveSVGNode": "SaveSVGNode",
}
