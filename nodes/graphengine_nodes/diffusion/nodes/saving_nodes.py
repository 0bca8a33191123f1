"""The nodes that write models to files; thin classes over `saving`.

Definitions are read without running anything, so this module imports no torch; the functions it calls are imported
where a node runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from graphengine.node.api import CONTEXT, NodeContext

if TYPE_CHECKING:
    from torch import Tensor

    from graphengine_nodes.diffusion.lora.extraction import Kind
    from graphengine_nodes.diffusion.lora.saving import Tensors
    from graphengine_nodes.diffusion.model.model import DiffusionModel
    from graphengine_nodes.diffusion.text.text_encode import TextEncoder
    from graphengine_nodes.diffusion.vae.autoencoder import VAE
    from graphengine_nodes.diffusion.vision.vision import ClipVision

# Any throughout: INPUT_TYPES and the documents of the editor are ComfyUI's open-ended forms.

Documents = Mapping[str, Any] | None


def _inputs(prefix: str, **models: tuple[str]) -> dict[str, Any]:
    return {
        "required": {**models, "filename_prefix": ("STRING", {"default": prefix})},
        "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO", "context": CONTEXT},
    }


def _save(
    tensors: Tensors, prefix: str, context: NodeContext, prompt: Documents, extra: Documents, ending: str = ""
) -> dict[str, str]:
    from graphengine_nodes.diffusion.lora.saving import save_tensors  # brings torch

    file = save_tensors(
        tensors,
        context.folders.output,
        prefix,
        ending=ending,
        prompt=prompt,
        extra=extra,
        check=context.check_cancelled,
    )
    return {**file, "type": "output"}


def _written(*files: dict[str, str]) -> dict[str, Any]:
    """The message of a node that wrote files: so the engine sees when one of them is gone."""
    return {"ui": {"models": list(files)}}


class CheckpointSave:
    """Writes a diffusion model, its text encoder and its VAE to one file, which CheckpointLoaderSimple loads."""

    CATEGORY = "advanced/model_merging"
    RETURN_TYPES = ()
    FUNCTION = "save"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return _inputs("checkpoints/ComfyUI", model=("MODEL",), clip=("CLIP",), vae=("VAE",))

    def save(
        self,
        model: DiffusionModel,
        clip: TextEncoder | None,
        vae: VAE | None,
        filename_prefix: str,
        context: NodeContext,
        prompt: Documents = None,
        extra_pnginfo: Documents = None,
    ) -> dict[str, Any]:
        """The name of the file, for the engine."""
        from graphengine_nodes.diffusion.lora.saving import checkpoint_tensors  # brings torch

        tensors = checkpoint_tensors(model, clip, vae)
        return _written(_save(tensors, filename_prefix, context, prompt, extra_pnginfo))


class ImageOnlyCheckpointSave:
    """Writes a diffusion model that is told pictures, its image encoder and its VAE to one file.

    ImageOnlyCheckpointLoader loads it.
    """

    CATEGORY = "advanced/model_merging"
    RETURN_TYPES = ()
    FUNCTION = "save"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return _inputs("checkpoints/ComfyUI", model=("MODEL",), clip_vision=("CLIP_VISION",), vae=("VAE",))

    def save(
        self,
        model: DiffusionModel,
        clip_vision: ClipVision | None,
        vae: VAE | None,
        filename_prefix: str,
        context: NodeContext,
        prompt: Documents = None,
        extra_pnginfo: Documents = None,
    ) -> dict[str, Any]:
        """The name of the file, for the engine."""
        from graphengine_nodes.diffusion.lora.saving import image_only_tensors  # brings torch

        tensors = image_only_tensors(model, clip_vision, vae)
        return _written(_save(tensors, filename_prefix, context, prompt, extra_pnginfo))


class ModelSave:
    """Writes a diffusion model to a file, which UNETLoader loads."""

    CATEGORY = "advanced/model_merging"
    RETURN_TYPES = ()
    FUNCTION = "save"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return _inputs("diffusion_models/ComfyUI", model=("MODEL",))

    def save(
        self,
        model: DiffusionModel,
        filename_prefix: str,
        context: NodeContext,
        prompt: Documents = None,
        extra_pnginfo: Documents = None,
    ) -> dict[str, Any]:
        """The name of the file, for the engine."""
        from graphengine_nodes.diffusion.lora.saving import model_tensors  # brings torch

        return _written(_save(model_tensors(model), filename_prefix, context, prompt, extra_pnginfo))


class CLIPSave:
    """Writes each text tower to a file, which the CLIP loaders load."""

    CATEGORY = "advanced/model_merging"
    RETURN_TYPES = ()
    FUNCTION = "save"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return _inputs("clip/ComfyUI", clip=("CLIP",))

    def save(
        self,
        clip: TextEncoder | None,
        filename_prefix: str,
        context: NodeContext,
        prompt: Documents = None,
        extra_pnginfo: Documents = None,
    ) -> dict[str, Any]:
        """The names of the files, for the engine."""
        from graphengine_nodes.diffusion.lora.saving import tower_files  # brings torch
        from graphengine_nodes.diffusion.text.text_encode import require_clip

        return _written(
            *(
                _save(tensors, filename_prefix, context, prompt, extra_pnginfo, tower)
                for tower, tensors in tower_files(require_clip(clip)).items()
            )
        )


class VAESave:
    """Writes a VAE to a file, which VAELoader loads."""

    CATEGORY = "advanced/model_merging"
    RETURN_TYPES = ()
    FUNCTION = "save"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return _inputs("vae/ComfyUI_vae", vae=("VAE",))

    def save(
        self,
        vae: VAE | None,
        filename_prefix: str,
        context: NodeContext,
        prompt: Documents = None,
        extra_pnginfo: Documents = None,
    ) -> dict[str, Any]:
        """The name of the file, for the engine."""
        from graphengine_nodes.diffusion.lora.saving import vae_tensors  # brings torch
        from graphengine_nodes.diffusion.vae.vae import require_vae

        return _written(_save(vae_tensors(require_vae(vae)), filename_prefix, context, prompt, extra_pnginfo))


class LoraSave:
    """Writes the difference of two models, and of their text encoders, to a LoRA file."""

    CATEGORY = "_for_testing"
    RETURN_TYPES = ()
    FUNCTION = "save"
    OUTPUT_NODE = True
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        prefix = {"default": "loras/ComfyUI_extracted_lora", "multiline": False}
        return {
            "required": {
                "filename_prefix": ("STRING", prefix),
                "rank": ("INT", {"default": 8, "min": 1, "max": 4096, "step": 1}),
                "lora_type": ("COMBO", {"multiselect": False, "options": ["standard", "full_diff"]}),
                "bias_diff": ("BOOLEAN", {"default": True}),
            },
            "optional": {"model_diff": ("MODEL", {}), "text_encoder_diff": ("CLIP", {})},
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO", "context": CONTEXT},
        }

    def save(
        self,
        filename_prefix: str,
        rank: int,
        lora_type: Kind,
        bias_diff: bool,
        context: NodeContext,
        model_diff: DiffusionModel | None = None,
        text_encoder_diff: TextEncoder | None = None,
        prompt: Documents = None,
        extra_pnginfo: Documents = None,
    ) -> dict[str, Any]:
        """The name of the file, for the engine; nothing is written when neither difference is given."""
        from graphengine_nodes.diffusion.lora.extraction import extracted_lora  # brings torch

        tensors = extracted_lora(
            model_diff, text_encoder_diff, lora_type, rank, biases=bias_diff, check=context.check_cancelled
        )
        return _written(_save(tensors, filename_prefix, context, prompt, extra_pnginfo)) if tensors else {}


class SaveLoRANode:
    """Writes a LoRA that a node gives to a file."""

    CATEGORY = "loaders"
    RETURN_TYPES = ()
    FUNCTION = "save"
    OUTPUT_NODE = True
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "lora": ("LORA_MODEL", {}),
                "prefix": ("STRING", {"default": "loras/ComfyUI_trained_lora"}),
            },
            "optional": {"steps": ("INT", {"forceInput": True})},
            "hidden": {"context": CONTEXT},
        }

    def save(
        self, lora: Mapping[str, Tensor], prefix: str, context: NodeContext, steps: int | None = None
    ) -> dict[str, Any]:
        """The name of the file, for the engine; the number of steps, if given, stands in it."""
        from graphengine_nodes.diffusion.lora.saving import given  # brings torch

        tensors = {name: given(tensor.cpu()) for name, tensor in lora.items()}
        return _written(_save(tensors, prefix, context, None, None, "" if steps is None else f"{steps}_steps"))


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "CheckpointSave": CheckpointSave,
    "ImageOnlyCheckpointSave": ImageOnlyCheckpointSave,
    "ModelSave": ModelSave,
    "CLIPSave": CLIPSave,
    "VAESave": VAESave,
    "LoraSave": LoraSave,
    "SaveLoRANode": SaveLoRANode,
}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "CheckpointSave": "Save Checkpoint",
    "LoraSave": "Extract and Save Lora",
    "SaveLoRANode": "Save LoRA Weights",
}
