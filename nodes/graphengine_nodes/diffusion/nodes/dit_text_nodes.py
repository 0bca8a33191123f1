"""The nodes that encode prompts for diffusion transformers: one text per tower, or with more than a text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from graphengine.node.api import CONTEXT, NodeContext

if TYPE_CHECKING:
    from torch import Tensor

    from graphengine_nodes.diffusion.model.model import Conditioning
    from graphengine_nodes.diffusion.text.text_encode import TextEncoder
    from graphengine_nodes.diffusion.vae.vae import VAE

# INPUT_TYPES is ComfyUI's: a nested dict whose values are of any kind, hence Any. Imports of torch and of the
# modules that need it stand inside the methods, so that listing nodes and checking workflows stay fast.

_CLIP: tuple[str, dict[str, Any]] = ("CLIP", {})
_TEXT: tuple[str, dict[str, Any]] = ("STRING", {"multiline": True, "dynamicPrompts": True})


def _combo(*options: str) -> tuple[str, dict[str, Any]]:
    return ("COMBO", {"multiselect": False, "options": list(options)})


class CLIPTextEncodeSD3:
    """Encodes a prompt for each of SD3's three text towers."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("CONDITIONING",)
    FUNCTION: ClassVar[str] = "encode"
    CATEGORY: ClassVar[str] = "advanced/conditioning"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        texts = dict.fromkeys(("clip_l", "clip_g", "t5xxl"), _TEXT)
        return {"required": {"clip": _CLIP, **texts, "empty_padding": _combo("none", "empty_prompt")}}

    def encode(
        self, *, clip: TextEncoder | None, clip_l: str, clip_g: str, t5xxl: str, empty_padding: str
    ) -> tuple[Conditioning]:
        """One conditioning; with empty_padding "none" an empty prompt has no states."""
        from graphengine_nodes.diffusion.text.text_encode import require_clip
        from graphengine_nodes.diffusion.text.text_towers.prompts import encode_sd3

        texts = {"l": clip_l, "g": clip_g, "t5xxl": t5xxl}
        encoded = encode_sd3(require_clip(clip), texts, empty_is_nothing=empty_padding == "none")
        return (encoded.conditioning(),)


class CLIPTextEncodeFlux:
    """Encodes a prompt for each of Flux's two text towers, with the guidance that the model is told."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("CONDITIONING",)
    FUNCTION: ClassVar[str] = "encode"
    CATEGORY: ClassVar[str] = "advanced/conditioning/flux"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        guidance = ("FLOAT", {"default": 3.5, "min": 0.0, "max": 100.0, "step": 0.1})
        return {"required": {"clip": _CLIP, "clip_l": _TEXT, "t5xxl": _TEXT, "guidance": guidance}}

    def encode(self, *, clip: TextEncoder | None, clip_l: str, t5xxl: str, guidance: float) -> tuple[Conditioning]:
        """One conditioning with the guidance among its options."""
        from graphengine_nodes.diffusion.text.text_encode import require_clip
        from graphengine_nodes.diffusion.text.text_towers.prompts import encode_each

        encoded = encode_each(require_clip(clip), {"l": clip_l, "t5xxl": t5xxl})
        return (encoded.conditioning(guidance=guidance),)


class CLIPTextEncodeHiDream:
    """Encodes a prompt for each of HiDream's four text towers."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("CONDITIONING",)
    FUNCTION: ClassVar[str] = "encode"
    CATEGORY: ClassVar[str] = "advanced/conditioning"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"clip": _CLIP, **dict.fromkeys(("clip_l", "clip_g", "t5xxl", "llama"), _TEXT)}}

    def encode(
        self, *, clip: TextEncoder | None, clip_l: str, clip_g: str, t5xxl: str, llama: str
    ) -> tuple[Conditioning]:
        """One conditioning."""
        from graphengine_nodes.diffusion.text.text_encode import require_clip
        from graphengine_nodes.diffusion.text.text_towers.prompts import encode_each

        texts = {"l": clip_l, "g": clip_g, "t5xxl": t5xxl, "llama": llama}
        return (encode_each(require_clip(clip), texts).conditioning(),)


class CLIPTextEncodeHunyuanDiT:
    """Encodes a prompt for each of Hunyuan-DiT's two text towers."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("CONDITIONING",)
    FUNCTION: ClassVar[str] = "encode"
    CATEGORY: ClassVar[str] = "advanced/conditioning"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"clip": ("CLIP",), "bert": _TEXT, "mt5xl": _TEXT}}

    def encode(self, *, clip: TextEncoder | None, bert: str, mt5xl: str) -> tuple[Conditioning]:
        """One conditioning."""
        from graphengine_nodes.diffusion.text.text_encode import require_clip
        from graphengine_nodes.diffusion.text.text_towers.prompts import encode_each

        return (encode_each(require_clip(clip), {"hydit_clip": bert, "mt5xl": mt5xl}).conditioning(),)


class CLIPTextEncodePixArtAlpha:
    """Encodes a prompt for PixArt Alpha, with the size that the model is told."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("CONDITIONING",)
    FUNCTION: ClassVar[str] = "encode"
    CATEGORY: ClassVar[str] = "advanced/conditioning"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form; sizes in pixels."""
        size = ("INT", {"default": 1024, "min": 0, "max": 16384})
        return {"required": {"width": size, "height": size, "text": _TEXT, "clip": _CLIP}}

    def encode(self, *, width: int, height: int, text: str, clip: TextEncoder | None) -> tuple[Conditioning]:
        """One conditioning with the size among its options."""
        from graphengine_nodes.diffusion.text.text_encode import require_clip

        return (require_clip(clip).encode(text).conditioning(width=width, height=height),)


class CLIPTextEncodeLumina2:
    """Encodes a prompt behind one of the texts that Lumina 2 was trained to read before it."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("CONDITIONING",)
    FUNCTION: ClassVar[str] = "encode"
    CATEGORY: ClassVar[str] = "conditioning"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        systems = _combo("superior", "alignment")
        return {"required": {"system_prompt": systems, "user_prompt": _TEXT, "clip": _CLIP}}

    def encode(self, *, system_prompt: str, user_prompt: str, clip: TextEncoder | None) -> tuple[Conditioning]:
        """One conditioning."""
        from graphengine_nodes.diffusion.text.text_encode import require_clip
        from graphengine_nodes.diffusion.text.text_towers.prompts import LUMINA2_SYSTEMS

        text = f"{LUMINA2_SYSTEMS[system_prompt]} <Prompt Start> {user_prompt}"
        return (require_clip(clip).encode(text).conditioning(),)


