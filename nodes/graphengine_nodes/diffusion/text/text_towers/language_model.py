"""Language models as text towers: Qwen2.5-VL for Qwen-Image, Qwen3 for Z-Image, Gemma 2 for Lumina 2, Llama 3.

Pictures are seen by Qwen2.5-VL alone (qwen_vision.py). What a family fixes (the template around the prompt, which
tokens of it are dropped again, the layer whose states are used) is a `LanguageKind`; sizes are read from the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Self

import torch
from torch import Tensor, nn

from graphengine_nodes.diffusion.dit.layout import Reader, destinations
from graphengine_nodes.diffusion.dit.loading import load_component, weights_of
from graphengine_nodes.diffusion.dit.modules import without_warnings
from graphengine_nodes.diffusion.text.prompt import ChunkForm, Token, WeightedToken, chunked_tokens
from graphengine_nodes.diffusion.text.text_encode import Encoded, encode_chunks
from graphengine_nodes.diffusion.text.tokenizer import Tokenize
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint, TensorInfo
from graphengine_nodes.diffusion.weights.weights import Component

from .qwen_vision import QwenVision, Seen, places_in_text, qwen_vision, rotations
from .sentencepiece_model import sentencepiece_tokenizer
from .vocabularies import FindTokenizer, qwen_tokenizer

_OWN_VOCABULARY = "spiece_model"
_RENAMES = ((r"^(language_model\.)?model\.(language_model\.)?", ""),)
#: The part that sees pictures, the output of words, and vocabularies.
_IGNORED = (
    r"(^|\.)(visual|vision_model|vision_tower|multi_modal_projector|lm_head)\.|^spiece_model$|^tokenizer_json$"
)


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """A kind of network: its class in transformers, and what its files do not tell.

    head: the size of a head where no norm of queries tells it. theta: the base of the rotary positions.
    """

    name: str
    theta: float
    epsilon: float
    head: int = 128
    eager: bool = False


QWEN2 = LanguageModel("Qwen2", 1_000_000.0, 1e-6)
QWEN3 = LanguageModel("Qwen3", 1_000_000.0, 1e-6)
LLAMA3 = LanguageModel("Llama", 500_000.0, 1e-5)
GEMMA2 = LanguageModel("Gemma2", 10_000.0, 1e-6, head=256, eager=True)


@dataclass(frozen=True, slots=True)
class LanguageKind:
    """What a family fixes of a language model.

    vocabulary: the name of its tokenizer. template: the text around the prompt. drop: how many tokens from the
    start are left out of the states. layer: whose states are used, -1 the last one behind the norm; None for
    those of all layers, as an option. weighted: whether parentheses in the prompt are weights.
    """

    model: LanguageModel
    vocabulary: str
    form: ChunkForm
    template: str = "{}"
    drop: int = 0
    layer: int | None = -1
    weighted: bool = False


_QWEN_FORM = ChunkForm(start=None, end=None, pad=151643, length=None, least=0)
_LLAMA_FORM = ChunkForm(start=128000, end=None, pad=128009, length=None, least=0)

QWEN_IMAGE = LanguageKind(
    QWEN2,
    "qwen2",
    _QWEN_FORM,
    "<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, quantity, text, spatial "
    "relationships of the objects and background:<|im_end|>\n"
    "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
    drop=34,
)
"""Qwen-Image; template and dropped tokens as in diffusers' QwenImagePipeline."""

OMNIGEN2 = LanguageKind(
    QWEN2,
    "qwen2",
    _QWEN_FORM,
    "<|im_start|>system\nYou are a helpful assistant that generates high-quality images based on user "
    "instructions.<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n",
)
"""OmniGen2; the template of its authors."""

Z_IMAGE = LanguageKind(
    QWEN3, "qwen2", _QWEN_FORM, "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n", layer=-2
)
"""Z-Image; as in diffusers' ZImagePipeline."""

