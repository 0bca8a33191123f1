"""CLIP's text towers: CLIP-L of SD1, CLIP-H of SD2, CLIP-L and CLIP-G of SDXL, and how SDXL joins its two.

ComfyUI keeps text encoders in float16 and computes in float32; so do we, for equal results from files of any
precision. Fixed by the family are heads of 64 channels and the activation; all sizes are read from the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor, nn

from graphengine.node.api import ModelError
from graphengine_nodes.diffusion.weights import detect
from graphengine_nodes.diffusion.weights.broken_weights import check_result
from graphengine_nodes.diffusion.weights.build import assign_weights, quiet
from graphengine_nodes.diffusion.weights.checkpoint import DTYPES, Checkpoint, TensorInfo
from graphengine_nodes.diffusion.weights.detect import ClipConfig
from graphengine_nodes.diffusion.weights.keymaps.clip import clip_places, is_open_clip
from graphengine_nodes.diffusion.weights.weights import Component, Place

from .embeddings import FindFile, embedding_finder, no_embedding_files
from .prompt import (
    CLIP_G,
    CLIP_L,
    END_TOKEN,
    ChunkForm,
    FindEmbedding,
    Token,
    WeightedToken,
    chunked_tokens,
    word_numbers,
)
from .text_encode import Encoded, encode_chunks
from .tokenizer import Tokenize, clip_tokenizer


@dataclass(frozen=True, slots=True)
class ClipKind:
    """What a family fixes of a CLIP tower.

    key: its name in files of embeddings. layer: the one whose states are used, None for the last, which always
    goes through the final norm; norm_hidden: whether an earlier one does. projected: the pooled state goes
    through the projection, which the file must have if it is needed. masked: tokens behind the end token see none
    of those there.
    """

    key: str
    activation: str
    form: ChunkForm
    layer: int | None = None
    norm_hidden: bool = True
    projected: bool = False
    needs_projection: bool = False
    masked: bool = False


SD1_L = ClipKind("clip_l", "quick_gelu", CLIP_L)
"""CLIP-L as SD1 and Flux use it."""

SD2_H = ClipKind("clip_h", "gelu", CLIP_G, layer=-2, projected=True)
"""OpenCLIP's ViT-H tower as SD2 uses it."""

SDXL_L = ClipKind("clip_l", "quick_gelu", CLIP_L, layer=-2, norm_hidden=False)
"""CLIP-L as SDXL and SD3 use it."""

SDXL_G = ClipKind("clip_g", "gelu", CLIP_G, layer=-2, norm_hidden=False, projected=True, needs_projection=True)
"""OpenCLIP's ViT-bigG tower as SDXL and SD3 use it."""


@dataclass(frozen=True, slots=True, eq=False)
class ClipTower:
    """A CLIP text network with its tokenizer (a `Tower`).

    file: the name that messages give it. `tokenizer` is a function that gives the tokenizer, which takes a moment
    to build. find: the vectors of textual inversion embeddings.
    """

    component: Component
    kind: ClipKind
    file: str
    tokenizer: Callable[[], Tokenize]
    find: FindEmbedding
    layer: int | None = None

    def tokens(self, text: str) -> list[list[WeightedToken]]:
        """Chunks of 77 weighted tokens."""
        return chunked_tokens(text, self.tokenizer(), self.kind.form, self.find)

    def word_numbers(self, text: str) -> list[list[int]]:
        """Which stretch of text each token comes from; 0 for start, end and padding."""
        return word_numbers(text, self.tokenizer(), self.kind.form, self.find)

    def encode(self, chunks: Sequence[Sequence[WeightedToken]]) -> Encoded:
        """States (1, 77 * chunks, D) of the chosen layer; pooled (1, P) of the first chunk.

        Raises:
            ModelError: they are no numbers since weights are none.
        """
        return encode_chunks(chunks, self.kind.form, self._run)

    def with_component(self, component: Component) -> Self:
        """The same tower with other weights."""
        return replace(self, component=component)

    def with_last_layer(self, layer: int) -> Self:
        """The same tower stopping at another layer. One that it does not have means the last."""
        return replace(self, layer=layer)

    @torch.no_grad()
    def _run(self, chunks: list[list[Token]]) -> tuple[Tensor, Tensor]:
        module: Any = self.component.ready()  # Any: the type checker does not follow transformers
        device = self.component.device
        ids = [[token if isinstance(token, int) else 0 for token in chunk] for chunk in chunks]
        vectors = module.embedded(torch.tensor(ids, device=device))
        for row, chunk in enumerate(chunks):
            for place, token in enumerate(chunk):
                if not isinstance(token, int):
                    vectors[row, place] = token.to(vectors)
        ends = torch.tensor([_end(chunk) for chunk in chunks], device=device)
        mask = _text_mask(ends, vectors.shape[1]).to(vectors.dtype) if self.kind.masked else None
        states, pooled = module(vectors, ends, layer=self.layer, norm_hidden=self.kind.norm_hidden, mask=mask)
        check_result(states, self.component, self.file)
        return states.float().cpu(), pooled.float().cpu()


def _end(chunk: Sequence[Token]) -> int:
    """The place of the end token, whose state is the pooled one."""
    places = (place for place, token in enumerate(chunk) if isinstance(token, int) and token == END_TOKEN)
    return next(places, len(chunk) - 1)


def _text_mask(ends: Tensor, length: int) -> Tensor:
    """What is added to attention, (B, 1, T, T): 0 for tokens before and at the end that come before, else -inf."""
    places = torch.arange(length, device=ends.device)
    seen = (places[None, :] <= ends[:, None])[:, None, None] & (places[None, :] <= places[:, None])
    return torch.zeros(seen.shape, device=ends.device).masked_fill(~seen, float("-inf"))


