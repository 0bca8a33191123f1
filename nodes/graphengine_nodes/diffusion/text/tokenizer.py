"""The byte-pair tokenizer of CLIP, from the vocabulary that ships as package data.

The ids equal those of Hugging Face's CLIPTokenizer, which has no Unicode repair and no HTML unescaping. The
vocabulary file lists merges only; ids follow from it as in OpenAI's original code: 256 bytes, the same 256 at a
word's end, one id per merge, then the start and the end token.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from functools import cache
from importlib.resources import files

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

#: The vocabulary is part of what computes a conditioning.
GRAPHENGINE_CODE_FILES = ("diffusion/data/bpe_simple_vocab_16e6.txt.gz",)

_MERGES = 49408 - 256 * 2 - 2
_WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
_SPECIAL = ("<|startoftext|>", "<|endoftext|>")


Tokenize = Callable[[str], list[int]]
"""Text → token ids, not truncated, without start and end token."""


@cache
def clip_tokenizer() -> Tokenize:
    """The CLIP tokenizer. It has no state; building it takes about 0.2 s, so that all towers share one."""
    merges = read_merges()
    of_bytes = byte_symbols()
    symbols = [*of_bytes, *(symbol + "</w>" for symbol in of_bytes)]
    symbols += [first + second for first, second in merges]
    vocabulary = {symbol: number for number, symbol in enumerate([*symbols, *_SPECIAL])}
    tokenizer = Tokenizer(
        models.BPE(
            vocab=vocabulary,
            merges=merges,
            continuing_subword_prefix="",
            end_of_word_suffix="</w>",
            fuse_unk=False,
            unk_token=_SPECIAL[1],
        )
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in _SPECIAL])

    def tokenize(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False).ids)

    return tokenize


def read_merges() -> list[tuple[str, str]]:
    """The 48,894 merges of the vocabulary file in order of rank."""
    packed = files("graphengine_nodes.diffusion").joinpath("data/bpe_simple_vocab_16e6.txt.gz").read_bytes()
    lines = gzip.decompress(packed).decode("utf-8").split("\n")[1 : _MERGES + 1]
    pairs = (line.split() for line in lines)
    return [(first, second) for first, second in pairs]


def byte_symbols() -> list[str]:
    """One printable character per byte, as GPT-2 and CLIP write bytes; bytes that print stand for themselves."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = 256 - len(printable)
    return [chr(byte) for byte in printable] + [chr(256 + number) for number in range(others)]