HUNYUAN_VIDEO = LanguageKind(
    LLAMA3,
    "llama3",
    _LLAMA_FORM,
    "<|start_header_id|>system<|end_header_id|>\n\nDescribe the video by detailing the following aspects: "
    "1. The main content and theme of the video."
    "2. The color, shape, size, texture, quantity, text, and spatial relationships of the objects."
    "3. Actions, events, behaviors temporal relationships, physical movement changes of the objects."
    "4. background environment, light, style and atmosphere."
    "5. camera angles, movements, and transitions used in the video:<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|>",
    drop=95,
    layer=-3,
)
"""HunyuanVideo; as in diffusers' HunyuanVideoPipeline."""

HIDREAM = LanguageKind(LLAMA3, "llama3", replace(_LLAMA_FORM, least=128), layer=None, weighted=True)
"""HiDream takes the states of every layer of Llama 3.1."""

LUMINA2 = LanguageKind(
    GEMMA2, "gemma2", ChunkForm(start=2, end=None, pad=0, length=None, least=0), layer=-2, weighted=True
)
"""Lumina 2."""


@dataclass(frozen=True, slots=True, eq=False)
class LanguageTower:
    """A language model with its tokenizer (a `Tower`); vision: what turns pictures into vectors, if any."""

    component: Component
    kind: LanguageKind
    tokenizer: Callable[[], Tokenize]
    vision: QwenVision | None = None

    def tokens(self, text: str) -> list[list[WeightedToken]]:
        """One chunk."""
        kind, tokenize = self.kind, self.tokenizer()
        if kind.weighted:
            return chunked_tokens(text, tokenize, kind.form)
        ids = [(token, 1.0) for token in tokenize(kind.template.replace("{}", text))]
        return [kind.form.chunk(ids)]

    def encode(self, chunks: Sequence[Sequence[WeightedToken]]) -> Encoded:
        """States (1, T, D) without the tokens of the template; for all layers the option "conditioning_llama3"."""
        if self.kind.layer is None:
            states = self._states([[token for token, _ in chunk] for chunk in chunks[:1]])
            layers = torch.stack([layer.float().cpu() for layer in states[1:]], dim=1)
            return Encoded(layers[:, -1], options={"conditioning_llama3": layers})
        encoded = encode_chunks(chunks, self.kind.form, self._run)
        return replace(encoded, states=encoded.states[:, self.kind.drop :])

    @torch.no_grad()
    def encode_seen(self, tokens: Sequence[int | Seen]) -> Tensor:
        """The states (1, T, D) of the last layer, behind the norm, of a text with pictures that were seen."""
        module: Any = self.component.ready()
        device, dtype = self.component.device, self.component.dtype
        parts = [
            module.embed_tokens(torch.tensor([token], device=device)) if isinstance(token, int) else token.vectors
            for token in tokens
        ]
        states = torch.cat([part.to(device, dtype) for part in parts])[None]
        turned = rotations(places_in_text(tokens), self.kind.model.head, self.kind.model.theta)
        rotary = tuple(part.to(device, dtype) for part in turned)
        for layer in module.layers:
            # without a mask the attention is causal
            states = layer(states, attention_mask=None, position_embeddings=rotary)
        result: Tensor = module.norm(states)
        return result.float().cpu()

    def with_component(self, component: Component) -> Self:
        """The same tower with other weights."""
        return replace(self, component=component)

    def with_last_layer(self, layer: int) -> Self:
        """Itself: the layer is fixed by the family."""
        return self

    def _run(self, chunks: list[list[Token]]) -> tuple[Tensor, None]:
        layer = -1 if self.kind.layer is None else self.kind.layer
        return self._states(chunks)[layer].float().cpu(), None

    @torch.no_grad()
    def _states(self, chunks: list[list[Token]]) -> tuple[Tensor, ...]:
        """The vectors of the tokens, then the states of each layer, the last behind the norm."""
        module: Any = self.component.ready()  # Any: the type checker does not follow transformers
        ids = torch.tensor(chunks, device=self.component.device)
        padded = ids == self.kind.form.pad
        mask = (~padded).long() if self.kind.form.least and bool(padded.any()) else None
        result = module(input_ids=ids, attention_mask=mask, output_hidden_states=True, use_cache=False)
        states: tuple[Tensor, ...] = result.hidden_states
        return states


