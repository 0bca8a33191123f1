"""Texts in EXIF data, as pictures and some videos carry it.

EXIF is a TIFF file without pixels: a header, and directories of entries of 12 bytes (tag, type, count, value or
its place). ComfyUI writes `workflow:{...}` and `prompt:{...}` into tags of the camera, from `Make` downwards; some
packs write JSON into `ImageDescription` or `UserComment`.
"""

from struct import Struct

from graphengine.workflow.byte_reader import ByteReader
from graphengine.workflow.metadata import COMMENT, Text, decode_text, decode_utf16

_PREFIX = b"Exif\0\0"
_ASCII = 2
_BYTES = frozenset({1, _ASCII, 7})  # kinds whose values are as long as their count
_EXIF_DIRECTORY = 0x8769
_USER_COMMENT = 0x9286
_ENTRY_SIZE = 12


def exif_texts(data: bytes, reader: ByteReader) -> list[Text]:
    """The texts in EXIF data that stood in the reader's file, with or without the prefix `Exif`.

    Raises:
        WorkflowFormatError: the data is no EXIF data, or lies about its size.
    """
    data = data.removeprefix(_PREFIX)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None or len(data) < 8:
        raise reader.damaged("its EXIF data has no header")
    (first,) = Struct(order + "I").unpack_from(data, 4)
    texts: list[Text] = []
    seen: set[int] = set()
    pending, room = [first], len(data)
    while pending:
        place = pending.pop()
        if place in seen:
            continue
        seen.add(place)
        for tag, kind, count, value in _entries(data, place, order, reader):
            if tag == _EXIF_DIRECTORY:
                pending.append(value)
            elif kind == _ASCII or (kind in _BYTES and tag == _USER_COMMENT):
                room -= count  # entries that share their bytes would make much of little
                if room < 0:
                    raise reader.damaged("the texts of its EXIF data are longer than the data")
                raw = data[value : value + count]
                texts.append((COMMENT, _user_comment(raw, order) if tag == _USER_COMMENT else _ascii(raw)))
    return texts


def _entries(data: bytes, place: int, order: str, reader: ByteReader) -> list[tuple[int, int, int, int]]:
    """Tag, type, count, and the value or its place, of each entry of a directory."""
    head, entry = Struct(order + "H"), Struct(order + "HHII")
    start = place + head.size
    if start > len(data):
        raise reader.damaged("a directory of its EXIF data is not there")
    (count,) = head.unpack_from(data, place)
    if start + count * _ENTRY_SIZE > len(data):
        raise reader.damaged("a directory of its EXIF data is cut off")
    entries = []
    for index in range(count):
        reader.part()
        tag, kind, length, value = entry.unpack_from(data, start + index * _ENTRY_SIZE)
        if length <= 4 and kind in _BYTES:  # the value stands in the entry itself
            value = start + index * _ENTRY_SIZE + 8
        entries.append((tag, kind, length, value))
    return entries


def _ascii(raw: bytes) -> str:
    return decode_text(raw.partition(b"\0")[0])


def _user_comment(raw: bytes, order: str) -> str:
    """A comment behind eight bytes that name its encoding."""
    encoding, text = raw[:8], raw[8:]
    if encoding == b"UNICODE\0":
        # some programs write one order whatever the header says: texts begin in ASCII, which shows it
        big = text[:1] in (b"\0", b"\xfe") or (order == ">" and text[:1] != b"\xff" and text[1:2] != b"\0")
        return decode_utf16(text, big=big)
    return decode_text(text if encoding in (b"ASCII\0\0\0", bytes(8)) else raw)
