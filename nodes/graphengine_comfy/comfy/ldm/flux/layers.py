"""Parts of Flux's network that packs use in networks of their own."""

import math
from typing import TYPE_CHECKING

from graphengine_comfy._placeholders import placeholders_of

if TYPE_CHECKING:
    from torch import Tensor


def timestep_embedding(t: "Tensor", dim: int, max_period: float = 10000, time_factor: float = 1000.0) -> "Tensor":
    """Cosines and sines of times at falling frequencies (Vaswani et al., 2017): (N,) gives (N, dim)."""
    import torch  # packs of plain Python import this too

    half = dim // 2
    steps = torch.arange(half, dtype=torch.float32, device=t.device)
    angles = (time_factor * t)[:, None].float() * torch.exp(-math.log(max_period) * steps / half)[None]
    embedding = torch.nn.functional.pad(torch.cat([angles.cos(), angles.sin()], -1), (0, dim % 2))
    return embedding.to(t) if t.is_floating_point() else embedding


__getattr__ = placeholders_of(__name__)
