"""Reading any file: the format is detected from content, never from the name.

A new format is a class with `detect` and `read`, and a place in `FORMATS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from os import SEEK_END
from pathlib import Path
from typing import BinaryIO, Protocol

from graphengine.errors import Problem, WorkflowFormatError, nearest
from graphengine.workflow.api_format import api_to_workflow
from graphengine.workflow.box_formats import BoxFormat
from graphengine.workflow.collector import collector_paused
from graphengine.workflow.differences import documents_differ
from graphengine.workflow.documents import Document, DocumentKind, document_from_json
from graphengine.workflow.json_input import FOR_FILES, MAX_BYTES, Limits, too_large
from graphengine.workflow.layout_file import is_bare, join_layout, layout_path, read_layout
from graphengine.workflow.matroska_format import MatroskaFormat
from graphengine.workflow.models import Workflow
from graphengine.workflow.picture_formats import GifFormat, JpegFormat, WebpFormat
from graphengine.workflow.png_format import PngFormat
from graphengine.workflow.safetensors_format import SafetensorsFormat
from graphengine.workflow.signatures import kind_of
from graphengine.workflow.sound_formats import FlacFormat, Mp3Format, OggFormat
from graphengine.workflow.ui_format import Conversion, convert_ui
from graphengine.workflow.ui_models import parse_ui
from graphengine.workflow.widgets import DefinitionLike

__all__ = [
    "FORMATS",
    "FORMATS_OF_FILES",
    "Conversion",
    "Document",
    "DocumentKind",
    "Format",
    "JsonFormat",
    "load_workflow",
    "read_document",
    "to_workflow",
]

_READ = "PNG, WebP, JPEG, GIF, AVIF, HEIF, MP4, MOV, WebM, MKV, FLAC, MP3, Ogg, safetensors, .latent"
_HEAD_BYTES = 4096
_BOM = b"\xef\xbb\xbf"
_JSON_START = b'{["-0123456789tfnNI'
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


class Format(Protocol):
    """A kind of file that workflows come in."""

    def detect(self, head: bytes) -> bool:
        """Whether a file that begins with these bytes (4,096, or all) is of this kind."""

    def read(self, stream: BinaryIO) -> Document:
        """The documents in the file; the stream stands at its beginning and can seek.

        Raises:
            WorkflowFormatError: the file is damaged or holds no workflow.
        """


@dataclass(frozen=True, slots=True)
class JsonFormat:
    """JSON text: API documents, in an envelope or not, and documents of the editor.

    Without `limits` those of documents that may run count.
    """

    limits: Limits | None = None

    def detect(self, head: bytes) -> bool:
        """Whether the text begins like JSON, or is empty."""
        start = head.removeprefix(_BOM).lstrip()[:1]
        return head.startswith(_UTF16_BOMS) or (start in _JSON_START and kind_of(head) is None)

    def read(self, stream: BinaryIO) -> Document:
        """The document in the text.

        Raises:
            WorkflowFormatError: the text is too large, not JSON, or no workflow.
        """
        most = self.limits.bytes if self.limits is not None else MAX_BYTES
        data = stream.read(most + 1)
        if len(data) > most:
            size = stream.seek(0, SEEK_END)
            raise too_large(size if size > len(data) else None, most if self.limits is not None else None)
        return document_from_json(data, self.limits)


FORMATS: tuple[Format, ...] = (
    PngFormat(),
    WebpFormat(),
    JpegFormat(),
    GifFormat(),
    BoxFormat(),
    MatroskaFormat(),
    FlacFormat(),
    OggFormat(),
    Mp3Format(),
    SafetensorsFormat(),
    JsonFormat(),
)

#: The same for commands that compare files of the user, which may be larger than what runs.
FORMATS_OF_FILES: tuple[Format, ...] = (*FORMATS[:-1], JsonFormat(FOR_FILES))


def read_document(source: Path | bytes, formats: tuple[Format, ...] = FORMATS) -> Document:
    """The documents in a file, or in the bytes of one.

    A document of the editor whose layout is in a file of its own gets it back.

    Raises:
        WorkflowFormatError: the file cannot be read or holds no workflow; the message names it.
    """
    if isinstance(source, bytes):
        return _read(BytesIO(source), formats)
    try:
        with source.open("rb") as stream:
            return _laid_out(_read(_seekable(stream), formats), source)
    except WorkflowFormatError as error:
        raise _in_file(source, error) from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise _unopened(source, error) from error


def _laid_out(document: Document, file: Path) -> Document:
    """The document with the layout in the file beside it; one that cannot be read is a warning."""
    drawn = document.ui
    if drawn is None or not is_bare(drawn.to_json()) or not layout_path(file).exists():
        return document
    try:
        return replace(document, ui=parse_ui(join_layout(drawn.to_json(), read_layout(layout_path(file)))))
    except WorkflowFormatError as error:
        told = Problem("unreadable_layout", error.message, hint=error.hint, severity="warning")
        return replace(document, problems=(*document.problems, told))


def load_workflow(
    file: Path, definitions: Mapping[str, DefinitionLike], wanted: DocumentKind | None = None
) -> Conversion:
    """The workflow that a file says; see `to_workflow`.

    Raises:
        WorkflowFormatError: the file cannot be read, holds no workflow, or not the wanted document.
    """
    document = read_document(file)
    try:
        return to_workflow(document, definitions, wanted)
    except WorkflowFormatError as error:
        raise _in_file(file, error) from error


def to_workflow(
    document: Document, definitions: Mapping[str, DefinitionLike], wanted: DocumentKind | None = None
) -> Conversion:
    """The workflow that a file's documents say; unless one is wanted, what ran counts before what was drawn.

    When both are there, a difference between them is a warning.

    Raises:
        WorkflowFormatError: the file does not hold the wanted document.
    """
    api = api_to_workflow(document.api) if document.api is not None else None
    with collector_paused():
        drawn = convert_ui(document.ui, definitions) if document.ui is not None else None
    problems = document.problems
    if api is not None and drawn is not None:
        problems += documents_differ(api, drawn, definitions)
    if drawn is not None and (wanted is DocumentKind.UI or (api is None and wanted is None)):
        return Conversion(drawn.workflow, problems + drawn.problems)
    if wanted is DocumentKind.UI:
        raise WorkflowFormatError("the file holds no document of the editor", hint="read it without --from ui")
    if api is None:
        raise WorkflowFormatError("the file holds no API document", hint="read it without --from api")
    return Conversion(api if drawn is None else _placed(api, drawn.workflow), problems)


def _placed(ran: Workflow, drawn: Workflow) -> Workflow:
    """What ran, with the editor's document, and with the places where the user finds its nodes there."""
    nodes = {
        key: replace(node, origin=found.origin)
        if (found := drawn.nodes.get(key)) is not None and found.origin is not None
        else node
        for key, node in ran.nodes.items()
    }
    return Workflow(nodes, ui=drawn.ui)


