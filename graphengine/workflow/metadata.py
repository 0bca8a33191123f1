"""From the texts that a file carries beside its pixels or samples to the documents in them.

Readers of containers give pairs of a name and a text. `prompt` and `workflow` are documents. Under any other name
(a comment, a description, a tag of a camera) a text counts when it says so itself, `workflow:{...}`, or is JSON
that holds a document or both.
"""

import re
from collections.abc import Iterable, Mapping

from graphengine.errors import Problem, WorkflowFormatError
from graphengine.workflow.documents import Document, document_from_json

#: Names of texts that are documents.
DOCUMENTS = ("prompt", "workflow")
#: The name that readers give to a text in which a document may stand.
COMMENT = "comment"
#: Names of texts that are read; a reader may leave all others unread.
WANTED = frozenset({*DOCUMENTS, COMMENT, "comments", "description", "usercomment", "parameters"})

Text = tuple[str, str]

#: Most comments of one file that are tried.
_TRIED = 20
_NAMED = re.compile(r"\s*(prompt|workflow)\s*:\s*(?=\{)", re.IGNORECASE)


def is_wanted(name: str) -> bool:
    """Whether a text of this name may hold a workflow, in small letters or capitals."""
    return name.casefold() in WANTED


def decode_text(data: bytes) -> str:
    """The text as UTF-8, else as Latin-1, without what pads it at its end."""
    data = data.rstrip(b"\0")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def decode_utf16(data: bytes, *, big: bool) -> str:
    """The text as UTF-16, without its byte order mark; what is none is no document either, but still a text."""
    try:
        return data.decode("utf-16-be" if big else "utf-16-le").strip("\ufeff\0")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def document_from_texts(texts: Iterable[Text], carrier: str) -> Document:
    """The documents in the texts of a file; `carrier` is what messages call it ("WebP picture").

    A document that cannot be read is a warning when another one can.

    Raises:
        WorkflowFormatError: there is no document, or none that can be read.
    """
    found, generated = _by_name(texts)
    documents: list[Document] = []
    failures: dict[str, WorkflowFormatError] = {}
    for name, text in found.items():
        if documents and name not in DOCUMENTS:
            break  # comments count when nothing says more
        try:
            documents.append(document_from_json(text.encode()))
        except WorkflowFormatError as error:
            failures[name] = error
    if not documents:
        if failures:
            name, failure = next(iter(failures.items()))
            message = f"the text {name!r} of the {carrier}: {failure.message}"
            raise WorkflowFormatError(message, hint=failure.hint) from failure
        raise _no_workflow(carrier, generated=generated)
    return Document(
        api=next((each.api for each in documents if each.api is not None), None),
        ui=next((each.ui for each in reversed(documents) if each.ui is not None), None),
        problems=(*(problem for each in documents for problem in each.problems), *_warnings(failures)),
    )


def _by_name(texts: Iterable[Text]) -> tuple[dict[str, str], bool]:
    """Texts that may be documents, `prompt` first, comments last; and whether other parameters were there."""
    found: dict[str, str] = {}
    comments: list[str] = []
    generated = False
    for name, text in texts:
        key = name.casefold()
        if key in DOCUMENTS:
            found[key] = text
        elif named := _NAMED.match(text):
            found[named[1].lower()] = text[named.end() :]
        elif text.lstrip()[:1] == "{":
            comments.append(text)
        else:
            generated |= key == "parameters" or "Steps: " in text
    ordered = {name: found[name] for name in DOCUMENTS if name in found}
    # of thousands of comments, which no program writes, the first are tried
    ordered |= {f"{COMMENT} {number}": text for number, text in enumerate(comments[:_TRIED], 1)}
    return ordered, generated


def _warnings(failures: Mapping[str, WorkflowFormatError]) -> Iterable[Problem]:
    if "prompt" in failures:
        text = f"the API document ('prompt') cannot be read: {failures['prompt'].message}"
        yield Problem("unreadable_api", text, severity="warning")
    if "workflow" in failures:
        text = f"the editor's document ('workflow') cannot be read: {failures['workflow'].message}"
        yield Problem("unreadable_ui", text, severity="warning")


def _no_workflow(carrier: str, *, generated: bool) -> WorkflowFormatError:
    if generated:
        return WorkflowFormatError(
            f"the {carrier} holds generation parameters as text, but no workflow",
            hint="it was not made by a node graph; there is nothing to run",
        )
    return WorkflowFormatError(
        f"the {carrier} holds no workflow",
        hint="messengers and editors of pictures, video and sound remove it; take the file as it was saved, "
        "or the saved JSON",
    )
