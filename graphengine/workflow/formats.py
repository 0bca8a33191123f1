"""Reading any file: the format is detected from content, never from the name.

A new format is a class with `detect` and `read`, and a place in `FORMATS`.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from io import BytesIO
from os import SEEK_END
from pathlib import Path
from typing import BinaryIO, Protocol

from graphengine.errors import WorkflowFormatError
from graphengine.workflow.api_format import api_to_workflow
from graphengine.workflow.documents import Document, document_from_json
from graphengine.workflow.json_input import MAX_BYTES, too_large
from graphengine.workflow.models import Workflow
from graphengine.workflow.png_format import PngFormat
from graphengine.workflow.ui_format import Conversion, convert_ui
from graphengine.workflow.ui_widgets import DefinitionLike

_HEAD_BYTES = 4096
_BOM = b"\xef\xbb\xbf"
# (where it stands, what stands there, what such a file is)
_UNREADABLE: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (8, b"WEBP", "a WebP picture"),
    (0, b"GIF8", "a GIF picture"),
    (4, b"ftypavif", "an AVIF picture"),
    (4, b"ftyp", "an MP4 video"),
    (0, b"\x1aE\xdf\xa3", "a WebM or Matroska video"),
    (0, b"fLaC", "a FLAC file"),
    (0, b"ID3", "an MP3 file"),
    (0, b"OggS", "an Ogg file"),
    (8, b'{"', "a model file (safetensors)"),
    (0, b"GGUF", "a model file (GGUF)"),
    (0, b"PK\3\4", "a zip archive or a PyTorch checkpoint"),
    (0, b"\x80\2", "a pickle"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"%PDF", "a PDF file"),
)
_MAY_HOLD_WORKFLOWS = ("picture", "video", "FLAC", "MP3", "Ogg")


class Format(Protocol):
    """A kind of file that workflows come in."""

    def detect(self, head: bytes) -> bool:
        """Whether a file that begins with these bytes (4,096, or all) is of this kind."""

    def read(self, stream: BinaryIO) -> Document:
        """The documents in the file; the stream stands at its beginning and can seek.

        Raises:
            WorkflowFormatError: the file is damaged or holds no workflow.
        """


class JsonFormat:
    """JSON text: API documents, in an envelope or not, and documents of the editor."""

    def detect(self, head: bytes) -> bool:
        """Whether the text begins like JSON, or is empty."""
        start = head.removeprefix(_BOM).lstrip()[:1]
        return start in b'{["-0123456789tfnNI' or head.startswith((b"\xff\xfe", b"\xfe\xff"))

    def read(self, stream: BinaryIO) -> Document:
        """The document in the text.

        Raises:
            WorkflowFormatError: the text is too large, not JSON, or no workflow.
        """
        data = stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise too_large(stream.seek(0, SEEK_END))
        return document_from_json(data)


FORMATS: tuple[Format, ...] = (PngFormat(), JsonFormat())


def read_document(source: Path | bytes, formats: tuple[Format, ...] = FORMATS) -> Document:
    """The documents in a file, or in the bytes of one.

    Raises:
        WorkflowFormatError: the file cannot be read or holds no workflow; the message names it.
    """
    if isinstance(source, bytes):
        return _read(BytesIO(source), formats)
    try:
        with source.open("rb") as stream:
            return _read(_seekable(stream), formats)
    except WorkflowFormatError as error:
        raise WorkflowFormatError(f"{source}: {error.message}", hint=error.hint) from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise _unopened(source, error) from error


def to_workflow(document: Document, definitions: Mapping[str, DefinitionLike]) -> Conversion:
    """The workflow that a file's documents say; what ran counts before what was drawn."""
    if document.api is not None:
        workflow = api_to_workflow(document.api)
        if document.ui is not None:
            workflow = Workflow(workflow.nodes, ui=document.ui.to_json())
        return Conversion(workflow, document.problems)
    if document.ui is None:
        return Conversion(Workflow({}), document.problems)
    conversion = convert_ui(document.ui, definitions)
    return Conversion(conversion.workflow, document.problems + conversion.problems)


def _read(stream: BinaryIO, formats: tuple[Format, ...]) -> Document:
    head = stream.read(_HEAD_BYTES)
    for format_ in formats:
        if format_.detect(head):
            stream.seek(0)
            return format_.read(stream)
    raise _unsupported(head)


def _seekable(stream: BinaryIO) -> BinaryIO:
    """The stream itself, or what comes out of a pipe."""
    if stream.seekable():
        return stream
    return BytesIO(stream.read(MAX_BYTES + 1))


def _unsupported(head: bytes) -> WorkflowFormatError:
    for start, mark, kind in _UNREADABLE:
        if head[start:].startswith(mark):
            later = any(word in kind for word in _MAY_HOLD_WORKFLOWS)
            text = (
                f"this is {kind}: reading a workflow out of one is not supported yet"
                if later
                else f"this is {kind}, not a workflow"
            )
            return WorkflowFormatError(
                text, hint="give the saved JSON, or a PNG picture that was saved with its workflow"
            )
    return WorkflowFormatError(
        "this is neither JSON nor a picture", hint="give a saved workflow (.json) or a PNG picture that holds one"
    )


def _unopened(path: Path, error: OSError | ValueError) -> WorkflowFormatError:
    match error:
        case FileNotFoundError():
            return WorkflowFormatError(f"{path}: there is no such file", hint=_near(path))
        case IsADirectoryError():
            return WorkflowFormatError(f"{path}: is a folder", hint="name one workflow file in it")
        case PermissionError():
            return WorkflowFormatError(f"{path}: may not be read", hint="check the permissions of the file")
        case OSError():
            return WorkflowFormatError(f"{path}: cannot be read: {error.strerror or error}")
        case _:
            return WorkflowFormatError(f"{str(path)!r}: cannot be read: {error}")


def _near(path: Path) -> str | None:
    """The file of the nearest name in the same folder."""
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
    except OSError:
        return f"the folder {path.parent} does not exist or cannot be read"
    close = get_close_matches(path.name, names, n=1)
    return f"did you mean {path.parent / close[0]}?" if close else None
