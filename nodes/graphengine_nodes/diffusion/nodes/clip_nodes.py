"""The nodes that encode prompts and change text encoders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from graphengine_nodes.diffusion.model.model import Conditioning
    from graphengine_nodes.diffusion.text.text_encode import TextEncoder

# INPUT_TYPES is ComfyUI's: a nested dict whose values are of any kind, hence Any. Imports of torch and of the
# modules that need it stand inside the methods, so that listing nodes and checking workflows stay fast.

_TEXT = ("STRING", {"multiline": True, "dynamicPrompts": True})


def _size(default: int) -> tuple[str, dict[str, Any]]:
    return ("INT", {"default": default, "min": 0, "max": 16384})


class CLIPTextEncode:
    """Encodes a prompt with a CLIP model into a conditioning that guides a diffusion model."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("CONDITIONING",)
    FUNCTION: ClassVar[str] = "encode"
    CATEGORY: ClassVar[str] = "conditioning"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"text": _TEXT, "clip": ("CLIP", {})}}

    def encode(self, *, text: str, clip: TextEncoder | None) -> tuple[Conditioning]:
        """One conditioning: text states (1, T, D) and, in its options, what else the family's towers give."""
        from graphengine_nodes.diffusion.text.text_encode import require_clip

        return (require_clip(clip).encode(text).conditioning(),)


class CLIPTextEncodeSDXL:
    """Encodes a prompt for each of SDXL's two text towers, with the sizes that SDXL is told."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("CONDITIONING",)
    FUNCTION: ClassVar[str] = "encode"
    CATEGORY: ClassVar[str] = "advanced/conditioning"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form; sizes in pixels."""
        return {
            "required": {
                "clip": ("CLIP", {}),
                "width": _size(1024),
                "height": _size(1024),
                "crop_w": _size(0),
                "crop_h": _size(0),
                "target_width": _size(1024),
                "target_height": _size(1024),
                "text_g": _TEXT,
                "text_l": _TEXT,
            }
        }

    def encode(
        self,
        *,
        clip: TextEncoder | None,
        width: int,
        height: int,
        crop_w: int,
        crop_h: int,
        target_width: int,
        target_height: int,
        text_g: str,
        text_l: str,
    ) -> tuple[Conditioning]:
        """One conditioning with the sizes among its options."""
        from graphengine_nodes.diffusion.text.sdxl_text import encode_sdxl
        from graphengine_nodes.diffusion.text.text_encode import require_clip

        sizes = {
            "width": width,
            "height": height,
            "crop_w": crop_w,
            "crop_h": crop_h,
            "target_width": target_width,
            "target_height": target_height,
        }
        return (encode_sdxl(require_clip(clip), text_l, text_g, sizes),)


class CLIPTextEncodeSDXLRefiner:
    """Encodes a prompt for SDXL's refiner, with the size and the aesthetic score that it is told."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("CONDITIONING",)
    FUNCTION: ClassVar[str] = "encode"
    CATEGORY: ClassVar[str] = "advanced/conditioning"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form; sizes in pixels."""
        return {
            "required": {
                "ascore": ("FLOAT", {"default": 6.0, "min": 0.0, "max": 1000.0, "step": 0.01}),
                "width": _size(1024),
                "height": _size(1024),
                "text": _TEXT,
                "clip": ("CLIP", {}),
            }
        }

    def encode(
        self, *, ascore: float, width: int, height: int, text: str, clip: TextEncoder | None
    ) -> tuple[Conditioning]:
        """One conditioning with size and score among its options."""
        from graphengine_nodes.diffusion.text.text_encode import require_clip

        encoded = require_clip(clip).encode(text)
        return (encoded.conditioning(aesthetic_score=ascore, width=width, height=height),)


class CLIPSetLastLayer:
    """Makes a CLIP model stop at an earlier layer: -2 is known as "clip skip 2"."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("CLIP",)
    FUNCTION: ClassVar[str] = "set_last_layer"
    CATEGORY: ClassVar[str] = "conditioning"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "clip": ("CLIP",),
                "stop_at_clip_layer": ("INT", {"default": -1, "min": -24, "max": -1, "step": 1}),
            }
        }

    def set_last_layer(self, *, clip: TextEncoder | None, stop_at_clip_layer: int) -> tuple[TextEncoder]:
        """The CLIP with shared weights that stops there."""
        from graphengine_nodes.diffusion.text.text_encode import require_clip

        return (require_clip(clip).with_last_layer(stop_at_clip_layer),)


class CLIPAttentionMultiply:
    """Multiplies the projections of a CLIP model's attentions, weights and biases."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("CLIP",)
    FUNCTION: ClassVar[str] = "multiply"
    CATEGORY: ClassVar[str] = "_for_testing/attention_experiments"
    EXPERIMENTAL: ClassVar[bool] = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        factor = ("FLOAT", {"default": 1.0, "min": 0.0, "max": 10.0, "step": 0.01})
        return {"required": {"clip": ("CLIP", {}), "q": factor, "k": factor, "v": factor, "out": factor}}

    def multiply(
        self, *, clip: TextEncoder | None, q: float, k: float, v: float, out: float
    ) -> tuple[TextEncoder]:
        """The CLIP with other weights in its attentions; the rest is shared."""
        from graphengine_nodes.diffusion.text.text_encode import require_clip
        from graphengine_nodes.diffusion.text.text_patches import scaled_attention

        return (scaled_attention(require_clip(clip), {"q": q, "k": k, "v": v, "out": out}),)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "CLIPTextEncode": CLIPTextEncode,
    "CLIPTextEncodeSDXL": CLIPTextEncodeSDXL,
    "CLIPTextEncodeSDXLRefiner": CLIPTextEncodeSDXLRefiner,
    "CLIPSetLastLayer": CLIPSetLastLayer,
    "CLIPAttentionMultiply": CLIPAttentionMultiply,
}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "CLIPTextEncode": "CLIP Text Encode (Prompt)",
    "CLIPSetLastLayer": "CLIP Set Last Layer",
}
