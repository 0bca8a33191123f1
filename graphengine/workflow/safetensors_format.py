"""Workflows in safetensors files: models and latents (`.latent`) that ComfyUI saved.

Eight bytes give the length of a JSON header; its `__metadata__` holds texts. Tensors are not read.
"""

from typing import BinaryIO

from graphengine.errors import WorkflowFormatError
from graphengine.workflow.byte_reader import ByteReader
from graphengine.workflow.documents import Document
from graphengine.workflow.json_input import parse_json
from graphengine.workflow.metadata import Text, document_from_texts, is_wanted


class SafetensorsFormat:
    """Models and latents in safetensors files."""

    def detect(self, head: bytes) -> bool:
        """Whether a file begins with the length of a header and the header; no JSON text holds a zero byte."""
        return head[8:9] == b"{" and head[5:8] == bytes(3)

    def read(self, stream: BinaryIO) -> Document:
        """The documents in the header.

        Raises:
            WorkflowFormatError: the header is damaged, or holds no workflow that can be read.
        """
        reader = ByteReader(stream, "safetensors file")
        return document_from_texts(_texts(reader), reader.kind)


def _texts(reader: ByteReader) -> list[Text]:
    header = reader.take(int.from_bytes(reader.take(8), "little"))
    try:
        value = parse_json(header).value
    except WorkflowFormatError as error:
        raise WorkflowFormatError(
            f"the header of the {reader.kind}: {error.message}", hint="take the file as it was saved"
        ) from error
    match value:
        case {"__metadata__": dict(texts)}:
            return [(name, text) for name, text in texts.items() if isinstance(text, str) and is_wanted(name)]
        case _:
            return []
