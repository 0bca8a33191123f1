"""The tokenizers of T5, umT5 and Qwen from vocabularies that ship as package data, and others from files.

Data: scripts/build_tokenizer_data.py. The vocabularies of Llama and Gemma may not be shipped; they are read from
`models/tokenizers/<name>/tokenizer.json`, the file of that name beside the model on Hugging Face.
"""

from __future__ import annotations

import lzma
from collections.abc import Callable
from functools import cache
from importlib.resources import files

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from graphengine.node.api import Folders, ModelError, current_context
from graphengine_nodes.diffusion.text.tokenizer import Tokenize, byte_symbols

#: The vocabularies are part of what computes a conditioning.
GRAPHENGINE_CODE_FILES = (
    "diffusion/data/qwen2_merges.txt.xz",
    "diffusion/data/t5_tokenizer.json.xz",
    "diffusion/data/umt5_tokenizer.json.xz",
)

# The splitting pattern of Qwen2's published tokenizer.
_QWEN_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
#: Behind the words of the vocabulary, in the order of their ids.
_QWEN_SPECIAL = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>"),
    *("<|box_start|>", "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>"),
    *("<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"),
)

FindTokenizer = Callable[[str], Tokenize]
"""The tokenizer of a language model by the name of its folder, such as "llama3"; raises `ModelError`."""


def _read(name: str) -> str:
    packed = files("graphengine_nodes.diffusion").joinpath(f"data/{name}.xz").read_bytes()
    return lzma.decompress(packed).decode("utf-8")


def _plain(tokenizer: Tokenizer) -> Tokenize:
    def tokenize(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False).ids)

    return tokenize


@cache
def t5_tokenizer() -> Tokenize:
    """The tokenizer of T5: 32,100 pieces. Reading it takes 0.1 s."""
    return _plain(Tokenizer.from_str(_read("t5_tokenizer.json")))


@cache
def umt5_tokenizer() -> Tokenize:
    """The tokenizer of umT5: 256,300 pieces. Reading it takes a second."""
    return _plain(Tokenizer.from_str(_read("umt5_tokenizer.json")))


@cache
def qwen_tokenizer() -> Tokenize:
    """The byte-pair tokenizer of Qwen2, Qwen2.5 and Qwen3. Building it takes half a second."""
    lines = _read("qwen2_merges.txt").rstrip("\n").split("\n")
    merges = [(first, second) for first, second in (line.split(" ") for line in lines)]
    symbols = [*byte_symbols(), *(first + second for first, second in merges)]
    vocabulary = {symbol: number for number, symbol in enumerate(symbols)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, fuse_unk=False))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_QWEN_WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in _QWEN_SPECIAL])
    return _plain(tokenizer)


def tokenizer_files(folders: Folders) -> FindTokenizer:
    """Looks tokenizers up in the folder "tokenizers" of the models."""

    def find(name: str) -> Tokenize:
        path = folders.find("tokenizers", f"{name}/tokenizer.json")
        if path is None:
            return no_tokenizer(name)
        try:
            return _plain(Tokenizer.from_str(path.read_text(encoding="utf-8")))
        except Exception as error:
            raise ModelError(
                f"tokenizer file 'tokenizers/{name}/tokenizer.json' cannot be read: {error}",
                hint="it must be the file tokenizer.json of a Hugging Face model",
            ) from error

    return find


def tokenizers_of_the_run(name: str) -> Tokenize:
    """Looks a tokenizer up in the folders of the node that runs: for towers of whole checkpoints.

    Raises:
        ModelError: it is not there, or no node runs.
    """
    context = current_context.get()
    return no_tokenizer(name) if context is None else tokenizer_files(context.folders)(name)


def no_tokenizer(name: str) -> Tokenize:
    """Where a vocabulary is missing.

    Raises:
        ModelError: in any case; it says what to put where.
    """
    raise ModelError(
        f"the vocabulary of {name!r} is missing, and its licence does not let it be shipped",
        hint=f"put the file tokenizer.json of that model at models/tokenizers/{name}/tokenizer.json",
    )
