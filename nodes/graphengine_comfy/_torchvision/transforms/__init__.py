"""Transforms of pictures as objects: PIL pictures, or tensors of shape (…, C, H, W)."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from graphengine_comfy._placeholders import placeholders_of
from graphengine_comfy._torchvision.transforms import functional
from graphengine_comfy._torchvision.transforms.functional import InterpolationMode, Picture, Sizes

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
    "ToPILImage",
    "ToTensor",
    "functional",
]


class Compose:
    """Transforms one after the other."""

    # Any throughout: a chain may change pictures to tensors and back.
    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = list(transforms)

    def __call__(self, img: Any) -> Any:
        """The picture after all of them."""
        for transform in self.transforms:
            img = transform(img)
        return img


class Lambda:
    """A function as a transform."""

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        self.lambd = lambd

    def __call__(self, img: Any) -> Any:
        """What the function gives."""
        return self.lambd(img)


class Resize(torch.nn.Module):
    """Scales to a size (height, width), or the smaller edge to one number."""

    def __init__(
        self,
        size: Sizes,
        interpolation: InterpolationMode = InterpolationMode.BILINEAR,
        max_size: int | None = None,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.size, self.interpolation, self.max_size = size, interpolation, max_size
        self.antialias = antialias

    def forward(self, img: Picture) -> Picture:
        """The scaled picture."""
        return functional.resize(img, self.size, self.interpolation, self.max_size, self.antialias)


class CenterCrop(torch.nn.Module):
    """Cuts the middle out; a smaller picture gets a black border."""

    def __init__(self, size: Sizes) -> None:
        super().__init__()
        self.size = size

    def forward(self, img: Picture) -> Picture:
        """The middle."""
        return functional.center_crop(img, self.size)


class Pad(torch.nn.Module):
    """Adds a border: left, top, right, bottom; or two numbers, or one."""

    def __init__(self, padding: Sizes, fill: float = 0, padding_mode: str = "constant") -> None:
        super().__init__()
        self.padding, self.fill, self.padding_mode = padding, fill, padding_mode

    def forward(self, img: Picture) -> Picture:
        """The picture with its border."""
        return functional.pad(img, self.padding, self.fill, self.padding_mode)


class Normalize(torch.nn.Module):
    """Subtracts a mean from each channel and divides by a deviation."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> None:
        super().__init__()
        self.mean, self.std, self.inplace = mean, std, inplace

    def forward(self, tensor: Tensor) -> Tensor:
        """The normalized tensor."""
        return functional.normalize(tensor, self.mean, self.std, self.inplace)


class GaussianBlur(torch.nn.Module):
    """Blurs; of two deviations one between them is drawn each time."""

    def __init__(self, kernel_size: Sizes, sigma: float | Sequence[float] = (0.1, 2.0)) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.sigma = (float(sigma),) * 2 if isinstance(sigma, int | float) else tuple(map(float, sigma))

    def forward(self, img: Tensor) -> Tensor:
        """The blurred picture."""
        sigma = float(torch.empty(1).uniform_(self.sigma[0], self.sigma[1]))
        return functional.gaussian_blur(img, self.kernel_size, [sigma, sigma])


class Grayscale(torch.nn.Module):
    """The brightness of colours, in one channel or in three alike."""

    def __init__(self, num_output_channels: int = 1) -> None:
        super().__init__()
        self.num_output_channels = num_output_channels

    def forward(self, img: Picture) -> Picture:
        """The grey picture."""
        return functional.rgb_to_grayscale(img, self.num_output_channels)


class ToTensor:
    """Makes a tensor (C, H, W) in 0..1 of a PIL picture or an array (H, W, C)."""

    def __call__(self, pic: Any) -> Tensor:
        """The tensor."""
        return functional.to_tensor(pic)


class PILToTensor:
    """Makes a tensor (C, H, W) of a PIL picture, with its numbers."""

    def __call__(self, pic: Any) -> Tensor:
        """The tensor."""
        return functional.pil_to_tensor(pic)


class ToPILImage:
    """Makes a PIL picture of a tensor (C, H, W) in 0..1 or of bytes, or of an array (H, W, C)."""

    def __init__(self, mode: str | None = None) -> None:
        self.mode = mode

    def __call__(self, pic: Any) -> Any:
        """The picture."""
        return functional.to_pil_image(pic, self.mode)


class ConvertImageDtype(torch.nn.Module):
    """Changes the type of a tensor's numbers, and their range with it: 0..1 or 0..255."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, image: Tensor) -> Tensor:
        """The converted tensor."""
        return functional.convert_image_dtype(image, self.dtype)


_placeholder = placeholders_of(__name__)


def __getattr__(name: str) -> Any:
    """The module `v2`, which imports this one; a placeholder for all else."""
    return importlib.import_module(f"{__name__}.v2") if name == "v2" else _placeholder(name)
