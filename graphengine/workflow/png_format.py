"""Workflows in PNG pictures: the text chunks `prompt` and `workflow`, or EXIF or XMP data.

Chunks are walked without decoding the picture; of a file of any size only its text is read.
"""

import zlib
from typing import BinaryIO

from graphengine.workflow.byte_reader import ByteReader
from graphengine.workflow.documents import Document
from graphengine.workflow.exif import exif_texts
from graphengine.workflow.json_input import MAX_BYTES
from graphengine.workflow.metadata import Text, decode_text, document_from_texts, is_wanted
from graphengine.workflow.xmp import PNG_NAME, xmp_texts

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TEXT_TYPES = frozenset({b"tEXt", b"zTXt", b"iTXt"})


class PngFormat:
    """PNG pictures as ComfyUI saves them."""

    def detect(self, head: bytes) -> bool:
        """Whether a file that begins so is a PNG picture."""
        return head.startswith(SIGNATURE)

    def read(self, stream: BinaryIO) -> Document:
        """The documents in a picture's text chunks; the API document is what ran.

        Raises:
            WorkflowFormatError: the picture is damaged, or holds no workflow that can be read.
        """
        reader = ByteReader(stream, "PNG picture")
        return document_from_texts(_texts(reader), reader.kind)


def _texts(reader: ByteReader) -> list[Text]:
    """The wanted texts; a picture that is cut off behind them is no reason to refuse."""
    if reader.take(len(SIGNATURE)) != SIGNATURE:
        raise reader.damaged("it has no PNG signature")
    texts: list[Text] = []
    while reader.left >= 8 or not texts:
        reader.part()
        length, kind = reader.number(4), reader.take(4)
        if kind == b"IEND":
            break
        if kind in _TEXT_TYPES:
            texts += _text(kind, _chunk(reader, length, kind), reader)
        elif kind == b"eXIf":
            texts += exif_texts(_chunk(reader, length, kind), reader)
        else:
            reader.skip(length + 4)
    return texts


def _chunk(reader: ByteReader, length: int, kind: bytes) -> bytes:
    data = reader.take(length)
    if zlib.crc32(kind + data) != reader.number(4):
        raise reader.damaged(f"the checksum of a {kind.decode()} chunk does not fit")
    return data


def _text(kind: bytes, data: bytes, reader: ByteReader) -> list[Text]:
    """Name and text of a text chunk; nothing when the name is none of ours."""
    key, _, rest = data.partition(b"\0")
    name = key.decode("latin-1")
    if not is_wanted(name) and name != PNG_NAME:
        return []
    compressed = kind == b"zTXt"
    if kind == b"zTXt":
        rest = rest[1:]  # the compression method, always 0
    elif kind == b"iTXt":
        compressed = rest[:1] == b"\1"
        _language, _, rest = rest[2:].partition(b"\0")
        _translated, _, rest = rest.partition(b"\0")
    text = _inflated(rest, reader) if compressed else rest
    return xmp_texts(text) if name == PNG_NAME else [(name, decode_text(text))]


def _inflated(data: bytes, reader: ByteReader) -> bytes:
    try:
        text = zlib.decompressobj().decompress(data, MAX_BYTES + 1)
    except zlib.error as error:
        raise reader.damaged("a compressed text cannot be read") from error
    reader.spend(len(text))
    return text
