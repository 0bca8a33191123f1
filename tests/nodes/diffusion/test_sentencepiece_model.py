"""Vocabularies of SentencePiece, written here as protocol buffers."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine.errors import ModelError
from graphengine_nodes.diffusion.text.text_towers.sentencepiece_model import (
    read_vocabulary,
    sentencepiece_tokenizer,
)

NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
UNIGRAM, BPE = 1, 2


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def model(pieces: list[tuple[str, float, int]], kind: int, *, fallback: bool = False, space: bool = True) -> bytes:
    content = b""
    for text, score, sort in pieces:
        number = varint(2 << 3 | 5) + struct.pack("<f", score)
        content += field(1, field(1, text.encode()) + number + field(3, sort))
    trainer = field(3, kind) + (field(35, 1) if fallback else b"")
    return content + field(2, trainer) + field(3, field(1, b"nmt_nfkc") + field(3, int(space)))


SPECIAL = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL)]
PIECES = [("▁", -1.0), ("a", -2.0), ("b", -3.0), ("ab", -4.0), ("▁ab", -5.0), ("ba", -6.0)]


def test_byte_pairs_are_merged_by_their_scores() -> None:
    tokenize = sentencepiece_tokenizer(model([*SPECIAL, *((*piece, NORMAL) for piece in PIECES)], BPE))
    assert tokenize("ab") == [6]
    assert tokenize("ab ba") == [6, 2, 7]
    assert tokenize("bab") == [2, 4, 5]
    assert tokenize("aé") == [2, 3, 0]


def test_the_best_unigrams_are_taken() -> None:
    pieces = [*SPECIAL, ("▁", -3.0, NORMAL), ("a", -3.0, NORMAL), ("b", -3.0, NORMAL), ("▁ab", -4.0, NORMAL)]
    tokenize = sentencepiece_tokenizer(model(pieces, UNIGRAM))
    assert tokenize("ab b") == [5, 2, 4]


def test_no_space_is_put_before_when_the_model_says_so() -> None:
    pieces = [*SPECIAL, *((*piece, NORMAL) for piece in PIECES)]
    assert sentencepiece_tokenizer(model(pieces, BPE, space=False))("ab") == [5]


def test_unknown_text_falls_back_to_its_bytes() -> None:
    letters = [("▁", -1.0, NORMAL), ("a", -2.0, NORMAL)]
    pieces = [*SPECIAL, *((f"<0x{byte:02X}>", 0.0, BYTE) for byte in range(256)), *letters]
    tokenize = sentencepiece_tokenizer(model(pieces, BPE, fallback=True))
    assert tokenize("aé") == [258, 259, 2 + 0xC3, 2 + 0xA9]


def test_settings_are_read() -> None:
    vocabulary = read_vocabulary(model([("a", -2.5, NORMAL), ("<unk>", 0.0, UNKNOWN)], BPE, space=False))
    assert vocabulary.pieces == [("a", -2.5), ("<unk>", 0.0)]
    assert (vocabulary.unknown, vocabulary.kind, vocabulary.space_before) == (1, BPE, False)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "neither of unigrams nor of byte pairs"),
        (b"\x0a\xff", "damaged"),
        (b"\x0a\x05ab", "field 1 is cut off"),
        (b"\x0b", "unknown kind 3"),
        (b"\xff" * 11, "a number has no end"),
        (model([("a", 0.0, NORMAL)], 3), "neither of unigrams nor of byte pairs"),
    ],
)
def test_a_damaged_vocabulary_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        sentencepiece_tokenizer(content)


@given(st.binary(max_size=40))
def test_any_bytes_are_a_vocabulary_or_refused(content: bytes) -> None:
    try:
        tokenize = sentencepiece_tokenizer(content)
    except ModelError:
        return
    assert isinstance(tokenize("a"), list)
