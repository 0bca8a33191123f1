"""Texts in ID3 tags, versions 2.2 to 2.4: texts of the user's own (`TXXX`) and comments (`COMM`).

A tag is a head of ten bytes and frames: a name, a length, flags, and data. Version 2.4 writes lengths in bytes of
seven bits.
"""

import zlib
from collections.abc import Iterator

from graphengine.workflow.byte_reader import ByteReader
from graphengine.workflow.json_input import MAX_BYTES
from graphengine.workflow.metadata import COMMENT, Text, decode_text, decode_utf16, is_wanted

_UNSYNCHRONISED, _EXTENDED = 0x80, 0x40
_OWN_TEXT, _COMMENT = frozenset({b"TXXX", b"TXX"}), frozenset({b"COMM", b"COM"})
# encodings of a text; the others are one byte wide, or UTF-8
_UTF16_BE = b"\2"
_WIDE = frozenset({b"\1", _UTF16_BE})
# flags of a frame, by version
_PACKED = {3: 0x80, 4: 0x08}
_ENCRYPTED = {3: 0x40, 4: 0x04}
_FRAME_UNSYNCHRONISED, _LENGTH_GIVEN = 0x02, 0x01


def id3_texts(reader: ByteReader) -> list[Text]:
    """The wanted texts of the tag at the beginning of a file.

    Raises:
        WorkflowFormatError: the tag is damaged, or of a version that is not known.
    """
    head = reader.take(10)
    version, flags = head[3], head[5]
    if version not in (2, 3, 4):
        raise reader.damaged(f"its tag is of version 2.{version}, which nobody has described")
    tag = reader.take(_seven_bits(head[6:10]))
    if flags & _UNSYNCHRONISED and version < 4:
        tag = tag.replace(b"\xff\0", b"\xff")
    place = 0
    if flags & _EXTENDED and version > 2:
        size = tag[:4]
        place = _seven_bits(size) if version == 4 else 4 + int.from_bytes(size)
    return [
        text
        for name, data in _frames(tag, place, version, reader)
        if name in _OWN_TEXT | _COMMENT and (text := _text(name, data)) is not None
    ]


def _frames(tag: bytes, place: int, version: int, reader: ByteReader) -> Iterator[tuple[bytes, bytes]]:
    """Name and data of each frame up to the filling at the end."""
    letters = 3 if version == 2 else 4
    head = 6 if version == 2 else 10
    while place + head <= len(tag) and tag[place] != 0:
        reader.part()
        name = tag[place : place + letters]
        length = tag[place + letters : place + 2 * letters]
        size = _seven_bits(length) if version == 4 else int.from_bytes(length)
        flags = 0 if version == 2 else tag[place + 9]
        place += head
        if size > len(tag) - place:
            raise reader.damaged(f"the frame {name.decode('latin-1')!r} of its tag is longer than the tag")
        if name in _OWN_TEXT | _COMMENT and not flags & _ENCRYPTED.get(version, 0):
            yield name, _unpacked(tag[place : place + size], flags, version, reader)
        place += size


def _unpacked(data: bytes, flags: int, version: int, reader: ByteReader) -> bytes:
    """The data of a frame as it was before it was packed for the tag."""
    if version == 4 and flags & _LENGTH_GIVEN:
        data = data[4:]
    if version == 4 and flags & _FRAME_UNSYNCHRONISED:
        data = data.replace(b"\xff\0", b"\xff")
    if not flags & _PACKED.get(version, 0):
        return data
    try:
        data = zlib.decompressobj().decompress(data[4:] if version == 3 else data, MAX_BYTES + 1)
    except zlib.error as error:
        raise reader.damaged("a packed frame of its tag cannot be read") from error
    reader.spend(len(data))
    return data


def _text(name: bytes, data: bytes) -> Text | None:
    """Description and text of a frame: an encoding, for comments a language, a text, zero, a text."""
    encoding, data = data[:1], data[4:] if name in _COMMENT else data[1:]
    description, text = _split(data, wide=encoding in _WIDE)
    key = _decoded(description, encoding)
    if name in _COMMENT and not is_wanted(key):
        key = COMMENT
    return (key, _decoded(text, encoding)) if is_wanted(key) else None


def _split(data: bytes, *, wide: bool) -> tuple[bytes, bytes]:
    """What stands before and behind the first zero; a zero of wide characters is two bytes at an even place."""
    if not wide:
        before, _, after = data.partition(b"\0")
        return before, after
    end = data.find(b"\0\0")
    while end >= 0 and end % 2:
        end = data.find(b"\0\0", end + 1)
    return (data, b"") if end < 0 else (data[:end], data[end + 2 :])


def _decoded(data: bytes, encoding: bytes) -> str:
    if encoding in _WIDE:
        return decode_utf16(data, big=encoding == _UTF16_BE or data.startswith(b"\xfe\xff"))
    return decode_text(data)


def _seven_bits(data: bytes) -> int:
    """A number whose bytes have seven bits each."""
    value = 0
    for byte in data:
        value = value << 7 | byte & 0x7F
    return value
