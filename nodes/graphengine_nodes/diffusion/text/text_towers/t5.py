"""The encoders of T5 v1.0 and v1.1 (Raffel et al., 2020) and of umT5 (Chung et al., 2023) as text towers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from graphengine_nodes.diffusion.dit.layout import Reader, destinations
from graphengine_nodes.diffusion.dit.loading import load_component, weights_of
from graphengine_nodes.diffusion.dit.modules import without_warnings
from graphengine_nodes.diffusion.text.embeddings import FindFile, embedding_finder, no_embedding_files
from graphengine_nodes.diffusion.text.prompt import ChunkForm, FindEmbedding, Token, WeightedToken, chunked_tokens
from graphengine_nodes.diffusion.text.text_encode import Encoded, encode_chunks
from graphengine_nodes.diffusion.text.tokenizer import Tokenize
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint, TensorInfo
from graphengine_nodes.diffusion.weights.weights import Component

Attention = Literal["all", "told", "zeroed"]

END = 1
PAD = 0
T5_FORM = ChunkForm(start=None, end=END, pad=PAD, length=None, least=77)
"""One chunk of any length with an end token, filled up to 77."""

_RENAMES = ((r"^encoder\.", ""), (r"^shared\.", "embed_tokens."))
#: A second copy of the embedding, the decoder, and the vocabulary that some files carry.
_IGNORED = r"^encoder\.embed_tokens\.|^decoder\.|^spiece_model$|^lm_head\.|^logit_scale$"


@dataclass(frozen=True, slots=True, eq=False)
class T5Tower:
    """An encoder with its tokenizer (a `Tower`).

    attention: what is done about tokens behind the end token. "all": they are looked at as any others. "told":
    they are not, and the conditioning says which they are. "zeroed": they are not, and their states are zero.
    padding: how many tokens are added at least.
    """

    component: Component
    form: ChunkForm
    tokenizer: Callable[[], Tokenize]
    find: FindEmbedding
    attention: Attention = "all"
    padding: int = 0

    def tokens(self, text: str) -> list[list[WeightedToken]]:
        """One chunk."""
        chunks = chunked_tokens(text, self.tokenizer(), replace(self.form, least=0), self.find)
        return [[*chunk, *self._fill(max(self.padding, self.form.least - len(chunk)))] for chunk in chunks]

    def _fill(self, count: int) -> list[WeightedToken]:
        return [(self.form.pad, 1.0)] * count

    def encode(self, chunks: Sequence[Sequence[WeightedToken]]) -> Encoded:
        """States (1, T, D); no pooled state."""
        encoded = encode_chunks(chunks, self.form, self._run)
        if self.attention != "told":
            return encoded
        mask = _until_end([[token for token, _ in chunk] for chunk in chunks], self.form.end)
        return replace(encoded, options={"attention_mask": mask.reshape(1, -1)})

    def with_component(self, component: Component) -> Self:
        """The same tower with other weights."""
        return replace(self, component=component)

    def with_last_layer(self, layer: int) -> Self:
        """Itself: T5 is always used to the end."""
        return self

    def with_lengths(self, padding: int, length: int) -> Self:
        """The same tower that adds at least so many padding tokens, and fills texts up to a length."""
        return replace(self, form=replace(self.form, least=length), padding=padding)

    @torch.no_grad()
    def _run(self, chunks: list[list[Token]]) -> tuple[Tensor, None]:
        module: Any = self.component.ready()  # Any: the type checker does not follow transformers
        device = self.component.device
        ids = torch.tensor([[token if isinstance(token, int) else PAD for token in chunk] for chunk in chunks])
        vectors = module.embed_tokens(ids.to(device))
        for row, chunk in enumerate(chunks):
            for place, token in enumerate(chunk):
                if not isinstance(token, int):
                    vectors[row, place] = token.to(vectors)
        mask = torch.ones_like(ids) if self.attention == "all" else _until_end(chunks, self.form.end)
        mask = mask.to(device)
        states: Tensor = module(inputs_embeds=vectors, attention_mask=mask).last_hidden_state
        if self.attention == "zeroed":
            states = states * mask[:, :, None]
        return states.float().cpu(), None


def _until_end(chunks: Sequence[Sequence[Token]], end: int | None) -> Tensor:
    """1 for tokens up to the first end token, (B, T)."""
    masks = []
    for chunk in chunks:
        ends = (place for place, token in enumerate(chunk) if isinstance(token, int) and token == end)
        last = next(ends, len(chunk) - 1)
        masks.append([int(place <= last) for place in range(len(chunk))])
    return torch.tensor(masks)


def t5_tower(
    checkpoint: Checkpoint,
    part: Mapping[str, TensorInfo],
    tokenizer: Callable[[], Tokenize],
    device: str,
    *,
    form: ChunkForm = T5_FORM,
    attention: Attention = "all",
    files: FindFile = no_embedding_files,
    key: str = "t5xxl",
) -> T5Tower:
    """The tower whose tensors these are, in the layout of transformers, without a prefix.

    umT5 is told by relative positions of its own in each block, v1.1 by gated layers. key: the name that files of
    embeddings have for it.

    Raises:
        ModelError: it is incomplete, or fits no encoder.
    """
    shapes = {name: info.shape for name, info in weights_of(part, _IGNORED).items()}
    read = Reader(checkpoint.path.name, shapes)
    config = _config(read)
    component = load_component(
        "the T5 text encoder",
        checkpoint,
        part,
        destinations(shapes, _RENAMES),
        lambda: _module(config, own_positions=read.has(_positions(1))),
        device,
        dtype=torch.bfloat16 if torch.device(device).type == "cuda" else torch.float32,
    )
    return T5Tower(component, form, tokenizer, embedding_finder(files, key, config["d_model"]), attention)


def _positions(block: int) -> str:
    return f"encoder.block.{block}.layer.0.SelfAttention.relative_attention_bias.weight"


def _config(read: Reader) -> dict[str, Any]:
    vocabulary, width = read.shape("shared.weight", 2)
    buckets, heads = read.shape(_positions(0), 2)
    inner = read.shape("encoder.block.0.layer.0.SelfAttention.q.weight", 2)[0]
    dense = "encoder.block.0.layer.1.DenseReluDense."
    gated = read.has(f"{dense}wi_0.weight")
    return {
        "vocab_size": vocabulary,
        "d_model": width,
        "d_kv": inner // read.heads(inner, inner // max(heads, 1)),
        "d_ff": read.shape(f"{dense}wi_0.weight" if gated else f"{dense}wi.weight", 2)[0],
        "num_layers": read.count(r"encoder\.block\.(\d+)\."),
        "num_heads": heads,
        "relative_attention_num_buckets": buckets,
        "feed_forward_proj": "gated-gelu" if gated else "relu",
    }


def _module(config: Mapping[str, Any], *, own_positions: bool) -> nn.Module:
    with without_warnings():
        from transformers import T5Config, UMT5Config  # heavy: seconds to import
        from transformers.models.t5.modeling_t5 import T5Stack
        from transformers.models.umt5.modeling_umt5 import UMT5Stack

    make, settings = (UMT5Stack, UMT5Config) if own_positions else (T5Stack, T5Config)
    with torch.device("meta"):
        module: nn.Module = make(settings(**config, is_decoder=False, use_cache=False, is_encoder_decoder=False))
    return module
