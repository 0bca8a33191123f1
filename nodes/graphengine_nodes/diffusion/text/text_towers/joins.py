"""How the towers of a family become one conditioning."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import pad

from graphengine_nodes.diffusion.text.text_encode import Encoded

_SD3_WIDTH = 4096
_L_WIDTH, _G_WIDTH = 768, 1280
_CHUNK = 77
_HIDREAM_LEAST = 128


def join_sd3(encoded: Mapping[str, Encoded], width: int = _SD3_WIDTH) -> Encoded:
    """SD3: the states of "l" and "g" side by side, filled with zeros to T5's width, then those of "t5xxl" behind.

    The pooled states of "l" and "g" side by side. For towers that are missing there are zeros. width: that of T5
    where there is none.
    """
    small, large, t5 = (encoded.get(name) for name in ("l", "g", "t5xxl"))
    width = width if t5 is None else t5.states.shape[-1]
    parts = []
    if small is not None or large is not None:
        beside = _beside([_states(small, _L_WIDTH, large), _states(large, _G_WIDTH, small)])
        parts.append(pad(beside, (0, width - beside.shape[-1])))
    if t5 is not None:
        parts.append(t5.states)
    states = torch.cat(parts, dim=1) if parts else torch.zeros(1, _CHUNK, width)
    return Encoded(states, torch.cat([_pooled(small, _L_WIDTH), _pooled(large, _G_WIDTH)], dim=-1))


def _states(tower: Encoded | None, width: int, other: Encoded | None) -> Tensor:
    if tower is not None:
        return tower.states
    length = _CHUNK if other is None else other.states.shape[1]
    return torch.zeros(1, length, width)


def _beside(states: list[Tensor]) -> Tensor:
    length = min(state.shape[1] for state in states)
    return torch.cat([state[:, :length] for state in states], dim=-1)


def _pooled(tower: Encoded | None, width: int) -> Tensor:
    return torch.zeros(1, width) if tower is None or tower.pooled is None else tower.pooled


def join_flux(encoded: Mapping[str, Encoded]) -> Encoded:
    """Flux: the states of "t5xxl" and the pooled state of "l"."""
    return Encoded(encoded["t5xxl"].states, encoded["l"].pooled)


def join_hunyuan_video(encoded: Mapping[str, Encoded]) -> Encoded:
    """HunyuanVideo: the states of "llama" and the pooled state of "l"."""
    return Encoded(encoded["llama"].states, encoded["l"].pooled)


def join_hidream(encoded: Mapping[str, Encoded]) -> Encoded:
    """HiDream: the states of "t5xxl", the pooled states of "l" and "g", the states of all layers of "llama".

    For towers that are missing there are zeros.
    """
    small, large, t5, llama = (encoded.get(name) for name in ("l", "g", "t5xxl", "llama"))
    states = torch.zeros(1, _HIDREAM_LEAST, _SD3_WIDTH) if t5 is None else t5.states
    layers = torch.zeros(1, 32, 1, _SD3_WIDTH) if llama is None else llama.options["conditioning_llama3"]
    pooled = torch.cat([_pooled(small, _L_WIDTH), _pooled(large, _G_WIDTH)], dim=-1)
    return Encoded(states, pooled, {"conditioning_llama3": layers})
