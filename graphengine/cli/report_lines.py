"""In which line of a file a node stands, for reports that point at lines."""

import re
from bisect import bisect
from collections.abc import Mapping
from pathlib import Path

# `"12": {` of an API document; `"id": 12, "type": "KSampler"` of the editor's, which writes them side by side.
_API_NODE = re.compile(r'"([^"\\]{1,200})"\s*:\s*\{')
_UI_NODE = re.compile(r'"id"\s*:\s*"?([\w-]{1,100})"?\s*,\s*"type"\s*:\s*"([^"\\]{1,200})"')
_MOST_BYTES = 16 * 1024**2

Lines = Mapping[tuple[str, str | None], int]


def node_lines(file: Path) -> Lines:
    """Lines, from 1, by the id of a node in its own graph and its type (None when the file does not say it there).

    Empty for a file that is no JSON text, cannot be read or is large. It is a place to look, not a fact: two
    subgraphs may use one id.
    """
    try:
        with file.open("rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
        text = data.decode("utf-8")
    except (OSError, ValueError):
        return {}
    if len(data) > _MOST_BYTES or not text.lstrip().startswith("{"):
        return {}
    ends = [match.start() for match in re.finditer("\n", text)]
    found: dict[tuple[str, str | None], int] = {}
    for match in _UI_NODE.finditer(text):
        found.setdefault((match[1], match[2]), bisect(ends, match.start()) + 1)
    for match in _API_NODE.finditer(text):
        found.setdefault((match[1], None), bisect(ends, match.start()) + 1)
    return found


def line_of(lines: Lines, node_id: str | None, class_type: str | None) -> int:
    """The line of a node; 1 when it is not known."""
    if node_id is None:
        return 1
    inner = node_id.rpartition(":")[2]
    return lines.get((inner, class_type)) or lines.get((node_id, None)) or 1
