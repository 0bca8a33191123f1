"""The part of Qwen2.5-VL that sees pictures: each becomes vectors that stand among the tokens of a text.

Pictures are scaled and cut as transformers' image processor of Qwen2-VL does it, but interpolated bilinearly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from graphengine_nodes.diffusion.dit.layout import Reader, destinations
from graphengine_nodes.diffusion.dit.loading import load_component, weights_of
from graphengine_nodes.diffusion.dit.modules import without_warnings
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint, TensorInfo
from graphengine_nodes.diffusion.weights.weights import Component

_PREFIX = "visual."
_HEAD = 80
_PATCH, _MERGED, _TWICE = 14, 2, 2  # pixels of a patch, patches of a vector per side, frames of a picture
_LEAST, _MOST = 56 * 56, 14 * 14 * 4 * 16384  # pixels
_MEAN, _DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_SECTIONS = (16, 24, 24)  # of 64 frequencies, for time, row and column
_ALL_FREQUENCIES = 64


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What was seen in a picture: vectors (rows * columns, D) of its squares, on the device of the tower."""

    vectors: Tensor
    rows: int
    columns: int


@dataclass(frozen=True, slots=True, eq=False)
class QwenVision:
    """The vision tower."""

    component: Component

    @torch.no_grad()
    def see(self, picture: Tensor) -> Seen:
        """What it sees in a picture (H, W, 3) in 0..1."""
        module: Any = self.component.ready()  # Any: the type checker does not follow transformers
        patches, rows, columns = cut(picture)
        grid = torch.tensor([[1, rows, columns]], device=self.component.device)
        output = module(patches.to(self.component.device, self.component.dtype), grid)
        return Seen(output.pooler_output, rows // _MERGED, columns // _MERGED)


def cut(picture: Tensor) -> tuple[Tensor, int, int]:
    """The normalised patches of a picture (H, W, 3) in 0..1, (N, 3 * 2 * 14 * 14), and how many rows and columns.

    Both sides are scaled to multiples of 28 pixels; patches that become one vector follow each other.
    """
    step = _PATCH * _MERGED
    height, width = _size(*picture.shape[:2])
    scaled = interpolate(picture.movedim(-1, 0)[None].float(), size=(height, width), mode="bilinear")[0]
    mean, deviation = (torch.tensor(values)[:, None, None] for values in (_MEAN, _DEVIATION))
    normal = ((scaled - mean) / deviation).expand(_TWICE, -1, -1, -1)
    rows, columns = height // _PATCH, width // _PATCH
    squares = normal.reshape(_TWICE, 3, height // step, _MERGED, _PATCH, width // step, _MERGED, _PATCH)
    patches = squares.permute(2, 5, 3, 6, 1, 0, 4, 7).reshape(rows * columns, -1)
    return patches, rows, columns


def _size(height: int, width: int) -> tuple[int, int]:
    step = _PATCH * _MERGED
    rounded = [max(step, round(side / step) * step) for side in (height, width)]
    area = rounded[0] * rounded[1]
    if _LEAST <= area <= _MOST:
        return rounded[0], rounded[1]
    factor = (height * width / (_MOST if area > _MOST else _LEAST)) ** 0.5
    sides = [side / factor / step for side in (height, width)]
    whole = [max(1, int(side)) if area > _MOST else int(-(-side // 1)) for side in sides]
    return whole[0] * step, whole[1] * step


def qwen_vision(checkpoint: Checkpoint, part: Mapping[str, TensorInfo], device: str) -> QwenVision | None:
    """The vision tower in a file of Qwen2.5-VL; None when it is not there.

    Raises:
        ModelError: it is incomplete.
    """
    own = {name.removeprefix(_PREFIX): info for name, info in part.items() if name.startswith(_PREFIX)}
    if not own:
        return None
    shapes = {name: info.shape for name, info in weights_of(own).items()}
    config = _config(Reader(checkpoint.path.name, shapes))
    component = load_component(
        "the vision tower of Qwen2.5-VL",
        checkpoint,
        own,
        destinations(shapes, ()),
        lambda: _module(config),
        device,
        dtype=torch.bfloat16 if torch.device(device).type == "cuda" else torch.float32,
    )
    return QwenVision(component)


def _config(read: Reader) -> dict[str, Any]:
    width = read.shape("patch_embed.proj.weight", 5)[0]
    return {
        "depth": read.count(r"blocks\.(\d+)\."),
        "hidden_size": width,
        "intermediate_size": read.shape("blocks.0.mlp.gate_proj.weight", 2)[0],
        "num_heads": read.heads(width, _HEAD),
        "out_hidden_size": read.shape("merger.mlp.2.weight", 2)[0],
    }


def _module(config: Mapping[str, Any]) -> nn.Module:
    with without_warnings():
        from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import (  # heavy: seconds to import
            Qwen2_5_VisionTransformerPretrainedModel,
            Qwen2_5_VLVisionConfig,
        )

    settings = Qwen2_5_VLVisionConfig(**config)
    settings._attn_implementation = "sdpa"
    with torch.device("meta"):
        module = Qwen2_5_VisionTransformerPretrainedModel(settings)
    module.rotary_pos_emb = type(module.rotary_pos_emb)(settings)
    result: nn.Module = module
    return result


def places_in_text(tokens: Sequence[int | Seen]) -> Tensor:
    """Time, row and column of each vector of a text with pictures, (3, T).

    All three rise from token to token; a picture stands at one time, and the text goes on behind its longer side.
    """
    parts, start = [], 0
    for token in tokens:
        if isinstance(token, int):
            parts.append(torch.full((3, 1), start))
            start += 1
            continue
        rows, columns = torch.arange(token.rows), torch.arange(token.columns)
        down, right = torch.meshgrid(rows, columns, indexing="ij")
        grid = torch.stack([torch.zeros_like(down), down, right])
        parts.append(grid.flatten(1) + start)
        start += max(token.rows, token.columns)
    return torch.cat(parts, dim=1)


def rotations(places: Tensor, head: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosine and sine (1, T, head) of the angles at places (3, T); a frequency turns by time, row or column."""
    half = head // 2
    frequencies = theta ** (-torch.arange(half, dtype=torch.float32) / half)
    sizes = [section * half // _ALL_FREQUENCIES for section in _SECTIONS]
    axes = torch.tensor([axis for axis, size in enumerate(sizes) for _ in range(size)])
    angles = places.float()[axes].T * frequencies
    both = torch.cat([angles, angles], dim=-1)[None]
    return both.cos(), both.sin()
