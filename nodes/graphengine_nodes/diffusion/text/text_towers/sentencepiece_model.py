"""SentencePiece vocabularies (Kudo and Richardson, 2018), which files of text encoders carry as a tensor.

The format is a protocol buffer, sentencepiece_model.proto: pieces with scores and types, and a few settings. It is
read here to the extent that the tokenizers library needs. Byte-pair vocabularies store no merges: they follow from
the scores, as in transformers' converter of such models.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from tokenizers import Tokenizer, models, normalizers

from graphengine.node.api import ModelError
from graphengine_nodes.diffusion.text.tokenizer import Tokenize

_SPACE = "▁"
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5  # kinds of fields of protocol buffers
_UNIGRAM, _BPE = 1, 2
_UNKNOWN = 2  # the type of the piece for everything else
_LONGEST_VARINT = 10


@dataclass(slots=True)
class Vocabulary:
    """What a model file says: pieces with scores, which one is for unknown text, and how texts are prepared."""

    pieces: list[tuple[str, float]] = field(default_factory=list)
    unknown: int = 0
    kind: int = _UNIGRAM
    byte_fallback: bool = False
    space_before: bool = True


def sentencepiece_tokenizer(content: bytes) -> Tokenize:
    """The tokenizer of a model file, without start and end token. Large vocabularies take seconds.

    Raises:
        ModelError: the content is no such model, or of a kind other than unigram and byte pairs.
    """
    try:
        vocabulary = read_vocabulary(content)
    except (ValueError, IndexError, struct.error, UnicodeDecodeError) as error:
        raise ModelError(f"the vocabulary in the text encoder's file is damaged: {error}") from error
    if vocabulary.kind not in (_UNIGRAM, _BPE) or not vocabulary.pieces:
        raise ModelError("the vocabulary in the text encoder's file is neither of unigrams nor of byte pairs")
    tokenizer = Tokenizer(_unigrams(vocabulary) if vocabulary.kind == _UNIGRAM else _byte_pairs(vocabulary))
    prepared = [normalizers.Replace(" ", _SPACE)]
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend(_SPACE), *prepared] if vocabulary.space_before else prepared
    )

    def tokenize(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False).ids)

    return tokenize


def _unigrams(vocabulary: Vocabulary) -> models.Model:
    return models.Unigram(vocabulary.pieces, vocabulary.unknown, vocabulary.byte_fallback)


def _byte_pairs(vocabulary: Vocabulary) -> models.Model:
    numbers = {piece: number for number, (piece, _) in enumerate(vocabulary.pieces)}
    merges = [
        (-score, numbers[piece[:cut]], numbers[piece[cut:]], piece[:cut], piece[cut:])
        for piece, score in vocabulary.pieces
        for cut in range(1, len(piece))
        if piece[:cut] in numbers and piece[cut:] in numbers
    ]
    ranked = [(first, second) for *_, first, second in sorted(merges)]
    unknown = vocabulary.pieces[vocabulary.unknown][0]
    return models.BPE(
        vocab=numbers, merges=ranked, unk_token=unknown, fuse_unk=True, byte_fallback=vocabulary.byte_fallback
    )


def read_vocabulary(content: bytes) -> Vocabulary:
    """What a model file says.

    Raises:
        ValueError, IndexError, struct.error, UnicodeDecodeError: it is damaged.
    """
    vocabulary = Vocabulary()
    for number, value in _fields(content):
        if number == 1 and isinstance(value, bytes):
            _add_piece(vocabulary, value)
        elif number == 2 and isinstance(value, bytes):
            settings = dict(_fields(value))
            vocabulary.kind = int(settings.get(3, _UNIGRAM))
            vocabulary.byte_fallback = bool(settings.get(35, 0))
        elif number == 3 and isinstance(value, bytes):
            vocabulary.space_before = bool(dict(_fields(value)).get(3, 1))
    return vocabulary


def _add_piece(vocabulary: Vocabulary, content: bytes) -> None:
    text, score, kind = b"", 0.0, 1
    for number, value in _fields(content):
        if number == 1 and isinstance(value, bytes):
            text = value
        elif number == 2 and isinstance(value, bytes):
            (score,) = struct.unpack("<f", value)
        elif number == 3 and isinstance(value, int):
            kind = value
    if kind == _UNKNOWN:
        vocabulary.unknown = len(vocabulary.pieces)
    vocabulary.pieces.append((text.decode("utf-8"), score))


def _fields(content: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message: number and value; numbers of fixed size as their bytes."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _varint(content, at)
            yield number, value
            continue
        if kind == _BYTES:
            size, at = _varint(content, at)
        elif kind in (_EIGHT, _FOUR):
            size = 8 if kind == _EIGHT else 4
        else:
            raise ValueError(f"field {number} is of the unknown kind {kind}")
        if at + size > len(content):
            raise ValueError(f"field {number} is cut off")
        yield number, content[at : at + size]
        at += size


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(_LONGEST_VARINT):
        byte = content[at + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at + place + 1
    raise ValueError("a number has no end")
