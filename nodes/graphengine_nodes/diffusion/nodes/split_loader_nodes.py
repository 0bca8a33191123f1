"""The nodes that load diffusion models and text encoders from files of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from graphengine.node.api import CONTEXT, Files, NodeContext

if TYPE_CHECKING:
    from graphengine_nodes.diffusion.model.model import DiffusionModel
    from graphengine_nodes.diffusion.text.text_encode import TextEncoder

# INPUT_TYPES is ComfyUI's: a nested dict whose values are of any kind, hence Any. Imports of torch and of the
# modules that need it stand inside the methods, so that listing nodes and checking workflows stay fast.

_FILE = (Files("text_encoders"),)


class UNETLoader:
    """Loads a diffusion model of any family from a file without text encoder and VAE."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("MODEL",)
    FUNCTION: ClassVar[str] = "load"
    CATEGORY: ClassVar[str] = "advanced/loaders"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        dtypes = ["default", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2"]
        return {
            "required": {"unet_name": (Files("diffusion_models"),), "weight_dtype": (dtypes,)},
            "hidden": {"context": CONTEXT},
        }

    def load(self, *, unet_name: str, weight_dtype: str, context: NodeContext) -> tuple[DiffusionModel]:
        """The MODEL; a weight_dtype other than "default" is what its weights are rounded to."""
        from graphengine_nodes.diffusion.families.split_loading import load_diffusion_model
        from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

        checkpoint = open_checkpoint(context.folders.path("diffusion_models", unet_name))
        return (load_diffusion_model(checkpoint, weight_dtype, context.device),)


class TripleCLIPLoader:
    """Loads the text encoders of SD3 from three files, in any order."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("CLIP",)
    FUNCTION: ClassVar[str] = "load"
    CATEGORY: ClassVar[str] = "advanced/loaders"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {"clip_name1": _FILE, "clip_name2": _FILE, "clip_name3": _FILE},
            "hidden": {"context": CONTEXT},
        }

    def load(
        self, *, clip_name1: str, clip_name2: str, clip_name3: str, context: NodeContext
    ) -> tuple[TextEncoder]:
        """The CLIP."""
        from graphengine_nodes.diffusion.families.split_loading import load_text_encoders

        return (load_text_encoders("sd3", [clip_name1, clip_name2, clip_name3], context),)


class QuadrupleCLIPLoader:
    """Loads the text encoders of HiDream from four files, in any order."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("CLIP",)
    FUNCTION: ClassVar[str] = "load"
    CATEGORY: ClassVar[str] = "advanced/loaders"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        names = ("clip_name1", "clip_name2", "clip_name3", "clip_name4")
        return {"required": dict.fromkeys(names, _FILE), "hidden": {"context": CONTEXT}}

    def load(
        self, *, clip_name1: str, clip_name2: str, clip_name3: str, clip_name4: str, context: NodeContext
    ) -> tuple[TextEncoder]:
        """The CLIP."""
        from graphengine_nodes.diffusion.families.split_loading import load_text_encoders

        names = [clip_name1, clip_name2, clip_name3, clip_name4]
        return (load_text_encoders("hidream", names, context),)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "UNETLoader": UNETLoader,
    "TripleCLIPLoader": TripleCLIPLoader,
    "QuadrupleCLIPLoader": QuadrupleCLIPLoader,
}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {"UNETLoader": "Load Diffusion Model"}
