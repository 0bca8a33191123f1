"""What a file holds: an API document, an editor's document, or both; and what JSON that is neither looks like."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pydantic import JsonValue

from graphengine.errors import Problem, WorkflowFormatError
from graphengine.workflow.api_format import ApiDocument, parse_api
from graphengine.workflow.json_input import Limits, parse_json
from graphengine.workflow.ui_models import UiDocument, parse_ui


class DocumentKind(StrEnum):
    """The two kinds of documents that a file may hold."""

    API = "api"
    UI = "ui"


@dataclass(frozen=True, slots=True)
class Document:
    """The documents of one file. When both are there, `api` is what ran and `ui` how it was drawn."""

    api: ApiDocument | None = None
    ui: UiDocument | None = None
    problems: tuple[Problem, ...] = ()


# (keys that give it away, what it is, what to do)
_KNOWN_OBJECTS: tuple[tuple[frozenset[str], str, str | None], ...] = (
    (frozenset({"name", "version", "dependencies"}), "a package.json", None),
    (frozenset({"name", "version", "scripts"}), "a package.json", None),
    (frozenset({"nbformat", "cells"}), "a notebook", None),
    (frozenset({"queue_running"}), "the queue of a ComfyUI server", None),
    (frozenset({"$schema"}), "a JSON Schema", None),
    (frozenset({"architectures"}), "the config of a model", None),
    (frozenset({"_class_name"}), "the config of a diffusers model", None),
)
_NODE_TYPES_HINT = "give it as definitions (--definitions), and a workflow as the file to read"
_SAVE_HINT = "save the workflow in the editor: File > Save, or File > Export (API)"


def document_from_json(data: bytes, limits: Limits | None = None) -> Document:
    """The document or documents in a JSON text.

    Both stand side by side as `prompt` (or `output`) and `workflow`, each an object or a text of its own, or the
    editor's document travels in the envelope of the API document. Without `limits` those of `parse_json` count.

    Raises:
        WorkflowFormatError: the text is not JSON, or the JSON is no workflow.
    """
    parsed = parse_json(data, limits=limits)
    raw = parsed.value
    problems = tuple(_repeated_key(place) for place in dict.fromkeys(parsed.repeated_keys))
    if not isinstance(raw, dict):
        raise _not_a_workflow(raw)
    if _is_ui(raw):
        return Document(ui=parse_ui(raw), problems=problems)
    if _has_nodes(raw):
        return _with_editor_document(parse_api(raw), None, problems)
    raw = _opened(raw, limits)
    if _has_nodes(raw.get("prompt")):
        return _with_editor_document(parse_api(raw), raw.get("workflow"), problems)
    if _has_nodes(raw.get("output")) and isinstance(raw.get("workflow"), dict):
        return _with_editor_document(parse_api(raw["output"]), raw["workflow"], problems)
    match raw.get("workflow"):
        case dict(drawn) if _is_ui(drawn):
            return Document(ui=parse_ui(drawn), problems=problems)
    raise _not_a_workflow(raw)


def _opened(raw: dict[str, JsonValue], limits: Limits | None) -> dict[str, JsonValue]:
    """The object with documents in place of the texts that hold them."""
    opened = dict(raw)
    for key in ("prompt", "workflow"):
        text = raw.get(key)
        if isinstance(text, str) and text.lstrip()[:1] == "{":
            opened[key] = parse_json(text.encode(), limits=limits).value
    return opened


def _with_editor_document(api: ApiDocument, beside: JsonValue, problems: tuple[Problem, ...]) -> Document:
    """An API document and the editor's; if that cannot be read it is a warning, since the API document runs."""
    drawn = beside if beside is not None else api.workflow
    if drawn is None:
        return Document(api=api, problems=problems)
    try:
        if not isinstance(drawn, dict):
            raise WorkflowFormatError("it is no object")
        return Document(api=api, ui=parse_ui(drawn), problems=problems)
    except WorkflowFormatError as error:
        text = f"the editor's document beside the API document cannot be read: {error.message}"
        return Document(api=api, problems=(*problems, Problem("unreadable_ui", text, severity="warning")))


def _is_ui(raw: Mapping[str, JsonValue]) -> bool:
    match raw.get("nodes"):
        case [dict(first), *_]:
            return "type" in first
        case []:
            return "links" in raw
        case _:
            return False


def _has_nodes(raw: JsonValue) -> bool:
    return isinstance(raw, dict) and any(isinstance(node, dict) and "class_type" in node for node in raw.values())


def _repeated_key(place: str) -> Problem:
    return Problem(
        "duplicate_key",
        f"the key {place[:200]!r} stands twice in one object; the last one counts",
        hint="the file was edited by hand or by another program; check what the key says",
        severity="warning",
    )


def _not_a_workflow(raw: JsonValue) -> WorkflowFormatError:
    kind, hint = _looks_like(raw)
    return WorkflowFormatError(f"this is no workflow: it looks like {kind}", hint=hint or _SAVE_HINT)


def _looks_like(raw: JsonValue) -> tuple[str, str | None]:
    match raw:
        case dict():
            return _looks_like_object(raw)
        case list():
            return f"a list of {len(raw)} values", None
        case str():
            return "a text", None
        case None:
            return "null", None
        case bool():
            return "true or false", None
        case _:
            return "a number", None


def _looks_like_object(raw: Mapping[str, JsonValue]) -> tuple[str, str | None]:
    if not raw:
        return "an empty object", None
    first = next(iter(raw.values()))
    if isinstance(first, dict) and {"input", "output"} <= first.keys():
        return "the descriptions of node types (object_info)", _NODE_TYPES_HINT
    if isinstance(first, dict) and {"prompt", "outputs"} <= first.keys():
        return "the history of a ComfyUI server", None
    for keys, kind, hint in _KNOWN_OBJECTS:
        if keys <= raw.keys():
            return kind, hint
    names = ", ".join(repr(key[:30]) for key in list(raw)[:4])
    return f"an object with other keys ({names}{', …' if len(raw) > 4 else ''})", None
