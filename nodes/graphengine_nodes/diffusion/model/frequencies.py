"""Latents and states with their spatial frequencies weighted."""

from __future__ import annotations

import torch
from torch import Tensor


def filtered(x: Tensor, weights: Tensor) -> Tensor:
    """x (…, H, W) with each frequency times its weight.

    weights: (H, W), the lowest frequency at (H // 2, W // 2), higher ones farther from there.
    """
    spectrum = torch.fft.fftshift(torch.fft.fftn(x.float(), dim=(-2, -1)), dim=(-2, -1))
    result: Tensor = torch.fft.ifftn(torch.fft.ifftshift(spectrum * weights, dim=(-2, -1)), dim=(-2, -1))
    return result.real.to(x.dtype)
