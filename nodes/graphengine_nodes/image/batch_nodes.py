"""Nodes that make, join and take apart batches of pictures: thin classes over `batches`.

Definitions are read without running anything, so this module imports no torch; the functions it calls are imported
where a node runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

# Any throughout: INPUT_TYPES is ComfyUI's open-ended form.


class EmptyImage:
    """Pictures of one colour."""

    CATEGORY = "image"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "make"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "width": ("INT", {"default": 512, "min": 1, "max": 16384, "step": 1}),
                "height": ("INT", {"default": 512, "min": 1, "max": 16384, "step": 1}),
                "batch_size": ("INT", {"default": 1, "min": 1, "max": 4096}),
                "color": ("INT", {"default": 0, "min": 0, "max": 16777215, "step": 1, "display": "color"}),
            },
        }

    def make(self, width: int, height: int, batch_size: int, color: int) -> tuple[Tensor]:
        """IMAGE (batch_size, height, width, 3)."""
        from .batches import empty_images  # brings torch

        return (empty_images(width, height, batch_size, color),)


class ImageBatch:
    """Two batches of pictures as one."""

    CATEGORY = "image"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "join"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "image1": ("IMAGE",),
                "image2": ("IMAGE",),
            },
        }

    def join(self, image1: Tensor, image2: Tensor) -> tuple[Tensor]:
        """IMAGE with the pictures of both, in the size of the first, see `join_images`."""
        from .batches import join_images  # brings torch

        return (join_images(image1, image2),)


class ImageFromBatch:
    """Some pictures of a batch."""

    CATEGORY = "image/batch"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "pick"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "image": ("IMAGE",),
                "batch_index": ("INT", {"default": 0, "min": 0, "max": 4095}),
                "length": ("INT", {"default": 1, "min": 1, "max": 4096}),
            },
        }

    def pick(self, image: Tensor, batch_index: int, length: int) -> tuple[Tensor]:
        """IMAGE (up to length, H, W, C) from batch_index on."""
        from .batches import images_from_batch  # brings torch

        return (images_from_batch(image, batch_index, length),)


class RepeatImageBatch:
    """A batch of pictures again and again."""

    CATEGORY = "image/batch"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "repeat"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "image": ("IMAGE",),
                "amount": ("INT", {"default": 1, "min": 1, "max": 4096}),
            },
        }

    def repeat(self, image: Tensor, amount: int) -> tuple[Tensor]:
        """IMAGE (B * amount, H, W, C)."""
        from .batches import repeat_images  # brings torch

        return (repeat_images(image, amount),)


class RebatchImages:
    """Pictures in batches of another size."""

    CATEGORY = "image/batch"
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "rebatch"
    INPUT_IS_LIST = True
    OUTPUT_IS_LIST = (True,)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "images": ("IMAGE",),
                "batch_size": ("INT", {"default": 1, "min": 1, "max": 4096}),
            },
        }

    def rebatch(self, images: list[Tensor], batch_size: list[int]) -> tuple[list[Tensor]]:
        """IMAGEs of batch_size pictures each; the last may hold fewer."""
        from .batches import rebatch_images  # brings torch

        return (rebatch_images(images, batch_size[0]),)


class GetImageSize:
    """How large pictures are, and how many."""

    CATEGORY = "image"
    RETURN_TYPES = ("INT", "INT", "INT")
    RETURN_NAMES = ("width", "height", "batch_size")
    FUNCTION = "measure"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {
                "image": ("IMAGE",),
            },
            "hidden": {
                "unique_id": "UNIQUE_ID",
            },
        }

    def measure(self, image: Tensor, unique_id: str | None = None) -> tuple[int, int, int]:
        """Width and height in pixels, and the number of pictures."""
        batch, height, width, _ = image.shape
        return width, height, batch


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "EmptyImage": EmptyImage,
    "ImageBatch": ImageBatch,
    "ImageFromBatch": ImageFromBatch,
    "RepeatImageBatch": RepeatImageBatch,
    "RebatchImages": RebatchImages,
    "GetImageSize": GetImageSize,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "EmptyImage": "EmptyImage",
    "ImageBatch": "Batch Images",
    "ImageFromBatch": "ImageFromBatch",
    "RepeatImageBatch": "RepeatImageBatch",
    "RebatchImages": "Rebatch Images",
    "GetImageSize": "Get Image Size",
}
