"""The CLIP value and what it does: prompt → text states.

A text encoder is one text tower or several, and the way their results become one. Weights other than 1 scale a
token's state away from (or towards) the state that the empty prompt has in its place, as ComfyUI does:
z = (z - z_empty) * weight + z_empty, without restoring the mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self, runtime_checkable

import torch
from torch import Tensor

from graphengine.node.api import ModelError
from graphengine_nodes.diffusion.model.lora_keys import clip_key_patches, patched_clip
from graphengine_nodes.diffusion.model.model import Conditioning
from graphengine_nodes.diffusion.weights.build import Component

from .prompt import ChunkForm, PromptError, Token, WeightedToken

Tokens = Mapping[str, Sequence[Sequence[WeightedToken]]]
"""Chunks of weighted tokens by the name of the tower that they are for."""


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """What a prompt is for a diffusion model; float32 on the CPU.

    states: (1, T, D). pooled: (1, P), or None for towers that have no such state. options: what else the
    conditioning shall hold, such as an attention mask.
    """

    states: Tensor
    pooled: Tensor | None = None
    options: Mapping[str, Any] = field(default_factory=dict)  # Any: each family has its own

    def conditioning(self, **options: Any) -> Conditioning:
        """The CONDITIONING of one text, with more options such as "width"."""
        pooled = {} if self.pooled is None else {"pooled_output": self.pooled}
        return [(self.states, {**pooled, **self.options, **options})]


class Tower(Protocol):
    """One text network with its tokenizer."""

    @property
    def component(self) -> Component:
        """The weights."""

    def tokens(self, text: str) -> list[list[WeightedToken]]:
        """The chunks of a prompt, at least one.

        Raises:
            PromptError: the prompt asks for something that cannot be done.
        """

    def encode(self, chunks: Sequence[Sequence[WeightedToken]]) -> Encoded:
        """The states of chunks, one behind the other, and the pooled state of the first."""

    def with_component(self, component: Component) -> Self:
        """The same tower with other weights."""

    def with_last_layer(self, layer: int) -> Self:
        """The same tower stopping at another layer (-1 is the last); itself where that means nothing."""


@runtime_checkable
class NumbersWords(Protocol):
    """A tower that knows which stretch of a prompt each token comes from."""

    def word_numbers(self, text: str) -> list[list[int]]:
        """The number of the stretch for each token of `tokens`, from 1; 0 for start, end and padding."""


@dataclass(frozen=True, slots=True, eq=False)
class PackTower:
    """A tower as node packs find it below `cond_stage_model`."""

    tower: Tower

    def encode_token_weights(self, chunks: Sequence[Sequence[WeightedToken]]) -> tuple[Tensor, Tensor | None]:
        """The states (1, T, D) and the pooled state (1, P)."""
        encoded = self.tower.encode(chunks)
        return encoded.states, encoded.pooled


Join = Callable[[Mapping[str, Encoded]], Encoded]
"""What the towers gave, by their names → what the diffusion model takes."""


def alone(encoded: Mapping[str, Encoded]) -> Encoded:
    """The result of the only tower."""
    (only,) = encoded.values()
    return only


@dataclass(slots=True, eq=False)
class TextEncoder:
    """The CLIP value: text towers by the names that ComfyUI gives their tokens ("l", "g", "h", "t5xxl", …).

    Treat it as read-only; only `clip_layer`, a method for node packs, changes it.
    """

    towers: Mapping[str, Tower]
    join: Join = alone
    layer_idx: int | None = None

    def tokenize(self, text: str, return_word_ids: bool = False, **options: Any) -> dict[str, list[list[Any]]]:
        """The chunks of weighted tokens of a prompt, by tower. Further options that packs give are not used.

        return_word_ids: triples, with the number of the stretch of text that a token comes from.

        Raises:
            PromptError: the prompt asks for something that cannot be done.
        """
        tokens: dict[str, list[list[Any]]] = {name: tower.tokens(text) for name, tower in self.towers.items()}
        return self._numbered(text, tokens) if return_word_ids else tokens

    def _numbered(self, text: str, tokens: Mapping[str, list[list[Any]]]) -> dict[str, list[list[Any]]]:
        numbered = {}
        for name, chunks in tokens.items():
            tower = self.towers[name]
            numbers = [[0] * len(chunk) for chunk in chunks]
            if isinstance(tower, NumbersWords):
                numbers = tower.word_numbers(text)
            numbered[name] = [
                [(*pair, number) for pair, number in zip(chunk, own, strict=True)]
                for chunk, own in zip(chunks, numbers, strict=True)
            ]
        return numbered

    def encode_tokens(self, tokens: Tokens) -> Encoded:
        """What the tokens of `tokenize` are for the diffusion model.

        Raises:
            PromptError: a tower has no tokens.
        """
        for name in self.towers:
            if not tokens.get(name):
                raise PromptError(
                    f"the tokens are for {_listed(tokens)}, but this CLIP needs some for {_listed(self.towers)}",
                    hint="make them with the CLIP that encodes them",
                )
        return self.join({name: tower.encode(tokens[name]) for name, tower in self.towers.items()})

    def encode(self, text: str) -> Encoded:
        """What a prompt is for the diffusion model.

        Raises:
            PromptError: the prompt asks for something that cannot be done.
        """
        return self.encode_tokens(self.tokenize(text))

    def components(self) -> dict[str, Component]:
        """The weights by tower, for patches."""
        return {name: tower.component for name, tower in self.towers.items()}

    def with_components(self, components: Mapping[str, Component]) -> TextEncoder:
        """The same encoder with other weights in the towers that are named."""
        towers = {
            name: tower.with_component(components[name]) if name in components else tower
            for name, tower in self.towers.items()
        }
        return replace(self, towers=towers)

    def with_last_layer(self, layer: int) -> TextEncoder:
        """The same encoder, weights shared, stopping at another layer (negative, from the end)."""
        towers = {name: tower.with_last_layer(layer) for name, tower in self.towers.items()}
        return replace(self, towers=towers, layer_idx=layer)

    # What follows has the names that node packs call.

    def clone(self) -> TextEncoder:
        """A copy that shares the weights."""
        return replace(self)

    def clip_layer(self, layer_idx: int) -> None:
        """Stop at another layer from now on: `with_last_layer` for packs, which call it on their clone."""
        changed = self.with_last_layer(layer_idx)
        self.towers, self.layer_idx = changed.towers, changed.layer_idx

    @property
    def cond_stage_model(self) -> TextEncoder:
        """Itself: packs look up the names of weights there, and towers by names such as `clip_l`."""
        return self

    def __getattr__(self, name: str) -> PackTower:
        """The tower that packs call `clip_l`, `clip_g`, `clip_h`, `t5xxl`, …, where there is one."""
        towers = {} if name == "towers" or name.startswith("__") else self.towers
        tower = towers.get(name.removeprefix("clip_"))
        if tower is None:
            raise AttributeError(f"the CLIP has no {name!r}; its towers are {_listed(towers)}")
        return PackTower(tower)

    def add_patches(
        self, patches: Mapping[Any, Any], strength_patch: float = 1.0, strength_model: float = 1.0
    ) -> list[Any]:
        """Change weights from now on; packs call it on their clone. Gives the keys that name a weight.

        Raises:
            ValueError: a patch has a form that is not known; weight_patches.py lists those that are.
        """
        changed, applied = patched_clip(self, patches, strength_patch, strength_model)
        self.towers = changed.towers
        return applied

    def get_key_patches(self) -> dict[str, Any]:
        """The weights by name, to be given to another CLIP's `add_patches`."""
        return dict(clip_key_patches(self))

    def load_model(self) -> TextEncoder:
        """Itself, with the weights of all towers ready."""
        for component in self.components().values():
            component.ready()
        return self

    def encode_from_tokens(self, tokens: Tokens, return_pooled: bool = False, return_dict: bool = False) -> Any:
        """The states; with return_pooled the pair (states, pooled); with return_dict a dict of all there is."""
        encoded = self.encode_tokens(tokens)
        if return_dict:
            return {"cond": encoded.states, "pooled_output": encoded.pooled, **encoded.options}
        return (encoded.states, encoded.pooled) if return_pooled else encoded.states

    def encode_from_tokens_scheduled(
        self,
        tokens: Tokens,
        unprojected: bool = False,
        add_dict: Mapping[str, Any] | None = None,
        show_pbar: bool = True,
    ) -> list[list[Any]]:
        """A CONDITIONING with the options of add_dict, its pairs as lists, which packs change in place."""
        encoded = self.encode_tokens(tokens)
        options = {"pooled_output": encoded.pooled, **encoded.options, **(add_dict or {})}
        return [[encoded.states, options]]


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(repr(name) for name in names) or "no tower"