class T5TokenizerOptions:
    """Sets how far T5 towers fill prompts up."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("CLIP",)
    FUNCTION: ClassVar[str] = "set_options"
    CATEGORY: ClassVar[str] = "_for_testing/conditioning"
    EXPERIMENTAL: ClassVar[bool] = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form; both in tokens."""
        count = ("INT", {"default": 0, "min": 0, "max": 10000, "step": 1})
        return {"required": {"clip": _CLIP, "min_padding": count, "min_length": count}}

    def set_options(self, *, clip: TextEncoder | None, min_padding: int, min_length: int) -> tuple[TextEncoder]:
        """The CLIP with shared weights."""
        from graphengine_nodes.diffusion.text.text_encode import require_clip
        from graphengine_nodes.diffusion.text.text_towers.prompts import with_t5_lengths

        return (with_t5_lengths(require_clip(clip), min_padding, min_length),)


class TextEncodeQwenImageEdit:
    """Encodes what shall be done to a picture, for Qwen-Image-Edit."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("CONDITIONING",)
    FUNCTION: ClassVar[str] = "encode"
    CATEGORY: ClassVar[str] = "advanced/conditioning"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {"clip": _CLIP, "prompt": _TEXT},
            "optional": {"vae": ("VAE", {}), "image": ("IMAGE", {})},
            "hidden": {"context": CONTEXT},
        }

    def encode(
        self,
        *,
        clip: TextEncoder | None,
        prompt: str,
        context: NodeContext,
        vae: VAE | None = None,
        image: Tensor | None = None,
    ) -> tuple[Conditioning]:
        """One conditioning of the text and the picture, with it as a reference latent too if there is a VAE."""
        from graphengine_nodes.diffusion.conditioning.qwen_edit import encode_edit
        from graphengine_nodes.diffusion.text.text_encode import require_clip

        return (encode_edit(require_clip(clip), prompt, vae, [image], context.check_cancelled),)


class TextEncodeQwenImageEditPlus:
    """Encodes what shall be done with up to three pictures, for Qwen-Image-Edit 2509."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("CONDITIONING",)
    FUNCTION: ClassVar[str] = "encode"
    CATEGORY: ClassVar[str] = "advanced/conditioning"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        picture: tuple[str, dict[str, Any]] = ("IMAGE", {})
        pictures = dict.fromkeys(("image1", "image2", "image3"), picture)
        return {
            "required": {"clip": _CLIP, "prompt": _TEXT},
            "optional": {"vae": ("VAE", {}), **pictures},
            "hidden": {"context": CONTEXT},
        }

    def encode(
        self,
        *,
        clip: TextEncoder | None,
        prompt: str,
        context: NodeContext,
        vae: VAE | None = None,
        image1: Tensor | None = None,
        image2: Tensor | None = None,
        image3: Tensor | None = None,
    ) -> tuple[Conditioning]:
        """One conditioning of the text and the pictures, with them as reference latents too if there is a VAE."""
        from graphengine_nodes.diffusion.conditioning.qwen_edit import EDIT_PLUS, encode_edit
        from graphengine_nodes.diffusion.text.text_encode import require_clip

        pictures = [image1, image2, image3]
        encoded = encode_edit(require_clip(clip), prompt, vae, pictures, context.check_cancelled, EDIT_PLUS)
        return (encoded,)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "CLIPTextEncodeSD3": CLIPTextEncodeSD3,
    "CLIPTextEncodeFlux": CLIPTextEncodeFlux,
    "CLIPTextEncodeHiDream": CLIPTextEncodeHiDream,
    "CLIPTextEncodeHunyuanDiT": CLIPTextEncodeHunyuanDiT,
    "CLIPTextEncodePixArtAlpha": CLIPTextEncodePixArtAlpha,
    "CLIPTextEncodeLumina2": CLIPTextEncodeLumina2,
    "T5TokenizerOptions": T5TokenizerOptions,
    "TextEncodeQwenImageEdit": TextEncodeQwenImageEdit,
    "TextEncodeQwenImageEditPlus": TextEncodeQwenImageEditPlus,
}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {"CLIPTextEncodeLumina2": "CLIP Text Encode for Lumina2"}
