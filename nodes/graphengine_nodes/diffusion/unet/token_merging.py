"""Attention over fewer tokens: similar ones are merged before it and copied back after it.

Bolya and Hoffman (2023), "Token Merging for Fast Stable Diffusion". Only the queries are merged, keys and values
stay whole; and only where the state has the size of the latent, where most of the time goes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_CELL = 2
"""One token of each cell of 2 x 2 is kept as a destination."""
_MERGED = "merged_tokens"
_SEED = 0


@dataclass(frozen=True, slots=True, eq=False)
class Merging:
    """Which tokens of a sequence (B, N, C) become part of which others; indices (B, …).

    destinations: into the sequence, (B, D). kept: those that stay by themselves, (B, K). merged: those that do
    not, (B, R). targets: where each merged one goes, an index into destinations, (B, R).
    """

    destinations: Tensor
    kept: Tensor
    merged: Tensor
    targets: Tensor

    @classmethod
    def by_similarity(cls, tokens: Tensor, destinations: Tensor, count: int) -> Merging:
        """Merge the `count` tokens that are most like a destination, by cosine, each with its nearest.

        tokens: (B, N, C). destinations: indices (D,), the same for the batch.
        """
        batch, length = tokens.shape[:2]
        is_source = torch.ones(length, dtype=torch.bool, device=tokens.device)
        is_source[destinations] = False
        sources = is_source.nonzero().squeeze(1)
        unit = tokens / tokens.norm(dim=-1, keepdim=True).clamp(min=1e-12)
        best, nearest = (unit[:, sources] @ unit[:, destinations].mT).max(dim=-1)
        order = best.argsort(dim=-1, descending=True)
        merged, kept = order[:, :count], order[:, count:]
        return cls(destinations.expand(batch, -1), sources[kept], sources[merged], nearest.gather(1, merged))

    def merge(self, tokens: Tensor) -> Tensor:
        """(B, N, C) → (B, N - R, C): the kept tokens, then the destinations, as means with what goes there."""
        target = self.targets.unsqueeze(-1).expand(-1, -1, tokens.shape[-1])
        means = _taken(tokens, self.destinations).scatter_reduce(1, target, _taken(tokens, self.merged), "mean")
        return torch.cat([_taken(tokens, self.kept), means], dim=1)

    def unmerge(self, tokens: Tensor) -> Tensor:
        """(B, N - R, C) → (B, N, C): each merged token is its destination's."""
        kept, means = tokens[:, : self.kept.shape[1]], tokens[:, self.kept.shape[1] :]
        parts = [kept, means, _taken(means, self.targets)]
        index = torch.cat([self.kept, self.destinations, self.merged], dim=1).unsqueeze(-1)
        whole = torch.cat(parts, dim=1)
        return torch.empty_like(whole).scatter_(1, index.expand(whole.shape), whole)


def _taken(tokens: Tensor, index: Tensor) -> Tensor:
    return tokens.gather(1, index.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))


def one_of_each_cell(height: int, width: int, generator: torch.Generator) -> Tensor:
    """Indices of a random token of each whole cell of a grid (H, W) in rows: (H // 2 · W // 2,)."""
    rows, columns = height // _CELL, width // _CELL
    place = torch.randint(_CELL * _CELL, (rows, columns), generator=generator)
    y = torch.arange(rows)[:, None] * _CELL + place // _CELL
    x = torch.arange(columns) * _CELL + place % _CELL
    return (y * width + x).flatten()


@dataclass(frozen=True, slots=True)
class MergeTokens:
    """An attn1 patch: the queries with the share `ratio` of them merged away."""

    ratio: float

    # Any: the options are ComfyUI's open-ended form.
    def __call__(
        self, n: Tensor, context: Tensor, value: Tensor, options: MutableMapping[str, Any]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(n, context, value) with another n; how to undo it is written into the options of this block."""
        height, width = options["original_shape"][-2:]
        destinations = (height // _CELL) * (width // _CELL)
        count = min(int(n.shape[1] * self.ratio), n.shape[1] - destinations)
        if math.prod((height, width)) != n.shape[1] or not destinations or count <= 0:
            return n, context, value
        cells = one_of_each_cell(height, width, _generator(options)).to(n.device)
        merging = Merging.by_similarity(n, cells, count)
        options[_MERGED] = merging
        return merging.merge(n), context, value


def unmerge_tokens(n: Tensor, options: MutableMapping[str, Any]) -> Tensor:
    """An attn1 output patch: every token again, each merged one as that which it was merged with."""
    merging = options.pop(_MERGED, None)
    return n if merging is None else merging.unmerge(n)


def _generator(options: Mapping[str, Any]) -> torch.Generator:
    """The random numbers of a run: the same in each."""
    memory = options.get("memory", {})
    if _MERGED not in memory:
        memory[_MERGED] = torch.Generator().manual_seed(_SEED)
    generator: torch.Generator = memory[_MERGED]
    return generator
