"""What a file says about itself: the documents and the run that it was saved with, by name, as texts."""

import json
import mmap
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graphengine.errors import WorkflowFormatError
from graphengine.replaying.contents import Undecodable, kind_of_content, read_header
from graphengine.workflow.formats import read_document
from graphengine.workflow.json_input import parse_json

#: The name under which files carry the run that saved them, and the name of its id there.
OURS = "graphengine"
#: The name of the API document.
PROMPT = "prompt"
#: As runs are written: {"run": "20261122-205101123-3f9c2a"}. Containers keep its name elsewhere.
_RUN = re.compile(rb"\{\W{0,4}run\W{1,8}([0-9]{8}-[0-9]{9}-[0-9a-f]{6})(?![0-9A-Za-z-])")
_NAMED = re.compile(r"([A-Za-z_]{1,40}):(?=\s*[\[{])")


def texts_in(file: Path) -> dict[str, str]:
    """The texts in a file by name, in their order; none where it has none or is damaged.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as stream:
        head = stream.read(16)
    try:
        if head.startswith((b"\x89PNG", b"\xff\xd8\xff")) or head[8:12] == b"WEBP":
            return _picture_texts(file)
        if kind_of_content(file) == "tensors":
            metadata = read_header(file)[0].get("__metadata__")
            return {str(name): str(text) for name, text in metadata.items()} if isinstance(metadata, dict) else {}
        return _documents(file)
    except (Undecodable, WorkflowFormatError):
        return {}


def _picture_texts(file: Path) -> dict[str, str]:
    from PIL import Image  # few commands look into pictures

    try:
        with Image.open(file) as picture:
            texts = getattr(picture, "text", None)
            if texts:
                return {str(name): str(text) for name, text in texts.items()}
            found: dict[str, str] = {}
            for _tag, value in sorted(picture.getexif().items(), reverse=True):
                named = _NAMED.match(value) if isinstance(value, str) else None
                if named is not None:
                    found[named[1]] = value[named.end() :]
            return found or _documents(file)
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise Undecodable(str(error)) from error


def _documents(file: Path) -> dict[str, str]:
    document = read_document(file)
    found: dict[str, str] = {}
    if document.api is not None:
        found[PROMPT] = json.dumps(document.api.to_json())
    if document.ui is not None:
        found["workflow"] = json.dumps(document.ui.to_json())
    return found


def run_in(file: Path) -> str | None:
    """The id of the run that a file says it was saved by, whatever kind of file it is; None when it says none.

    Raises:
        OSError: it cannot be read.
    """
    if file.stat().st_size == 0:
        return None
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found = _RUN.search(data)
        return found[1].decode("ascii") if found else None


# Any: documents are open-ended JSON.
def as_json(texts: Mapping[str, str]) -> dict[str, Any]:
    """The texts as JSON values; those that are none are left out."""
    found: dict[str, Any] = {}
    for name, text in texts.items():
        try:
            found[name] = parse_json(text.encode("utf-8", "surrogatepass")).value
        except WorkflowFormatError:
            continue
    return found


def ordered_like(value: Any, model: Any) -> Any:
    """The value with the keys of its objects in the order of the model's, as far as the model has them.

    Records keep documents with their keys sorted; files carry them as they were. The value itself is not changed.
    """
    holder = [value]
    waiting: list[tuple[Any, Any, Any]] = [(holder, 0, model)]
    while waiting:
        container, place, like = waiting.pop()
        current = container[place]
        if isinstance(current, dict):
            like = like if isinstance(like, dict) else {}
            keys = [*(key for key in like if key in current), *(key for key in current if key not in like)]
            container[place] = made = {key: current[key] for key in keys}
            waiting.extend((made, key, like.get(key)) for key in keys)
        elif isinstance(current, list):
            rows = like if isinstance(like, list) else []
            container[place] = copied = list(current)
            waiting.extend((copied, at, rows[at] if at < len(rows) else None) for at in range(len(copied)))
    return holder[0]
