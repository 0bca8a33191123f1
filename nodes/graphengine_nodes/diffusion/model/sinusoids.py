"""Numbers as sinusoids, as transformers and diffusion models are told positions, times and sizes."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def sinusoids(values: Tensor, numbers: int) -> Tensor:
    """Values (N,) as cosines and sines of falling frequency (N, numbers); Vaswani et al. (2017), section 3.5."""
    half = numbers // 2
    frequencies = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32) / half)
    angles = values[:, None].float() * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1)
