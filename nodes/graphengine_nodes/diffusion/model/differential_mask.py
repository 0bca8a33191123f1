"""A noise mask in grey levels as the times at which places begin to be painted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class DifferentialMask:
    """Differential diffusion of Levin and Fried (2023), algorithm 1, as a "denoise_mask_function".

    At each step the places are painted whose mask is at least the part of the run's time that is left. strength:
    the share of that mask; the rest is the given one.
    """

    strength: float = 1.0

    # Any: "model" is what a pack's function would be given, a view of the model by ComfyUI's names.
    def __call__(self, sigma: Tensor, mask: Tensor, extra_options: Mapping[str, Any]) -> Tensor:
        """The mask (B, 1, …, H, W) at this noise level."""
        sampling = extra_options["model"].inner_model.model_sampling
        levels: Tensor = extra_options["sigmas"]
        last = torch.maximum(levels[-1], sampling.sigma_min.to(levels.device))
        begin, end, now = (float(sampling.timestep(level)) for level in (levels[0], last, sigma[0]))
        left = (now - end) / (begin - end) if begin != end else 0.0
        painted = (mask >= left).to(mask.dtype)
        return painted if self.strength >= 1 else self.strength * painted + (1 - self.strength) * mask