class ClipText(nn.Module):
    """CLIP's text network: vectors of tokens (B, T, D) → states (B, T, D) and pooled states (B, P).

    transposed: the projection is stored as OpenCLIP does, (D, P).
    """

    def __init__(self, config: ClipConfig, activation: str, *, projection: int | None, transposed: bool) -> None:
        super().__init__()
        self.text_model = _text_model(config, activation)
        self.text_projection: nn.Module | None = None
        if projection is not None:
            make = _Transposed if transposed else nn.Linear
            self.text_projection = make(config.width, projection, bias=False)

    def embedded(self, ids: Tensor) -> Tensor:
        """The vectors (B, T, D) of token ids (B, T), without positions."""
        vectors: Tensor = self.text_model.embeddings.token_embedding(ids)
        return vectors

    def forward(
        self, vectors: Tensor, ends: Tensor, *, layer: int | None, norm_hidden: bool, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The states after a layer (negative, from the end), and the pooled states: the last layer's at `ends`.

        mask: (B, 1, T, T), added to attention; None for tokens that see all before them.
        """
        inner = self.text_model
        layers = inner.encoder.layers
        wanted = None if layer is None or not -len(layers) <= layer < 0 else len(layers) + layer
        states = inner.embeddings(inputs_embeds=vectors)
        hidden = None
        for number, block in enumerate(layers):
            states = block(states, mask, is_causal=mask is None)
            if number == wanted:
                hidden = states
        states = inner.final_layer_norm(states)
        pooled = states[torch.arange(len(states), device=states.device), ends]
        if self.text_projection is not None:
            pooled = self.text_projection(pooled)
        if hidden is None:
            return states, pooled
        return (inner.final_layer_norm(hidden) if norm_hidden else hidden), pooled


class _Transposed(nn.Module):
    """A linear map whose matrix is stored as (inputs, outputs)."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight


def _text_model(config: ClipConfig, activation: str) -> Any:
    with quiet():
        from transformers import CLIPTextConfig, CLIPTextModel  # heavy: seconds to import
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=config.vocabulary,
            hidden_size=config.width,
            intermediate_size=config.inner_width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.width // detect.CLIP_HEAD_CHANNELS,
            max_position_embeddings=config.positions,
            hidden_act=activation,
            attn_implementation="sdpa",
        )
    )


def clip_tower(
    checkpoint: Checkpoint,
    part: Mapping[str, TensorInfo],
    kind: ClipKind,
    device: str,
    files: FindFile = no_embedding_files,
) -> ClipTower:
    """The tower whose tensors these are, in the layout of transformers or of OpenCLIP, without a prefix.

    Raises:
        ModelError: it is incomplete, or fits no tower.
    """
    places = clip_places({name: info.shape for name, info in part.items()})
    if not kind.projected:
        places = {name: to for name, to in places.items() if to[0].name != "text_projection.weight"}
    split = split_rows(part, places)
    shapes = {name: info.shape for name, info in split.items()}
    config = detect.clip_config(checkpoint.path.name, shapes)
    transposed = is_open_clip({name: info.shape for name, info in part.items()})
    projection = _projection(checkpoint.path.name, kind, shapes.get("text_projection.weight"), transposed)

    def make() -> nn.Module:
        with torch.device("meta"):
            return ClipText(config, kind.activation, projection=projection, transposed=transposed)

    module = assign_weights(f"the text tower {kind.key}", checkpoint, split, {name: name for name in split}, make)
    component = Component(module, checkpoint, device=device, stored=torch.float16, sources=places)
    find = embedding_finder(files, kind.key, config.width)
    return ClipTower(component, kind, checkpoint.path.name, clip_tokenizer, find, kind.layer)


def _projection(file: str, kind: ClipKind, shape: tuple[int, ...] | None, transposed: bool) -> int | None:
    """The width of the pooled state; None when it is that of the states."""
    if shape is None and kind.needs_projection:
        raise ModelError(
            f"model file {file!r} lacks tensor 'text_projection' of {kind.key}", hint="the file is incomplete"
        )
    if shape is None:
        return None
    if len(shape) != 2:
        raise ModelError(f"model file {file!r} has an unsupported layout: its text projection is {list(shape)}")
    return shape[1 if transposed else 0]


def split_rows(part: Mapping[str, TensorInfo], places: Mapping[str, Sequence[Place]]) -> dict[str, TensorInfo]:
    """The tensors by the names of their parameters, those that are rows of a larger one cut out of the file."""
    return {place.name: _rows(part[name], place) for name, to in places.items() for place in to}


def _rows(info: TensorInfo, place: Place) -> TensorInfo:
    if place.rows is None:
        return info
    first, last, _ = place.rows.indices(info.shape[0])
    size = DTYPES[info.dtype][0]
    for count in info.shape[1:]:
        size *= count
    return TensorInfo(
        info.dtype, (last - first, *info.shape[1:]), info.start + first * size, info.start + last * size
    )


def join_sdxl(encoded: Mapping[str, Encoded]) -> Encoded:
    """The states of "l" and "g" side by side, cut to the shorter of both; the pooled state of "g"."""
    small, large = encoded["l"], encoded["g"]
    length = min(small.states.shape[1], large.states.shape[1])
    states = torch.cat([small.states[:, :length], large.states[:, :length]], dim=-1)
    return Encoded(states, large.pooled, {**small.options, **large.options})
