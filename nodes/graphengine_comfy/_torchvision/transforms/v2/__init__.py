"""The transforms under their newer names."""

import torch
from torch import Tensor

from graphengine_comfy._placeholders import placeholders_of
from graphengine_comfy._torchvision.transforms import (
    CenterCrop,
    Compose,
    ConvertImageDtype,
    GaussianBlur,
    Grayscale,
    InterpolationMode,
    Lambda,
    Normalize,
    Pad,
    PILToTensor,
    Resize,
    ToPILImage,
    ToTensor,
    functional,
)
from graphengine_comfy._torchvision.transforms.functional import Picture, pil_to_tensor

__all__ = [
    "CenterCrop",
    "Compose",
    "ConvertImageDtype",
    "GaussianBlur",
    "Grayscale",
    "InterpolationMode",
    "Lambda",
    "Normalize",
    "PILToTensor",
    "Pad",
    "Resize",
    "ToDtype",
    "ToImage",
    "ToPILImage",
    "ToTensor",
    "functional",
]


class ToImage(torch.nn.Module):
    """Makes a tensor (C, H, W) of a PIL picture, with its numbers."""

    def forward(self, inpt: Picture) -> Tensor:
        """The tensor."""
        return inpt if isinstance(inpt, Tensor) else pil_to_tensor(inpt)


class ToDtype(torch.nn.Module):
    """Changes the type of a tensor's numbers; with `scale` their range too."""

    def __init__(self, dtype: torch.dtype, scale: bool = False) -> None:
        super().__init__()
        self.dtype, self.scale = dtype, scale

    def forward(self, inpt: Tensor) -> Tensor:
        """The converted tensor."""
        return functional.convert_image_dtype(inpt, self.dtype) if self.scale else inpt.to(self.dtype)


__getattr__ = placeholders_of(__name__)
