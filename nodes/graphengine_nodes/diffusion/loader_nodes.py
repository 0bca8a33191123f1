"""The nodes that load SD1.x models, encode prompts, and encode and decode pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from graphengine.node.api import CONTEXT, Files, NodeContext

if TYPE_CHECKING:
    from torch import Tensor

    from .model import Conditioning, DiffusionModel, Latent
    from .text_encode import TextEncoder
    from .vae import VAE

# INPUT_TYPES is ComfyUI's: a nested dict whose values are of any kind, hence Any. Imports of torch and of the
# modules that need it stand inside the methods, so that listing nodes and checking workflows stay fast.


class CheckpointLoaderSimple:
    """Loads a diffusion model, its text encoder and its VAE from one file."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("MODEL", "CLIP", "VAE")
    FUNCTION: ClassVar[str] = "load"
    CATEGORY: ClassVar[str] = "loaders"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"ckpt_name": (Files("checkpoints"), {})}, "hidden": {"context": CONTEXT}}

    def load(
        self, *, ckpt_name: str, context: NodeContext
    ) -> tuple[DiffusionModel, TextEncoder | None, VAE | None]:
        """MODEL, CLIP and VAE; CLIP and VAE are None when the file holds none."""
        from .checkpoint import open_checkpoint
        from .embeddings import embedding_files
        from .families import load_checkpoint

        checkpoint = open_checkpoint(context.folders.path("checkpoints", ckpt_name))
        return load_checkpoint(checkpoint, context.device, embedding_files(context.folders))


class VAELoader:
    """Loads a VAE from a file of its own."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("VAE",)
    FUNCTION: ClassVar[str] = "load"
    CATEGORY: ClassVar[str] = "loaders"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"vae_name": (Files("vae"),)}, "hidden": {"context": CONTEXT}}

    def load(self, *, vae_name: str, context: NodeContext) -> tuple[VAE]:
        """The VAE."""
        from .checkpoint import open_checkpoint
        from .vae import load_vae_file

        return (load_vae_file(open_checkpoint(context.folders.path("vae", vae_name)), context.device),)


class CLIPTextEncode:
    """Encodes a prompt with a CLIP model into a conditioning that guides a diffusion model."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("CONDITIONING",)
    FUNCTION: ClassVar[str] = "encode"
    CATEGORY: ClassVar[str] = "conditioning"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "text": ("STRING", {"multiline": True, "dynamicPrompts": True}),
                "clip": ("CLIP", {}),
            }
        }

    def encode(self, *, text: str, clip: TextEncoder | None) -> tuple[Conditioning]:
        """One conditioning: text states (1, T, D) and, in its options, what else the family's towers give."""
        from .text_encode import require_clip

        return (require_clip(clip).encode(text).conditioning(),)


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
        from .text_encode import require_clip

        return (require_clip(clip).with_last_layer(stop_at_clip_layer),)


class VAEDecode:
    """Decodes latents into pictures."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("IMAGE",)
    FUNCTION: ClassVar[str] = "decode"
    CATEGORY: ClassVar[str] = "latent"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"samples": ("LATENT", {}), "vae": ("VAE", {})}, "hidden": {"context": CONTEXT}}

    def decode(self, *, samples: Latent, vae: VAE | None, context: NodeContext) -> tuple[Tensor]:
        """Pictures (B, H, W, 3) in 0..1; frames of videos one after the other."""
        from .vae import as_pictures, require_vae

        return (as_pictures(require_vae(vae).decode(samples["samples"], context.check_cancelled)),)


class VAEEncode:
    """Encodes pictures into latents."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("LATENT",)
    FUNCTION: ClassVar[str] = "encode"
    CATEGORY: ClassVar[str] = "latent"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"pixels": ("IMAGE",), "vae": ("VAE",)}, "hidden": {"context": CONTEXT}}

    def encode(self, *, pixels: Tensor, vae: VAE | None, context: NodeContext) -> tuple[Latent]:
        """The latent; sides that are no multiple of 8 are cropped in the middle."""
        from .vae import require_vae

        return ({"samples": require_vae(vae).encode(pixels, context.check_cancelled)},)


class VAEEncodeForInpaint:
    """Encodes pictures whose masked part shall be painted anew: grey there, with a noise mask."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("LATENT",)
    FUNCTION: ClassVar[str] = "encode"
    CATEGORY: ClassVar[str] = "latent/inpaint"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "pixels": ("IMAGE",),
                "vae": ("VAE",),
                "mask": ("MASK",),
                "grow_mask_by": ("INT", {"default": 6, "min": 0, "max": 64, "step": 1}),
            },
            "hidden": {"context": CONTEXT},
        }

    def encode(
        self, *, pixels: Tensor, vae: VAE | None, mask: Tensor, grow_mask_by: int, context: NodeContext
    ) -> tuple[Latent]:
        """The latent with its noise mask."""
        from .vae import encode_for_inpaint, require_vae

        return (encode_for_inpaint(require_vae(vae), pixels, mask, grow_mask_by, context.check_cancelled),)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "CheckpointLoaderSimple": CheckpointLoaderSimple,
    "VAELoader": VAELoader,
    "CLIPTextEncode": CLIPTextEncode,
    "CLIPSetLastLayer": CLIPSetLastLayer,
    "VAEDecode": VAEDecode,
    "VAEEncode": VAEEncode,
    "VAEEncodeForInpaint": VAEEncodeForInpaint,
}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "CheckpointLoaderSimple": "Load Checkpoint",
    "VAELoader": "Load VAE",
    "CLIPTextEncode": "CLIP Text Encode (Prompt)",
    "CLIPSetLastLayer": "CLIP Set Last Layer",
    "VAEDecode": "VAE Decode",
    "VAEEncode": "VAE Encode",
    "VAEEncodeForInpaint": "VAE Encode (for Inpainting)",
}
