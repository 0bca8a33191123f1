"""The nodes that mix models; thin classes over `merging`.

Definitions are read without running anything, so this module imports no torch; the functions it calls are imported
where a node runs. The nodes for one family differ in the names of its blocks only, which `_FAMILIES` lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from graphengine_nodes.diffusion.model.model import DiffusionModel
    from graphengine_nodes.diffusion.text.text_encode import TextEncoder

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.


def _ratio() -> tuple[str, dict[str, float]]:
    return ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.01})


def _multiplier() -> tuple[str, dict[str, float]]:
    return ("FLOAT", {"default": 1.0, "min": -10.0, "max": 10.0, "step": 0.01})


class ModelMergeSimple:
    """Mixes two diffusion models: ratio 1 is the first, 0 the second."""

    CATEGORY = "advanced/model_merging"
    RETURN_TYPES = ("MODEL",)
    FUNCTION = "merge"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"model1": ("MODEL",), "model2": ("MODEL",), "ratio": _ratio()}}

    def merge(self, model1: DiffusionModel, model2: DiffusionModel, ratio: float) -> tuple[DiffusionModel]:
        """The MODEL with weights first * ratio + second * (1 - ratio)."""
        from graphengine_nodes.diffusion.lora.merging import interpolation, merged_models  # brings torch

        return (merged_models(model1, model2, interpolation(ratio)),)


class ModelMergeSubtract:
    """What a diffusion model has over another, times a number: something to add to a third."""

    CATEGORY = "advanced/model_merging"
    RETURN_TYPES = ("MODEL",)
    FUNCTION = "merge"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"model1": ("MODEL",), "model2": ("MODEL",), "multiplier": _multiplier()}}

    def merge(self, model1: DiffusionModel, model2: DiffusionModel, multiplier: float) -> tuple[DiffusionModel]:
        """The MODEL with weights (first - second) * multiplier."""
        from graphengine_nodes.diffusion.lora.merging import difference, merged_models  # brings torch

        return (merged_models(model1, model2, difference(multiplier)),)


class ModelMergeAdd:
    """Adds the weights of a diffusion model, a difference of two others, to one."""

    CATEGORY = "advanced/model_merging"
    RETURN_TYPES = ("MODEL",)
    FUNCTION = "merge"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"model1": ("MODEL",), "model2": ("MODEL",)}}

    def merge(self, model1: DiffusionModel, model2: DiffusionModel) -> tuple[DiffusionModel]:
        """The MODEL with weights first + second."""
        from graphengine_nodes.diffusion.lora.merging import SUM, merged_models  # brings torch

        return (merged_models(model1, model2, SUM),)


class CLIPMergeSimple:
    """Mixes two text encoders: ratio 1 is the first, 0 the second."""

    CATEGORY = "advanced/model_merging"
    RETURN_TYPES = ("CLIP",)
    FUNCTION = "merge"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"clip1": ("CLIP",), "clip2": ("CLIP",), "ratio": _ratio()}}

    def merge(self, clip1: TextEncoder | None, clip2: TextEncoder | None, ratio: float) -> tuple[TextEncoder]:
        """The CLIP with weights first * ratio + second * (1 - ratio)."""
        from graphengine_nodes.diffusion.lora.merging import interpolation, merged_clips  # brings torch
        from graphengine_nodes.diffusion.text.text_encode import require_clip

        return (merged_clips(require_clip(clip1), require_clip(clip2), interpolation(ratio)),)


class CLIPMergeSubtract:
    """What a text encoder has over another, times a number: something to add to a third."""

    CATEGORY = "advanced/model_merging"
    RETURN_TYPES = ("CLIP",)
    FUNCTION = "merge"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"clip1": ("CLIP",), "clip2": ("CLIP",), "multiplier": _multiplier()}}

    def merge(self, clip1: TextEncoder | None, clip2: TextEncoder | None, multiplier: float) -> tuple[TextEncoder]:
        """The CLIP with weights (first - second) * multiplier."""
        from graphengine_nodes.diffusion.lora.merging import difference, merged_clips  # brings torch
        from graphengine_nodes.diffusion.text.text_encode import require_clip

        return (merged_clips(require_clip(clip1), require_clip(clip2), difference(multiplier)),)


class CLIPMergeAdd:
    """Adds the weights of a text encoder, a difference of two others, to one."""

    CATEGORY = "advanced/model_merging"
    RETURN_TYPES = ("CLIP",)
    FUNCTION = "merge"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {"required": {"clip1": ("CLIP",), "clip2": ("CLIP",)}}

    def merge(self, clip1: TextEncoder | None, clip2: TextEncoder | None) -> tuple[TextEncoder]:
        """The CLIP with weights first + second."""
        from graphengine_nodes.diffusion.lora.merging import SUM, merged_clips  # brings torch
        from graphengine_nodes.diffusion.text.text_encode import require_clip

        return (merged_clips(require_clip(clip1), require_clip(clip2), SUM),)


class ModelMergeBlocks:
    """Mixes two diffusion models with a ratio for each part; the first one is for all that has no part of its own.

    A weight belongs to the part whose name is the longest that its own name, in the model's files, begins with.
    """

    CATEGORY = "advanced/model_merging"
    RETURN_TYPES = ("MODEL",)
    FUNCTION = "merge"
    BLOCKS: ClassVar[tuple[str, ...]] = ("input", "middle", "out")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        models = {"model1": ("MODEL",), "model2": ("MODEL",)}
        return {"required": {**models, **{block: _ratio() for block in cls.BLOCKS}}}

    def merge(self, model1: DiffusionModel, model2: DiffusionModel, **ratios: float) -> tuple[DiffusionModel]:
        """The MODEL with weights first * ratio + second * (1 - ratio), the ratio being that of the block."""
        from graphengine_nodes.diffusion.lora.merging import by_block, merged_models  # brings torch

        return (merged_models(model1, model2, by_block(ratios, ratios[self.BLOCKS[0]])),)


_UNET = ("time_embed.", "label_emb.")
_MMDIT = ("pos_embed.", "x_embedder.", "context_embedder.", "y_embedder.", "t_embedder.")
_COSMOS = ("pos_embedder.", "extra_pos_embedder.", "x_embedder.", "t_embedder.", "affline_norm.")
_COSMOS_2 = ("pos_embedder.", "x_embedder.", "t_embedder.", "t_embedding_norm.")


def _numbered(form: str, count: int) -> tuple[str, ...]:
    """The names of blocks: `form` with "#" replaced by 0, 1, …"""
    return tuple(form.replace("#", str(number)) for number in range(count))


def _unet_blocks(form: str, count: int) -> tuple[str, ...]:
    parts = (("input_blocks", count), ("middle_block", 3), ("output_blocks", count))
    return tuple(name for part, blocks in parts for name in _numbered(f"{part}.{form}", blocks))


#: Class types for one family → the names of its parts, as in the files of that family.
_FAMILIES: Mapping[str, tuple[str, ...]] = {
    "ModelMergeSD1": (*_UNET, *_unet_blocks("#.", 12), "out."),
    "ModelMergeSD2": (*_UNET, *_unet_blocks("#.", 12), "out."),
    "ModelMergeSDXL": (*_UNET, *_unet_blocks("#", 9), "out."),
    "ModelMergeSD3_2B": (*_MMDIT, *_numbered("joint_blocks.#.", 24), "final_layer."),
    "ModelMergeSD35_Large": (*_MMDIT, *_numbered("joint_blocks.#.", 38), "final_layer."),
    "ModelMergeAuraflow": (
        *("init_x_linear.", "positional_encoding", "cond_seq_linear.", "register_tokens", "t_embedder."),
        *_numbered("double_layers.#.", 4),
        *_numbered("single_layers.#.", 32),
        *("modF.", "final_linear."),
    ),
    "ModelMergeFlux1": (
        *("img_in.", "time_in.", "guidance_in", "vector_in.", "txt_in."),
        *_numbered("double_blocks.#.", 19),
        *_numbered("single_blocks.#.", 38),
        "final_layer.",
    ),
    "ModelMergeMochiPreview": (
        *("pos_frequencies.", "t_embedder.", "t5_y_embedder.", "t5_yproj."),
        *_numbered("blocks.#.", 48),
        "final_layer.",
    ),
    "ModelMergeLTXV": (
        *("patchify_proj.", "adaln_single.", "caption_projection."),
        *_numbered("transformer_blocks.#.", 28),
        *("scale_shift_table", "proj_out."),
    ),
    "ModelMergeCosmos7B": (*_COSMOS, *_numbered("blocks.block#.", 28), "final_layer."),
    "ModelMergeCosmos14B": (*_COSMOS, *_numbered("blocks.block#.", 36), "final_layer."),
    "ModelMergeCosmosPredict2_2B": (*_COSMOS_2, *_numbered("blocks.#.", 28), "final_layer."),
    "ModelMergeCosmosPredict2_14B": (*_COSMOS_2, *_numbered("blocks.#.", 36), "final_layer."),
    "ModelMergeWAN2_1": (
        *("patch_embedding.", "time_embedding.", "time_projection.", "text_embedding.", "img_emb."),
        *_numbered("blocks.#.", 40),
        "head.",
    ),
    "ModelMergeQwenImage": (
        *("pos_embeds.", "img_in.", "txt_norm.", "txt_in.", "time_text_embed."),
        *_numbered("transformer_blocks.#.", 60),
        "proj_out.",
    ),
}


def _family_node(name: str, blocks: tuple[str, ...]) -> type:
    """`ModelMergeBlocks` with the blocks of one family."""
    members = {
        "__module__": __name__,
        "__doc__": "Mixes two diffusion models of one family with a ratio for each of its parts.",
        "BLOCKS": blocks,
        "CATEGORY": "advanced/model_merging/model_specific",
    }
    return type(name, (ModelMergeBlocks,), members)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "ModelMergeSimple": ModelMergeSimple,
    "ModelMergeBlocks": ModelMergeBlocks,
    "ModelMergeSubtract": ModelMergeSubtract,
    "ModelMergeAdd": ModelMergeAdd,
    "CLIPMergeSimple": CLIPMergeSimple,
    "CLIPMergeSubtract": CLIPMergeSubtract,
    "CLIPMergeAdd": CLIPMergeAdd,
    **{name: _family_node(name, blocks) for name, blocks in _FAMILIES.items()},
}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {}
