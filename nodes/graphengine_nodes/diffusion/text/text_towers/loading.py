"""The CLIP values of diffusion transformers: from files of their own, and from whole checkpoints.

A `TextKind` says which towers a family has. In files of their own a tower is told by its tensors, in checkpoints
by its prefix, `text_encoders.t5xxl.transformer.` and the like.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from graphengine.node.api import ModelError
from graphengine_nodes.diffusion.text.clip_files import EncoderFiles, LoadEncoder, clip_size
from graphengine_nodes.diffusion.text.embeddings import FindFile, no_embedding_files
from graphengine_nodes.diffusion.text.prompt import ChunkForm
from graphengine_nodes.diffusion.text.text_encode import Join, TextEncoder, Tower, alone
from graphengine_nodes.diffusion.text.towers import SD1_L, SDXL_G, SDXL_L, ClipKind, clip_tower
from graphengine_nodes.diffusion.weights import detect
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint, TensorInfo

from .joins import join_flux, join_hidream, join_hunyuan_video, join_sd3
from .language_model import (
    HIDREAM,
    HUNYUAN_VIDEO,
    LUMINA2,
    OMNIGEN2,
    QWEN_IMAGE,
    Z_IMAGE,
    LanguageKind,
    language_tower,
)
from .t5 import END, PAD, Attention, t5_tower
from .vocabularies import FindTokenizer, no_tokenizer, t5_tokenizer, tokenizers_of_the_run, umt5_tokenizer

_PILE_END, _PILE_PAD = 2, 1


@dataclass(frozen=True, slots=True)
class TowerSource:
    """The tensors of one tower without prefix, and what it takes to make it."""

    checkpoint: Checkpoint
    part: Mapping[str, TensorInfo]
    device: str
    embeddings: FindFile = no_embedding_files
    tokenizers: FindTokenizer = no_tokenizer


MakeTower = Callable[[TowerSource], Tower]


def _clip(kind: ClipKind) -> MakeTower:
    return lambda source: clip_tower(source.checkpoint, source.part, kind, source.device, source.embeddings)


def _t5(least: int, attention: Attention = "all", *, own_positions: bool = False) -> MakeTower:
    form = ChunkForm(start=None, end=END, pad=PAD, length=None, least=least)
    tokenizer = umt5_tokenizer if own_positions else t5_tokenizer

    def make(source: TowerSource) -> Tower:
        return t5_tower(
            source.checkpoint,
            source.part,
            tokenizer,
            source.device,
            form=form,
            attention=attention,
            files=source.embeddings,
        )

    return make


def _pile_t5(source: TowerSource) -> Tower:
    """Pile-T5-XL, which has the vocabulary of Llama 2 with other special tokens."""
    form = ChunkForm(start=None, end=_PILE_END, pad=_PILE_PAD, length=None, least=256)
    return t5_tower(
        source.checkpoint,
        source.part,
        lambda: source.tokenizers("pile_t5"),
        source.device,
        form=form,
        attention="zeroed",
        files=source.embeddings,
        key="pile_t5xl",
    )


def _language(kind: LanguageKind) -> MakeTower:
    return lambda source: language_tower(source.checkpoint, source.part, kind, source.device, source.tokenizers)


@dataclass(frozen=True, slots=True)
class TextKind:
    """The towers of a family by the names of their tokens: what a file must hold ("l", "t5", …), how it is made.

    optional: whether towers may be missing. prefixes: what a checkpoint has between `text_encoders.` and
    `.transformer.` where that is not the name of the tower.
    """

    towers: Mapping[str, tuple[str, MakeTower]]
    join: Join = alone
    optional: bool = False
    prefixes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = {"l": "clip_l", "g": "clip_g", **self.prefixes}
        object.__setattr__(self, "prefixes", names)


# Least lengths and attention as ComfyUI has them for each family.
SD3 = TextKind(
    {"l": ("l", _clip(SDXL_L)), "g": ("g", _clip(SDXL_G)), "t5xxl": ("t5", _t5(77))}, join_sd3, optional=True
)
FLUX = TextKind({"l": ("l", _clip(SD1_L)), "t5xxl": ("t5", _t5(256))}, join_flux)
CHROMA = TextKind({"t5xxl": ("t5", _t5(1))})
PIXART = TextKind({"t5xxl": ("t5", _t5(1, "told"))})
LTX_VIDEO = TextKind({"t5xxl": ("t5", _t5(128, "told"))})
MOCHI = TextKind({"t5xxl": ("t5", _t5(256, "told"))})
AURA_FLOW = TextKind({"pile_t5xl": ("umt5", _pile_t5)})
COSMOS = TextKind({"t5xxl": ("t5", _t5(512, "zeroed"))})
WAN = TextKind({"umt5xxl": ("umt5", _t5(512, "zeroed", own_positions=True))})
QWEN = TextKind({"qwen25_7b": ("qwen2", _language(QWEN_IMAGE))})
OMNIGEN = TextKind({"qwen25_3b": ("qwen2", _language(OMNIGEN2))})
LUMINA = TextKind({"gemma2_2b": ("gemma2", _language(LUMINA2))})
Z = TextKind({"qwen3_4b": ("qwen3", _language(Z_IMAGE))})
HUNYUAN = TextKind({"l": ("l", _clip(SD1_L)), "llama": ("llama", _language(HUNYUAN_VIDEO))}, join_hunyuan_video)
HIDREAM_I1 = TextKind(
    {
        "l": ("l", _clip(replace(SD1_L, projected=True))),
        "g": ("g", _clip(SDXL_G)),
        "t5xxl": ("t5", _t5(128, "told")),
        "llama": ("llama", _language(HIDREAM)),
    },
    join_hidream,
    optional=True,
)

#: A name that only one kind of tower has; the first that is found counts.
_MARKS: tuple[tuple[str, str], ...] = (
    ("encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight", "umt5"),
    ("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", "t5"),
    ("model.layers.0.post_feedforward_layernorm.weight", "gemma2"),
    ("model.layers.0.self_attn.q_norm.weight", "qwen3"),
    ("model.layers.0.self_attn.k_proj.bias", "qwen2"),
    ("model.layers.0.self_attn.k_proj.weight", "llama"),
)
_TITLES: Mapping[str, str] = {
    "l": "CLIP-L",
    "g": "CLIP-G",
    "t5": "T5-XXL",
    "umt5": "umT5-XXL",
    "gemma2": "Gemma 2 2B",
    "qwen2": "Qwen2.5-VL 7B",
    "qwen3": "Qwen3 4B",
    "llama": "Llama 3",
}


def tower_marks(checkpoint: Checkpoint) -> str | None:
    """What a file of a text encoder holds: "t5", "umt5", "qwen2", …, or "l", "h" or "g"; None for other files."""
    mark = next((kind for name, kind in _MARKS if name in checkpoint.entries), None)
    if mark is not None:
        return mark
    size = clip_size(checkpoint)
    return None if size is None else size.tower


def _by_mark(files: EncoderFiles) -> dict[str, Checkpoint]:
    """The files by what they hold; of two that look like CLIP-L the wider one is CLIP-G."""
    found: dict[str, Checkpoint] = {}
    for checkpoint in files.checkpoints:
        mark = tower_marks(checkpoint)
        if mark is None:
            raise detect.refusal(checkpoint.path.name, checkpoint.entries, "a text encoder")
        if mark == "l" and "l" in found:
            small, large = sorted((found["l"], checkpoint), key=_width)
            found["l"], found["g"] = small, large
        else:
            found[mark] = checkpoint
    return found


def _width(checkpoint: Checkpoint) -> int:
    size = clip_size(checkpoint)
    return 0 if size is None else size.width


def loader(*kinds: TextKind) -> LoadEncoder:
    """The function that makes the CLIP of a type: of the first kind whose towers the files hold.

    It raises ModelError when they hold those of none.
    """

    def load(files: EncoderFiles) -> TextEncoder:
        found = _by_mark(files)
        for kind in kinds:
            if _suits(kind, set(found)):
                return _encoder(kind, {mark: _source(files, found[mark]) for mark in found})
        wanted = " or ".join(_listed(kind) for kind in kinds)
        given = ", ".join(f"{_TITLES.get(mark, mark)} ({file.path.name})" for mark, file in found.items())
        raise ModelError(f"this type of CLIP is made of {wanted}; given were {given}", hint="choose other files")

    return load


def _suits(kind: TextKind, found: set[str]) -> bool:
    marks = {mark for mark, _ in kind.towers.values()}
    return found <= marks if kind.optional else found == marks


def _source(files: EncoderFiles, checkpoint: Checkpoint) -> TowerSource:
    return TowerSource(checkpoint, checkpoint.entries, files.device, files.embeddings, files.tokenizers)


def _listed(kind: TextKind) -> str:
    titles = [_TITLES[mark] for mark, _ in kind.towers.values()]
    return (" and ".join(titles)) + (" (or some of them)" if kind.optional else "")


def _encoder(kind: TextKind, sources: Mapping[str, TowerSource]) -> TextEncoder:
    towers = {name: make(sources[mark]) for name, (mark, make) in kind.towers.items() if mark in sources}
    return TextEncoder(towers, kind.join)


def load_from_checkpoint(
    checkpoint: Checkpoint, kind: TextKind, device: str, embeddings: FindFile
) -> TextEncoder | None:
    """The CLIP in a whole checkpoint; None when a tower that the family needs is not in it.

    Raises:
        ModelError: a tower is incomplete.
    """
    sources = {}
    for name, (mark, _) in kind.towers.items():
        prefix = f"text_encoders.{kind.prefixes.get(name, name)}."
        part = checkpoint.part(f"{prefix}transformer.") or checkpoint.part(prefix)
        if part:
            sources[mark] = TowerSource(checkpoint, part, device, embeddings, tokenizers_of_the_run)
    if not sources or not _suits(kind, set(sources)):
        return None
    return _encoder(kind, sources)


TRANSFORMER_TYPES: Mapping[str, LoadEncoder] = {
    "sd3": loader(SD3),
    "flux": loader(FLUX),
    "qwen_image": loader(QWEN),
    "omnigen2": loader(OMNIGEN),
    "wan": loader(WAN),
    "lumina2": loader(LUMINA, Z),
    "chroma": loader(CHROMA),
    "pixart": loader(PIXART),
    "ltxv": loader(LTX_VIDEO),
    "mochi": loader(MOCHI),
    "cosmos": loader(COSMOS),
    "hunyuan_video": loader(HUNYUAN),
    "hidream": loader(HIDREAM_I1),
}
"""The types of the CLIP loaders that are those of diffusion transformers."""
