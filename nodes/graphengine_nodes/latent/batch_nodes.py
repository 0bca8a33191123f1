"""Nodes for batches of latents: thin classes over `batches`.

Definitions are read without running anything, so this module imports no torch; the functions it calls are imported
where a node runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphengine_nodes.diffusion.model.model import Latent

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.


class LatentBatch:
    """Two batches of latents as one."""

    CATEGORY = "latent/batch"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "join"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "samples1": ("LATENT",),
                "samples2": ("LATENT",),
            },
        }

    def join(self, samples1: Latent, samples2: Latent) -> tuple[Latent]:
        """LATENT with both, in the size of the first."""
        from .batches import join_latents  # brings torch

        return (join_latents(samples1, samples2),)


class LatentFromBatch:
    """Some latents of a batch."""

    CATEGORY = "latent/batch"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "pick"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "samples": ("LATENT",),
                "batch_index": ("INT", {"default": 0, "min": 0, "max": 63}),
                "length": ("INT", {"default": 1, "min": 1, "max": 64}),
            },
        }

    def pick(self, samples: Latent, batch_index: int, length: int) -> tuple[Latent]:
        """LATENT of up to `length` from batch_index on."""
        from .batches import latents_from_batch  # brings torch

        return (latents_from_batch(samples, batch_index, length),)


class RepeatLatentBatch:
    """A batch of latents again and again."""

    CATEGORY = "latent/batch"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "repeat"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "samples": ("LATENT",),
                "amount": ("INT", {"default": 1, "min": 1, "max": 64}),
            },
        }

    def repeat(self, samples: Latent, amount: int) -> tuple[Latent]:
        """LATENT (B * amount, …)."""
        from .batches import repeat_latents  # brings torch

        return (repeat_latents(samples, amount),)


class RebatchLatents:
    """Latents in batches of another size."""

    CATEGORY = "latent/batch"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "rebatch"
    INPUT_IS_LIST = True
    OUTPUT_IS_LIST = (True,)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "latents": ("LATENT",),
                "batch_size": ("INT", {"default": 1, "min": 1, "max": 4096}),
            },
        }

    def rebatch(self, latents: list[Latent], batch_size: list[int]) -> tuple[list[Latent]]:
        """LATENTs of up to batch_size each."""
        from .batches import rebatch_latents  # brings torch

        return (rebatch_latents(latents, batch_size[0]),)


class LatentBatchSeedBehavior:
    """A batch whose latents get the same noise, or each its own."""

    CATEGORY = "latent/advanced"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "set_behavior"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "samples": ("LATENT",),
                "seed_behavior": (
                    "COMBO",
                    {"default": "fixed", "multiselect": False, "options": ["random", "fixed"]},
                ),
            },
        }

    def set_behavior(self, samples: Latent, seed_behavior: str) -> tuple[Latent]:
        """LATENT with other places in the batch."""
        from .batches import with_seed_behavior  # brings torch

        return (with_seed_behavior(samples, seed_behavior),)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "LatentBatch": LatentBatch,
    "LatentFromBatch": LatentFromBatch,
    "RepeatLatentBatch": RepeatLatentBatch,
    "RebatchLatents": RebatchLatents,
    "LatentBatchSeedBehavior": LatentBatchSeedBehavior,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "LatentBatch": "LatentBatch",
    "LatentFromBatch": "Latent From Batch",
    "RepeatLatentBatch": "Repeat Latent Batch",
    "RebatchLatents": "Rebatch Latents",
    "LatentBatchSeedBehavior": "LatentBatchSeedBehavior",
}
