"""Workflows in WebM and Matroska videos: the tags `PROMPT`, `WORKFLOW` and `COMMENT`.

A file is made of elements: an id, a length, and data or further elements. Those that lead to tags are entered, all
others are passed over, pictures and sound with them. Streams may leave the length of what they still write open;
such elements are entered as well.
"""

from collections.abc import Iterator
from typing import BinaryIO

from graphengine.workflow.byte_reader import ByteReader
from graphengine.workflow.documents import Document
from graphengine.workflow.metadata import Text, decode_text, document_from_texts, is_wanted

_SIGNATURE = b"\x1aE\xdf\xa3"
_SEGMENT, _TAGS, _TAG, _SIMPLE_TAG = 0x18538067, 0x1254C367, 0x7373, 0x67C8
_TAG_NAME, _TAG_STRING, _CLUSTER = 0x45A3, 0x4487, 0x1F43B675
_ENTERED = frozenset({_SEGMENT, _TAGS, _TAG, _SIMPLE_TAG})


class MatroskaFormat:
    """WebM and Matroska videos."""

    def detect(self, head: bytes) -> bool:
        """Whether a file that begins so is a WebM or Matroska video."""
        return head.startswith(_SIGNATURE)

    def read(self, stream: BinaryIO) -> Document:
        """The documents in the video's tags.

        Raises:
            WorkflowFormatError: the video is damaged, or holds no workflow that can be read.
        """
        webm = b"webm" in stream.read(64)
        reader = ByteReader(stream, "WebM video" if webm else "Matroska video")
        return document_from_texts(_tags(reader), reader.kind)


def _tags(reader: ByteReader) -> Iterator[Text]:
    """Names and texts of the tags that are wanted; a name stands before its text."""
    name, found = "", False
    while reader.left:
        reader.part()
        element, length = _id(reader), _length(reader)
        if element == _CLUSTER and found:  # pictures and sound; what is behind them need not be there
            return
        if element in _ENTERED or length is None:
            continue
        if element == _TAG_NAME:
            name = decode_text(reader.take(length))
        elif element == _TAG_STRING and is_wanted(name):
            yield name, decode_text(reader.take(length))
            found = True
        elif length > reader.left:
            raise reader.damaged("the file ends early")
        else:
            reader.skip(length)


def _id(reader: ByteReader) -> int:
    """The id of an element, its leading bits included."""
    first = reader.number(1)
    width = 9 - first.bit_length()
    if width > 4:
        raise reader.damaged("there is no element where one should stand")
    return first << 8 * (width - 1) | reader.number(width - 1)


def _length(reader: ByteReader) -> int | None:
    """The length of an element's data, None when it is open."""
    first = reader.number(1)
    width = 9 - first.bit_length()
    if width > 8:
        raise reader.damaged("the length of an element is no number")
    value = (first & 0xFF >> width) << 8 * (width - 1) | reader.number(width - 1)
    return None if value == (1 << 7 * width) - 1 else value