RunTower = Callable[[list[list[Token]]], tuple[Tensor, Tensor | None]]
"""The network: chunks of equal length (B, T) → states (B, T, D), pooled (B, P) or None; float32 on the CPU."""


def encode_chunks(chunks: Sequence[Sequence[WeightedToken]], form: ChunkForm, run: RunTower) -> Encoded:
    """The states of weighted chunks, joined along the tokens, and the pooled state of the first chunk.

    The empty prompt is run along only where a weight is not 1.
    """
    weights = torch.tensor([[weight for _, weight in chunk] for chunk in chunks])
    weighted = bool((weights != 1.0).any())
    tokens = [[token for token, _ in chunk] for chunk in chunks]
    empty = [token for token, _ in form.chunk((), least=len(tokens[0]))]
    states, pooled = run([*tokens, empty] if weighted else tokens)
    if weighted:
        without, states = states[-1:], states[:-1]
        changed = (states - without) * weights[:, :, None] + without
        states = torch.where(weights[:, :, None] != 1.0, changed, states)
    return Encoded(states.flatten(0, 1)[None], None if pooled is None else pooled[:1])


def require_clip(clip: TextEncoder | None) -> TextEncoder:
    """The CLIP given to a node.

    Raises:
        ModelError: the checkpoint had none.
    """
    if clip is None:
        raise ModelError(
            "the checkpoint holds no text encoder, so there is no CLIP",
            hint="use a checkpoint with a text encoder, or load one with CLIPLoader",
        )
    return clip
