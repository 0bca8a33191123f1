"""The CLIP value and what it does: prompt → text states.

Weights other than 1 scale a token's state away from (or towards) the state that the empty prompt has in its
place, as ComfyUI does: z = (z - z_empty) * weight + z_empty, without restoring the mean. ComfyUI keeps the text
encoder in float16 and computes in float32; so do we, for equal results from files of any precision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from graphengine.node.api import ModelError

from . import detect, keymaps
from .build import Component, assign_weights, clip_module, module_shapes
from .checkpoint import Checkpoint
from .prompt import WeightedToken, chunked_tokens
from .tokenizer import Tokenize, clip_tokenizer


@dataclass(frozen=True, slots=True, eq=False)
class TextEncoder:
    """The CLIP value: a tokenizer, a text tower, and the layer whose states are used.

    layer counts from the end: -1 is the last layer, -2 the one before ("clip skip 2"). A layer that the tower
    does not have means the last one. `tokenizer` is a function that gives the tokenizer, which takes a moment to
    build.
    """

    tower: Component
    tokenizer: Callable[[], Tokenize]
    layer: int = -1

    def with_last_layer(self, layer: int) -> TextEncoder:
        """The same encoder, weights shared, stopping at another layer (negative, from the end)."""
        return replace(self, layer=layer)

    def encode(self, text: str) -> tuple[Tensor, Tensor]:
        """The states of a prompt, (1, 77 * chunks, D), and the pooled state of its first chunk, (1, D).

        Both float32 on the CPU.

        Raises:
            PromptError: the prompt asks for something that cannot be done.
        """
        chunks = chunked_tokens(text, self.tokenizer())
        weights = torch.tensor([[weight for _, weight in chunk] for chunk in chunks])
        weighted = bool((weights != 1.0).any())
        ids = [[token for token, _ in chunk] for chunk in chunks]
        states, pooled = self._states([*ids, _ids(chunked_tokens("", lambda _: []))] if weighted else ids)
        if weighted:
            empty, states = states[-1:], states[:-1]
            changed = (states - empty) * weights[:, :, None] + empty
            states = torch.where(weights[:, :, None] != 1.0, changed, states)
        return states.flatten(0, 1)[None], pooled[:1]

    @torch.no_grad()
    def _states(self, ids: list[list[int]]) -> tuple[Tensor, Tensor]:
        """Token ids (B, 77) → states of the chosen layer behind the final norm (B, 77, D), pooled (B, D)."""
        module: Any = self.tower.ready()  # Any: the type checker does not follow transformers
        inner = getattr(module, "text_model", module)  # transformers 4 has a layer of names more
        tokens = torch.tensor(ids, device=self.tower.device)
        skips = -len(inner.encoder.layers) <= self.layer < -1
        output = module(input_ids=tokens, output_hidden_states=skips)
        states = output.last_hidden_state
        if skips:
            states = inner.final_layer_norm(output.hidden_states[self.layer])
        return states.float().cpu(), output.pooler_output.float().cpu()


def _ids(chunks: list[list[WeightedToken]]) -> list[int]:
    return [token for token, _ in chunks[0]]


def load_text_encoder(checkpoint: Checkpoint, device: str) -> TextEncoder | None:
    """The CLIP of an SD1.x checkpoint; None when the file holds none.

    Raises:
        ModelError: the text encoder is incomplete.
    """
    part = checkpoint.part(detect.CLIP_PREFIX)
    if not part:
        return None
    names = keymaps.clip_names(part)
    config = detect.clip_config(checkpoint.path.name, module_shapes(part, names))
    module = assign_weights("the text encoder", checkpoint, part, names, lambda: clip_module(config))
    tower = Component(module, checkpoint, device=device, stored=torch.float16)
    return TextEncoder(tower, cache(clip_tokenizer))


def require_clip(clip: TextEncoder | None) -> TextEncoder:
    """The CLIP given to a node.

    Raises:
        ModelError: the checkpoint had none.
    """
    if clip is None:
        raise ModelError(
            "the checkpoint holds no text encoder, so there is no CLIP",
            hint="use a checkpoint with a text encoder",
        )
    return clip