def language_tower(
    checkpoint: Checkpoint,
    part: Mapping[str, TensorInfo],
    kind: LanguageKind,
    device: str,
    find_tokenizer: FindTokenizer,
) -> LanguageTower:
    """The tower whose tensors these are, in the layout of transformers, without a prefix.

    Raises:
        ModelError: it is incomplete, of another kind, or its vocabulary is missing.
    """
    tokenizer = _tokenizer(checkpoint, part, kind, find_tokenizer)
    shapes = {name: info.shape for name, info in weights_of(part, _IGNORED).items()}
    places = destinations(shapes, _RENAMES)
    by_module = {target[0]: shapes[name] for name, (target, *_) in places.items()}
    config = _config(Reader(checkpoint.path.name, by_module), kind.model)
    component = load_component(
        f"the text encoder {kind.model.name}",
        checkpoint,
        part,
        places,
        lambda: _module(kind.model, config),
        device,
        dtype=torch.bfloat16 if torch.device(device).type == "cuda" else torch.float32,
    )
    vision = qwen_vision(checkpoint, part, device) if kind.model is QWEN2 else None
    return LanguageTower(component, kind, tokenizer, vision)


def _tokenizer(
    checkpoint: Checkpoint, part: Mapping[str, TensorInfo], kind: LanguageKind, find_tokenizer: FindTokenizer
) -> Callable[[], Tokenize]:
    """The shipped vocabulary, the one in the file, or the one that was put in place."""
    if kind.vocabulary == "qwen2":
        return qwen_tokenizer
    own = part.get(_OWN_VOCABULARY)
    if own is None:
        return _constant(find_tokenizer(kind.vocabulary))
    content = bytes(checkpoint.tensor(own).flatten().tolist())
    return cache(lambda: sentencepiece_tokenizer(content))


def _constant(tokenize: Tokenize) -> Callable[[], Tokenize]:
    return lambda: tokenize


def _config(read: Reader, model: LanguageModel) -> dict[str, Any]:
    vocabulary, width = read.shape("embed_tokens.weight", 2)
    query_norm = "layers.0.self_attn.q_norm.weight"
    head = read.shape(query_norm, 1)[0] if read.has(query_norm) else model.head
    queries, keys = (read.shape(f"layers.0.self_attn.{part}_proj.weight", 2)[0] for part in "qk")
    return {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": read.shape("layers.0.mlp.gate_proj.weight", 2)[0],
        "num_hidden_layers": read.count(r"layers\.(\d+)\."),
        "num_attention_heads": read.heads(queries, head),
        "num_key_value_heads": read.heads(keys, head),
        "head_dim": head,
        "rms_norm_eps": model.epsilon,
        "rope_parameters": {"rope_type": "default", "rope_theta": model.theta},
    }


def _module(model: LanguageModel, config: Mapping[str, Any]) -> nn.Module:
    with without_warnings():
        import transformers  # heavy: seconds to import

    settings = getattr(transformers, f"{model.name}Config")(
        **config, pad_token_id=None, attn_implementation="eager" if model.eager else "sdpa"
    )
    with torch.device("meta"):
        module = getattr(transformers, f"{model.name}Model")(settings)
    module.rotary_emb = type(module.rotary_emb)(config=settings)
    if hasattr(module.embed_tokens, "embed_scale"):
        module.embed_tokens.embed_scale = torch.tensor(settings.hidden_size**0.5)
    result: nn.Module = module
    return result
