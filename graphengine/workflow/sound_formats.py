"""Workflows in sound: the tags of FLAC, Ogg (Vorbis, Opus) and MP3 files."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from graphengine.workflow.byte_reader import ByteReader
from graphengine.workflow.documents import Document
from graphengine.workflow.id3 import id3_texts
from graphengine.workflow.metadata import Text, decode_text, document_from_texts, is_wanted

_FLAC_COMMENT, _FLAC_LAST = 4, 0x80
_OGG_HEAD = 27
# What a packet of comments begins with; the list of comments follows.
_OGG_COMMENTS = (b"OpusTags", b"\x03vorbis", b"\x81theora")


class FlacFormat:
    """FLAC files."""

    def detect(self, head: bytes) -> bool:
        """Whether a file that begins so is a FLAC file."""
        return head.startswith(b"fLaC")

    def read(self, stream: BinaryIO) -> Document:
        """The documents in the file's comments.

        Raises:
            WorkflowFormatError: the file is damaged, or holds no workflow that can be read.
        """
        reader = ByteReader(stream, "FLAC file")
        return document_from_texts(_flac_texts(reader), reader.kind)


class OggFormat:
    """Ogg files, with Vorbis, Opus or Theora inside."""

    def detect(self, head: bytes) -> bool:
        """Whether a file that begins so is an Ogg file."""
        return head.startswith(b"OggS")

    def read(self, stream: BinaryIO) -> Document:
        """The documents in the comments of the file's streams.

        Raises:
            WorkflowFormatError: the file is damaged, or holds no workflow that can be read.
        """
        reader = ByteReader(stream, "Ogg file")
        return document_from_texts(_ogg_texts(reader), reader.kind)


class Mp3Format:
    """MP3 files with an ID3 tag at their beginning."""

    def detect(self, head: bytes) -> bool:
        """Whether a file begins with an ID3 tag."""
        return head.startswith(b"ID3")

    def read(self, stream: BinaryIO) -> Document:
        """The documents in the file's tag.

        Raises:
            WorkflowFormatError: the file is damaged, or holds no workflow that can be read.
        """
        reader = ByteReader(stream, "MP3 file")
        return document_from_texts(id3_texts(reader), reader.kind)


def _flac_texts(reader: ByteReader) -> list[Text]:
    """Blocks follow each other up to the last one: a kind, a length of three bytes, and data."""
    reader.skip(4)
    texts: list[Text] = []
    kind = 0
    while not kind & _FLAC_LAST:
        reader.part()
        if not reader.left and texts:
            return texts
        kind, length = reader.number(1), reader.number(3)
        if kind & 0x7F == _FLAC_COMMENT:
            texts += _comments(reader.take(length), reader)
        else:
            reader.skip(length)
    return texts


def _comments(data: bytes, reader: ByteReader) -> Iterator[Text]:
    """The wanted ones of a list of comments `NAME=text`; lengths and their number take four bytes each."""
    place = 0

    def number() -> int:
        nonlocal place
        place += 4
        if place > len(data):
            raise reader.damaged("its list of comments is cut off")
        return int.from_bytes(data[place - 4 : place], "little")

    vendor = number()  # the length of who wrote the file
    place += vendor
    for _ in range(number()):
        reader.part()
        length = number()
        if length > len(data) - place:
            raise reader.damaged("a comment is longer than the list of comments")
        name, _, text = data[place : place + length].partition(b"=")
        if is_wanted(key := name.decode("latin-1")):
            yield key, decode_text(text)
        place += length


@dataclass(slots=True)
class _Packets:
    """How far one stream of an Ogg file is read: its second packet holds the comments."""

    complete: int = 0
    comments: bytearray = field(default_factory=bytearray)

    def add(self, lengths: bytes, payload: bytes) -> None:
        """Take the pieces of a page; a piece shorter than 255 bytes ends its packet."""
        place = 0
        for length in lengths:
            if self.complete == 1:
                self.comments += payload[place : place + length]
            self.complete += length < 255
            place += length


def _ogg_texts(reader: ByteReader) -> list[Text]:
    """Pages follow each other: a head, the lengths of their pieces, and pieces of packets."""
    streams: dict[bytes, _Packets] = {}
    waiting: set[bytes] = set()  # streams whose comments are not complete
    while reader.left and (waiting or not streams):
        reader.part()
        head = reader.take(_OGG_HEAD)
        if not head.startswith(b"OggS"):
            raise reader.damaged("there is no page where one should stand")
        lengths = reader.take(head[26])
        number = head[14:18]
        if number not in streams:
            streams[number] = _Packets()
            waiting.add(number)
        if number not in waiting:
            reader.skip(sum(lengths))
            continue
        streams[number].add(lengths, reader.take(sum(lengths)))
        if streams[number].complete > 1:
            waiting.remove(number)
    return [text for stream in streams.values() for text in _packet_texts(bytes(stream.comments), reader)]


def _packet_texts(packet: bytes, reader: ByteReader) -> Iterator[Text]:
    for start in _OGG_COMMENTS:
        if packet.startswith(start):
            yield from _comments(packet.removeprefix(start), reader)
