"""Workflows in files made of boxes (ISO base media): MP4 and MOV videos, AVIF and HEIF pictures.

A box is a length, a name of four letters, and data or further boxes. Videos keep texts in `moov`: as `meta` with
`keys` (names of any kind, what ComfyUI writes), as `meta` with four-letter names (`©cmt`), or as QuickTime's plain
texts. Pictures list their items in `meta`; the item of type `Exif` holds EXIF data.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from graphengine.workflow.byte_reader import ByteReader
from graphengine.workflow.documents import Document
from graphengine.workflow.exif import exif_texts
from graphengine.workflow.metadata import COMMENT, Text, decode_text, decode_utf16, document_from_texts, is_wanted

_STARTS = frozenset({b"ftyp", b"moov", b"wide", b"mdat"})
_PICTURES = {b"avif": "AVIF picture", b"avis": "AVIF picture", b"heic": "HEIF picture", b"mif1": "HEIF picture"}
_COMMENTS = frozenset({b"\xa9cmt", b"\xa9des", b"\xa9inf", b"desc", b"ldes"})
_UTF16 = b"\2"  # the kind of a value; all others are UTF-8


class BoxFormat:
    """MP4 and MOV videos, M4A sound, AVIF and HEIF pictures."""

    def detect(self, head: bytes) -> bool:
        """Whether a file that begins so is made of boxes."""
        return head[:1] == b"\0" and head[4:8] in _STARTS

    def read(self, stream: BinaryIO) -> Document:
        """The documents in the file.

        Raises:
            WorkflowFormatError: the file is damaged, or holds no workflow that can be read.
        """
        head = stream.read(12)
        brand = head[8:12] if head[4:8] == b"ftyp" else b""
        reader = ByteReader(stream, _PICTURES.get(brand, "MOV video" if brand in (b"", b"qt  ") else "MP4 video"))
        return document_from_texts(_texts(reader), reader.kind)


@dataclass(frozen=True, slots=True)
class _Box:
    name: bytes
    start: int
    end: int


def _boxes(reader: ByteReader, start: int, end: int) -> Iterator[_Box]:
    """The boxes between two places; the reader may be moved meanwhile."""
    while start + 8 <= end:
        reader.part()
        reader.move_to(start)
        size, name, head = reader.number(4), reader.take(4), 8
        if size == 1:  # the length stands behind the name
            size, head = reader.number(8), 16
        elif size == 0:  # all the rest
            size = end - start
        if size < head:
            raise reader.damaged(f"a box {_shown(name)} is shorter than its own head")
        if start + size > end:
            raise reader.damaged(f"a box {_shown(name)} is longer than what holds it")
        yield _Box(name, start + head, start + size)
        start += size


def _texts(reader: ByteReader) -> list[Text]:
    texts: list[Text] = []
    boxes = _boxes(reader, 0, reader.size)
    while not texts:  # so a file that is cut off behind its texts is read
        box = next(boxes, None)
        if box is None:
            break
        if box.name == b"moov":
            texts = _movie_texts(reader, box)
        elif box.name == b"meta":
            texts = _meta_texts(reader, box)
    return texts


def _movie_texts(reader: ByteReader, movie: _Box) -> list[Text]:
    texts: list[Text] = []
    for box in _boxes(reader, movie.start, movie.end):
        if box.name == b"meta":
            texts += _meta_texts(reader, box)
        elif box.name == b"udta":
            for entry in _boxes(reader, box.start, box.end):
                if entry.name == b"meta":
                    texts += _meta_texts(reader, entry)
                elif entry.name in _COMMENTS and entry.end - entry.start > 4:
                    reader.move_to(entry.start)
                    length = reader.number(2)
                    reader.skip(2)  # the language
                    texts.append((COMMENT, decode_text(reader.take(min(length, entry.end - reader.position)))))
    return texts


def _meta_texts(reader: ByteReader, meta: _Box) -> list[Text]:
    """Texts of a `meta` box: `keys` with `ilst`, `ilst` alone, or items of a picture."""
    reader.move_to(meta.start + 4)
    versioned = reader.left >= 4 and reader.take(4) != b"hdlr"  # QuickTime leaves the version out
    parts = {box.name: box for box in _boxes(reader, meta.start + 4 * versioned, meta.end)}
    if b"ilst" in parts:
        names = _key_names(reader, parts[b"keys"]) if b"keys" in parts else {}
        return list(_list_texts(reader, parts[b"ilst"], names))
    if b"iinf" in parts and b"iloc" in parts:
        return _item_texts(reader, parts)
    return []


def _key_names(reader: ByteReader, keys: _Box) -> dict[int, str]:
    """Names of keys by their number, from 1."""
    boxes = _boxes(reader, keys.start + 8, keys.end)
    return {
        number: decode_text(_content(reader, box)).removeprefix("com.apple.quicktime.")
        for number, box in enumerate(boxes, 1)
    }


def _list_texts(reader: ByteReader, values: _Box, names: dict[int, str]) -> Iterator[Text]:
    """Texts of a list; an entry is called by the number of its key, or by four letters."""
    for entry in _boxes(reader, values.start, values.end):
        name = names.get(int.from_bytes(entry.name), COMMENT if entry.name in _COMMENTS else "")
        data: bytes | None = None
        for box in _boxes(reader, entry.start, entry.end):
            if box.name == b"name":  # of an entry `----`, whose name is free
                reader.move_to(box.start + 4)
                name = decode_text(reader.take(max(box.end - reader.position, 0)))
            elif box.name == b"data" and is_wanted(name):
                data = _content(reader, box)
        if data is not None:
            text = decode_utf16(data[8:], big=True) if data[3:4] == _UTF16 else decode_text(data[8:])
            yield name, text


def _item_texts(reader: ByteReader, parts: dict[bytes, _Box]) -> list[Text]:
    """EXIF data of a picture: the items of type `Exif`, found through the table of places."""
    wanted = _exif_items(reader, parts[b"iinf"])
    texts: list[Text] = []
    for item, pieces in _places(reader, parts[b"iloc"], parts.get(b"idat")):
        if item in wanted:
            data = bytearray()
            for start, length in pieces:
                reader.part()
                reader.move_to(start)
                data += reader.take(length)
            texts += exif_texts(bytes(data[4 + int.from_bytes(data[:4]) :]), reader)
    return texts


def _exif_items(reader: ByteReader, table: _Box) -> frozenset[int]:
    reader.move_to(table.start)
    version = reader.number(1)
    start = table.start + (6 if version == 0 else 8)
    items = set()
    for box in _boxes(reader, start, table.end):
        head = _content(reader, box, most=16)
        width = 2 if head[:1] == b"\2" else 4
        if box.name == b"infe" and head[4 + width + 2 : 4 + width + 6] == b"Exif":
            items.add(int.from_bytes(head[4 : 4 + width]))
    return frozenset(items)


def _places(reader: ByteReader, table: _Box, inner: _Box | None) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Each item with where its pieces stand in the file."""
    reader.move_to(table.start)
    version = reader.number(1)
    reader.skip(3)
    sizes = reader.number(2)
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version else 0
    number_size = 2 if version < 2 else 4
    for _ in range(reader.number(number_size)):
        reader.part()
        item = reader.number(number_size)
        inside = version > 0 and reader.number(2) & 15 == 1
        reader.skip(2)  # which file it is in: this one
        base = reader.number(base_size) + (inner.start if inside and inner is not None else 0)
        pieces = []
        for _ in range(reader.number(2)):
            reader.part()
            reader.skip(index_size)
            start, length = reader.number(offset_size), reader.number(length_size)
            pieces.append((base + start, length))
        here = reader.position
        yield item, pieces
        reader.move_to(here)


def _content(reader: ByteReader, box: _Box, most: int | None = None) -> bytes:
    reader.move_to(box.start)
    size = box.end - box.start
    return reader.take(size if most is None else min(size, most))


def _shown(name: bytes) -> str:
    return repr(name.decode("latin-1"))
