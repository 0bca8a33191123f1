"""Workflows in pictures: the text chunks `prompt` and `workflow` of a PNG file.

Chunks are walked without decoding the picture; of a file of any size only its text is read.
"""

import zlib
from os import SEEK_CUR
from struct import unpack
from typing import BinaryIO

from pydantic import JsonValue

from graphengine.errors import WorkflowFormatError
from graphengine.workflow.api_format import parse_api
from graphengine.workflow.documents import Document, document_from_json, with_editor_document
from graphengine.workflow.json_input import MAX_BYTES, parse_json, too_large

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TEXT_TYPES = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_READ = frozenset({"prompt", "workflow", "parameters"})


class PngFormat:
    """PNG pictures as ComfyUI saves them."""

    def detect(self, head: bytes) -> bool:
        """Whether a file that begins so is a PNG picture."""
        return head.startswith(SIGNATURE)

    def read(self, stream: BinaryIO) -> Document:
        """The documents in a picture's text chunks; the API document is what ran.

        Raises:
            WorkflowFormatError: the picture is damaged, holds no workflow, or holds one that cannot be read.
        """
        texts = read_text_chunks(stream)
        prompt, workflow = texts.get("prompt"), texts.get("workflow")
        if prompt is not None:
            api = parse_api(_parsed(prompt, "prompt"))
            return with_editor_document(api, None if workflow is None else _parsed(workflow, "workflow"))
        if workflow is not None:
            try:
                return document_from_json(workflow.encode())
            except WorkflowFormatError as error:
                raise _in_chunk(error, "workflow") from error
        raise _no_workflow(foreign="parameters" in texts)


def read_text_chunks(stream: BinaryIO) -> dict[str, str]:
    """Texts of the chunks `prompt`, `workflow` and `parameters`, decoded as UTF-8, else Latin-1.

    Raises:
        WorkflowFormatError: the file is no PNG, is cut off before its first text, or a text chunk is damaged.
    """
    if stream.read(len(SIGNATURE)) != SIGNATURE:
        raise _damaged("it has no PNG signature")
    texts: dict[str, str] = {}
    while True:
        header = stream.read(8)
        if len(header) < 8:
            if texts:  # the picture is cut off, but the workflow stands before it
                return texts
            raise _damaged("the file ends early")
        length, kind = unpack(">I4s", header)
        if kind == b"IEND":
            return texts
        if kind not in _TEXT_TYPES:
            stream.seek(length + 4, SEEK_CUR)
            continue
        key, text = _text(kind, _chunk(stream, length, kind))
        if key in _READ:
            texts[key] = text


def _chunk(stream: BinaryIO, length: int, kind: bytes) -> bytes:
    if length > MAX_BYTES:
        raise too_large(length)
    data, checksum = stream.read(length), stream.read(4)
    if len(checksum) < 4:
        raise _damaged("the file ends within a text")
    if zlib.crc32(kind + data) != int.from_bytes(checksum):
        raise _damaged(f"the checksum of a {kind.decode()} chunk does not fit")
    return data


def _text(kind: bytes, data: bytes) -> tuple[str, str]:
    """Key and text of a text chunk; the text is empty when its key is none of ours."""
    name, _, rest = data.partition(b"\0")
    key = name.decode("latin-1")
    if key not in _READ:
        return key, ""
    compressed = kind == b"zTXt"
    if kind == b"zTXt":
        rest = rest[1:]  # the compression method, always 0
    elif kind == b"iTXt":
        compressed = rest[:1] == b"\1"
        _language, _, rest = rest[2:].partition(b"\0")
        _translated, _, rest = rest.partition(b"\0")
    if compressed:
        rest = _inflate(rest)
    try:
        return key, rest.decode("utf-8")
    except UnicodeDecodeError:
        return key, rest.decode("latin-1")


def _inflate(data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(data, MAX_BYTES + 1)
    except zlib.error as error:
        raise _damaged("a compressed text cannot be read") from error
    if len(text) > MAX_BYTES:
        raise too_large()
    return text


def _parsed(text: str, key: str) -> JsonValue:
    try:
        return parse_json(text.encode()).value
    except WorkflowFormatError as error:
        raise _in_chunk(error, key) from error


def _in_chunk(error: WorkflowFormatError, key: str) -> WorkflowFormatError:
    return WorkflowFormatError(f"the text {key!r} of the picture: {error.message}", hint=error.hint)


def _damaged(what: str) -> WorkflowFormatError:
    return WorkflowFormatError(f"the picture is damaged: {what}", hint="take the file as it was saved")


def _no_workflow(*, foreign: bool) -> WorkflowFormatError:
    if foreign:
        return WorkflowFormatError(
            "the picture holds generation parameters as text, but no workflow",
            hint="it was not made by a node graph; there is nothing to run",
        )
    return WorkflowFormatError(
        "the picture holds no workflow",
        hint="messengers and picture editors remove it; take the file as it was saved, or the saved JSON",
    )
