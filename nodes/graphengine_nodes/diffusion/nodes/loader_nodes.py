"""The nodes that load models, text encoders and VAEs, and encode and decode pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from graphengine.node.api import CONTEXT, Files, NodeContext

if TYPE_CHECKING:
    from torch import Tensor

    from graphengine_nodes.diffusion.model.model import DiffusionModel, Latent
    from graphengine_nodes.diffusion.text.text_encode import TextEncoder
    from graphengine_nodes.diffusion.vae.vae import VAE

# INPUT_TYPES is ComfyUI's: a nested dict whose values are of any kind, hence Any. Imports of torch and of the
# modules that need it stand inside the methods, so that listing nodes and checking workflows stay fast.

_SINGLE_TYPES = [
    *("stable_diffusion", "stable_cascade", "sd3", "stable_audio", "mochi", "ltxv", "pixart", "cosmos"),
    *("lumina2", "wan", "hidream", "chroma", "ace", "omnigen2", "qwen_image", "hunyuan_image"),
]
_DUAL_TYPES = ["sdxl", "sd3", "flux", "hunyuan_video", "hidream", "hunyuan_image"]
_PIXEL_SPACE = "pixel_space"
_DEVICE = (["default", "cpu"], {"advanced": True})
_CONFIGURATIONS = [
    "anything_v3.yaml",
    *("v1-inference.yaml", "v1-inference_clip_skip_2.yaml", "v1-inference_clip_skip_2_fp16.yaml"),
    *("v1-inference_fp16.yaml", "v1-inpainting-inference.yaml", "v2-inference-v.yaml"),
    *("v2-inference-v_fp32.yaml", "v2-inference.yaml", "v2-inference_fp32.yaml", "v2-inpainting-inference.yaml"),
]


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
        from graphengine_nodes.diffusion.families.families import load_checkpoint
        from graphengine_nodes.diffusion.text.embeddings import embedding_files
        from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

        checkpoint = open_checkpoint(context.folders.path("checkpoints", ckpt_name))
        return load_checkpoint(checkpoint, context.device, embedding_files(context.folders))


class CheckpointLoader:
    """Loads a checkpoint, and takes from the name of a configuration what the file does not say.

    That is whether an SD2.x model predicts the velocity, and the text layer that is used. Everything else, such as
    the sizes of the networks, is read from the file.
    """

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("MODEL", "CLIP", "VAE")
    FUNCTION: ClassVar[str] = "load"
    CATEGORY: ClassVar[str] = "advanced/loaders"
    DEPRECATED: ClassVar[bool] = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {"config_name": (_CONFIGURATIONS,), "ckpt_name": (Files("checkpoints"),)},
            "hidden": {"context": CONTEXT},
        }

    def load(
        self, *, config_name: str, ckpt_name: str, context: NodeContext
    ) -> tuple[DiffusionModel, TextEncoder | None, VAE | None]:
        """MODEL, CLIP and VAE; CLIP and VAE are None when the file holds none."""
        from graphengine_nodes.diffusion.families.configurations import configured

        return configured(config_name, *CheckpointLoaderSimple().load(ckpt_name=ckpt_name, context=context))


class VAELoader:
    """Loads a VAE from a file of its own."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("VAE",)
    FUNCTION: ClassVar[str] = "load"
    CATEGORY: ClassVar[str] = "loaders"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {"vae_name": (Files("vae", also=(_PIXEL_SPACE,), also_last=True),)},
            "hidden": {"context": CONTEXT},
        }

    def load(self, *, vae_name: str, context: NodeContext) -> tuple[VAE]:
        """The VAE; "pixel_space" is one whose latents are the pictures."""
        from graphengine_nodes.diffusion.vae.pixel_space import pixel_space
        from graphengine_nodes.diffusion.vae.vae import load_vae_file
        from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

        if vae_name == _PIXEL_SPACE:
            return (pixel_space(context.device),)
        return (load_vae_file(open_checkpoint(context.folders.path("vae", vae_name)), context.device),)


class CLIPLoader:
    """Loads a text encoder of one file."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("CLIP",)
    FUNCTION: ClassVar[str] = "load"
    CATEGORY: ClassVar[str] = "advanced/loaders"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {"clip_name": (Files("text_encoders"),), "type": (_SINGLE_TYPES,)},
            "optional": {"device": _DEVICE},
            "hidden": {"context": CONTEXT},
        }

    def load(
        self, *, clip_name: str, type: str, context: NodeContext, device: str = "default"
    ) -> tuple[TextEncoder]:
        """The CLIP."""
        return (_text_encoder(type, [clip_name], device, context),)


class DualCLIPLoader:
    """Loads a text encoder of two files, in either order."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("CLIP",)
    FUNCTION: ClassVar[str] = "load"
    CATEGORY: ClassVar[str] = "advanced/loaders"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        file = (Files("text_encoders"),)
        return {
            "required": {"clip_name1": file, "clip_name2": file, "type": (_DUAL_TYPES,)},
            "optional": {"device": _DEVICE},
            "hidden": {"context": CONTEXT},
        }

    def load(
        self, *, clip_name1: str, clip_name2: str, type: str, context: NodeContext, device: str = "default"
    ) -> tuple[TextEncoder]:
        """The CLIP."""
        return (_text_encoder(type, [clip_name1, clip_name2], device, context),)


def _text_encoder(kind: str, names: Sequence[str], device: str, context: NodeContext) -> TextEncoder:
    from graphengine_nodes.diffusion.text.clip_files import EncoderFiles
    from graphengine_nodes.diffusion.text.clip_types import load_encoder
    from graphengine_nodes.diffusion.text.embeddings import embedding_files
    from graphengine_nodes.diffusion.text.text_towers.vocabularies import tokenizer_files
    from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

    checkpoints = tuple(open_checkpoint(context.folders.path("text_encoders", name)) for name in names)
    place = "cpu" if device == "cpu" else context.device
    folders = context.folders
    files = EncoderFiles(checkpoints, place, embedding_files(folders), tokenizer_files(folders))
    return load_encoder(kind, files)


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
        from graphengine_nodes.diffusion.vae.vae import as_pictures, require_vae

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
        from graphengine_nodes.diffusion.vae.vae import require_vae

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
        from graphengine_nodes.diffusion.vae.vae import encode_for_inpaint, require_vae

        return (encode_for_inpaint(require_vae(vae), pixels, mask, grow_mask_by, context.check_cancelled),)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "CheckpointLoaderSimple": CheckpointLoaderSimple,
    "CheckpointLoader": CheckpointLoader,
    "VAELoader": VAELoader,
    "CLIPLoader": CLIPLoader,
    "DualCLIPLoader": DualCLIPLoader,
    "VAEDecode": VAEDecode,
    "VAEEncode": VAEEncode,
    "VAEEncodeForInpaint": VAEEncodeForInpaint,
}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "CheckpointLoaderSimple": "Load Checkpoint",
    "CheckpointLoader": "Load Checkpoint With Config (DEPRECATED)",
    "VAELoader": "Load VAE",
    "CLIPLoader": "Load CLIP",
    "DualCLIPLoader": "DualCLIPLoader",
    "VAEDecode": "VAE Decode",
    "VAEEncode": "VAE Encode",
    "VAEEncodeForInpaint": "VAE Encode (for Inpainting)",
}
