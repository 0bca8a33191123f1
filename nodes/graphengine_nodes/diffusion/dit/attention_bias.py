"""What a conditioning adds to the attention between its tokens and those of the picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from graphengine_nodes.diffusion.model.model import Job, NetworkCall

from .packing import PATCH

_NEVER = -1e4  # whose exponential is 0; minus infinity could not be interpolated


# Any: the options of a conditioning are whatever nodes put there.
def attention_bias(options: Mapping[str, Any], job: Job) -> dict[str, Tensor]:
    """The option "attention_mask" for a latent, (1, T + N, T + N) as "attention_bias"; nothing without it.

    Rows attend to columns; text tokens come first, then those of the picture. The option is given for a picture of
    "attention_mask_img_shape" tokens; it is interpolated bilinearly to the picture's. Where it is boolean, False
    means never.

    Raises:
        ValueError: the option has another shape.
    """
    given = options.get("attention_mask")
    if given is None:
        return {}
    height, width = options.get("attention_mask_img_shape", (1, 1))
    mask = given.float().log() if given.dtype == torch.bool else given.float()
    text = mask.shape[-1] - height * width
    if mask.ndim != 3 or mask.shape[-2] != mask.shape[-1] or text < 0:
        raise ValueError(
            f"the conditioning's attention_mask has the shape {list(given.shape)}, which is not that of "
            f"the text and {height} x {width} tokens of a picture"
        )
    size = tuple(-(-side // PATCH) for side in job.shape[-2:])
    mask = mask.clamp(min=_NEVER)
    mask = _resized(mask, text, (height, width), size)
    return {"attention_bias": _resized(mask.transpose(1, 2), text, (height, width), size).transpose(1, 2)}


def _resized(mask: Tensor, text: int, old: tuple[int, int], new: tuple[int, ...]) -> Tensor:
    """The mask (1, R, T + N) with the columns of the picture interpolated to another size."""
    picture = mask[..., text:].reshape(len(mask), -1, *old)
    picture = picture if old == new else interpolate(picture, size=new, mode="bilinear")
    return torch.cat([mask[..., :text], picture.flatten(2)], dim=-1)


def given_attention_bias(call: NetworkCall, tokens: int) -> dict[str, Tensor] | None:
    """What diffusers' blocks are told of the bias for so many tokens of pictures; None without one.

    Tokens of reference pictures, which follow those of the picture, have none.

    Raises:
        ValueError: the bias is for another number of text tokens.
    """
    bias = call.extra.get("attention_bias")
    if bias is None:
        return None
    missing = call.context.shape[1] + tokens - bias.shape[-1]
    if missing < 0:
        raise ValueError(
            f"the conditioning's attention_mask is for {bias.shape[-1]} tokens of text and picture, there are "
            f"{call.context.shape[1]} and {tokens}"
        )
    return {"attention_mask": pad(bias, (0, missing, 0, missing))[:, None]}
