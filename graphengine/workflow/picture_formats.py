"""Workflows in WebP, JPEG and GIF pictures: EXIF and XMP data and comments, found without decoding a picture."""

from typing import BinaryIO

from graphengine.workflow.byte_reader import ByteReader
from graphengine.workflow.documents import Document
from graphengine.workflow.exif import exif_texts
from graphengine.workflow.metadata import COMMENT, Text, decode_text, document_from_texts
from graphengine.workflow.xmp import JPEG_EXTENSION, JPEG_NAME, xmp_texts

_EXIF = b"Exif\0\0"
_DIGEST = 32  # letters
_APP1, _COM, _SOS, _EOI = 0xE1, 0xFE, 0xDA, 0xD9
_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
_GIF_EXTENSION, _GIF_PICTURE, _GIF_END = 0x21, 0x2C, 0x3B
_GIF_COMMENT = 0xFE


class WebpFormat:
    """WebP pictures; the workflow stands in their EXIF or XMP data."""

    def detect(self, head: bytes) -> bool:
        """Whether a file that begins so is a WebP picture."""
        return head.startswith(b"RIFF") and head[8:12] == b"WEBP"

    def read(self, stream: BinaryIO) -> Document:
        """The documents in the picture.

        Raises:
            WorkflowFormatError: the picture is damaged, or holds no workflow that can be read.
        """
        reader = ByteReader(stream, "WebP picture")
        return document_from_texts(_webp_texts(reader), reader.kind)


class JpegFormat:
    """JPEG pictures; the workflow stands in their EXIF or XMP data or their comment."""

    def detect(self, head: bytes) -> bool:
        """Whether a file that begins so is a JPEG picture."""
        return head.startswith(b"\xff\xd8\xff")

    def read(self, stream: BinaryIO) -> Document:
        """The documents in the picture.

        Raises:
            WorkflowFormatError: the picture is damaged, or holds no workflow that can be read.
        """
        reader = ByteReader(stream, "JPEG picture")
        return document_from_texts(_jpeg_texts(reader), reader.kind)


class GifFormat:
    """GIF pictures; the workflow stands in their comments."""

    def detect(self, head: bytes) -> bool:
        """Whether a file that begins so is a GIF picture."""
        return head.startswith((b"GIF87a", b"GIF89a"))

    def read(self, stream: BinaryIO) -> Document:
        """The documents in the picture.

        Raises:
            WorkflowFormatError: the picture is damaged, or holds no workflow that can be read.
        """
        reader = ByteReader(stream, "GIF picture")
        return document_from_texts(_gif_texts(reader), reader.kind)


def _webp_texts(reader: ByteReader) -> list[Text]:
    """Chunks follow each other: a name, a length, and data of an even number of bytes."""
    reader.skip(12)
    texts: list[Text] = []
    while reader.left >= 8:
        reader.part()
        name, length = reader.take(4), int.from_bytes(reader.take(4), "little")
        if length > reader.left and texts:
            break  # cut off behind its workflow
        if name in (b"EXIF", b"XMP "):
            data = reader.take(length)
            # where both hold one, that of the EXIF data, which comes last, counts
            texts = [*xmp_texts(data), *texts] if name == b"XMP " else [*texts, *exif_texts(data, reader)]
            reader.skip(length % 2)
        elif length > reader.left:
            raise reader.damaged("the file ends early")
        else:
            reader.skip(length + length % 2)
    return texts


def _jpeg_texts(reader: ByteReader) -> list[Text]:
    """Segments up to the pixels: a marker, and most have a length and data."""
    reader.skip(2)
    texts: list[Text] = []
    pieces: dict[bytes, bytes] = {}  # of long XMP data
    while reader.left or not texts:  # a picture that is cut off may hold its workflow before
        reader.part()
        marker = _jpeg_marker(reader)
        if marker in (_SOS, _EOI):
            break
        if marker in _JPEG_ALONE:
            continue
        length = reader.number(2) - 2
        if length < 0:
            raise reader.damaged("a segment is shorter than its own length")
        if marker not in (_COM, _APP1):
            reader.skip(length)
        elif (data := reader.take(length)).startswith(_EXIF):
            texts += exif_texts(data, reader)
        elif marker == _COM:
            texts.append((COMMENT, decode_text(data)))
        elif data.startswith(JPEG_NAME):
            texts = [*xmp_texts(data.removeprefix(JPEG_NAME)), *texts]
        elif data.startswith(JPEG_EXTENSION):
            piece = data.removeprefix(JPEG_EXTENSION)
            pieces[piece[:_DIGEST] + piece[_DIGEST + 4 : _DIGEST + 8]] = piece[_DIGEST + 8 :]
    return [*xmp_texts(b"".join(pieces[place] for place in sorted(pieces))), *texts]


def _jpeg_marker(reader: ByteReader) -> int:
    if reader.number(1) != 0xFF:
        raise reader.damaged("there is no marker where one should stand")
    marker = reader.number(1)
    while marker == 0xFF:  # any number of these may fill up
        reader.part()
        marker = reader.number(1)
    return marker


def _gif_texts(reader: ByteReader) -> list[Text]:
    """Blocks up to the end; comments stand before the first picture, unless another program added them."""
    reader.skip(10)
    reader.skip(_color_table(reader.number(1)) + 2)
    texts: list[Text] = []
    while True:
        reader.part()
        if not reader.left and texts:
            return texts
        kind = reader.number(1)
        if kind == _GIF_EXTENSION:
            if reader.number(1) == _GIF_COMMENT:
                texts.append((COMMENT, decode_text(_sub_blocks(reader))))
            else:
                _skip_sub_blocks(reader)
        elif kind == _GIF_END or (kind == _GIF_PICTURE and texts):
            return texts
        elif kind == _GIF_PICTURE:
            reader.skip(8)
            reader.skip(_color_table(reader.number(1)) + 1)
            _skip_sub_blocks(reader)
        else:
            raise reader.damaged(f"there is no block of kind {kind}")


def _color_table(flags: int) -> int:
    """Bytes of the color table that the flags announce."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _sub_blocks(reader: ByteReader) -> bytes:
    pieces = []
    while length := reader.number(1):
        reader.part()
        pieces.append(reader.take(length))
    return b"".join(pieces)


def _skip_sub_blocks(reader: ByteReader) -> None:
    while length := reader.number(1):
        reader.part()
        reader.skip(length)
