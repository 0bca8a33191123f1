"""Changes to the states of a UNet between its blocks; each is a patch for unet.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from graphengine_nodes.diffusion.model.frequencies import filtered
from graphengine_nodes.image.scaling import resize

Options = Mapping[str, Any]
"""ComfyUI's "transformer_options", as a patch is given them."""

_LOWEST = 1
"""FreeU damps the lowest frequency and its neighbours, up to this distance."""


def scaled_low_frequencies(x: Tensor, scale: float) -> Tensor:
    """x (B, C, H, W) with its low spatial frequencies times scale; Si et al. (2023), "FreeU"."""
    sizes = x.shape[-2:]
    weights = torch.ones(sizes, device=x.device)
    rows, columns = (slice(max(size // 2 - _LOWEST, 0), size // 2 + _LOWEST) for size in sizes)
    weights[rows, columns] = scale
    return filtered(x, weights)


def amplified(h: Tensor, factor: float) -> Tensor:
    """h (B, C, H, W) with the first half of its channels times factor."""
    half = h.shape[1] // 2
    return torch.cat([h[:, :half] * factor, h[:, half:]], dim=1)


def amplified_by_content(h: Tensor, factor: float) -> Tensor:
    """h with the first half of its channels times 1..factor, by the mean over channels at each place.

    The mean is stretched to 0..1 for each sample; the second version of FreeU, Si et al. (2023).
    """
    mean = h.mean(dim=1, keepdim=True)
    low, high = mean.amin(dim=(1, 2, 3), keepdim=True), mean.amax(dim=(1, 2, 3), keepdim=True)
    # a state that is the same everywhere is amplified nowhere
    place = (mean - low) / (high - low).clamp(min=torch.finfo(mean.dtype).tiny)
    half = h.shape[1] // 2
    return torch.cat([h[:, :half] * ((factor - 1.0) * place + 1.0), h[:, half:]], dim=1)


@dataclass(frozen=True, slots=True)
class FreeU:
    """An output block patch: stronger backbone, weaker low frequencies of the skip connection; Si et al. (2023).

    factors: (b, s) by the number of channels of the backbone's state; blocks of other widths stay as they are.
    """

    factors: Mapping[int, tuple[float, float]]
    amplify: Callable[[Tensor, float], Tensor] = amplified

    def __call__(self, h: Tensor, skip: Tensor, options: Options) -> tuple[Tensor, Tensor]:
        """The changed state and skip connection."""
        factors = self.factors.get(h.shape[1])
        if factors is None:
            return h, skip
        backbone, low = factors
        return self.amplify(h, backbone), scaled_low_frequencies(skip, low)


@dataclass(frozen=True, slots=True)
class Shrunk:
    """An input block patch: from one block on the state is smaller, while sigma is in a range; "deep shrink".

    Large pictures are laid out as small ones are, as in the public notes of Kohya (2023).
    """

    block: int
    factor: float
    method: str
    sigma_start: float
    sigma_end: float

    def __call__(self, h: Tensor, options: Options) -> Tensor:
        """h at 1 / factor of its size, at least 1 x 1."""
        if (
            options["block"][1] != self.block
            or not self.sigma_end <= float(options["sigmas"][0]) <= self.sigma_start
        ):
            return h
        height, width = (max(1, round(size / self.factor)) for size in h.shape[-2:])
        return resize(h, width, height, self.method)


@dataclass(frozen=True, slots=True)
class FittedToSkip:
    """An output block patch: the state takes the size of the skip connection that it is joined with."""

    method: str

    def __call__(self, h: Tensor, skip: Tensor, options: Options) -> tuple[Tensor, Tensor]:
        """The state in the size of the skip connection, and that."""
        if h.shape[-2:] != skip.shape[-2:]:
            h = resize(h, skip.shape[-1], skip.shape[-2], self.method)
        return h, skip