def _in_file(file: Path, error: WorkflowFormatError) -> WorkflowFormatError:
    return WorkflowFormatError(f"{file}: {error.message}", hint=error.hint)


def _read(stream: BinaryIO, formats: tuple[Format, ...]) -> Document:
    head = stream.read(_HEAD_BYTES)
    for format_ in formats:
        if format_.detect(head):
            stream.seek(0)
            with collector_paused():
                return format_.read(stream)
    raise _unsupported(head)


def _seekable(stream: BinaryIO) -> BinaryIO:
    """The stream itself, or what comes out of a pipe.

    Raises:
        WorkflowFormatError: it is more than `MAX_BYTES`; only of a file can parts be passed over.
    """
    if stream.seekable():
        return stream
    data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise WorkflowFormatError(
            f"more than {MAX_BYTES // 2**20} MiB come out of the pipe", hint="give the file by its name"
        )
    return BytesIO(data)


def _unsupported(head: bytes) -> WorkflowFormatError:
    hint = f"give the saved workflow (.json), or a file that was saved with its workflow: {_READ}"
    if other := kind_of(head):
        return WorkflowFormatError(f"this is {other}, not a workflow", hint=hint)
    return WorkflowFormatError("this is neither JSON nor a picture, video, sound or model", hint=hint)


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
    near = nearest(path.name, names)
    return f"did you mean {path.parent / near}?" if near else None
