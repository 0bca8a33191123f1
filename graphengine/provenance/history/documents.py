"""The documents of past runs, each once, by the SHA-256 of its text: `documents/ab/<sha256>.json.gz`."""

import gzip
import json
import re
import zlib
from hashlib import sha256
from pathlib import Path
from typing import Any

from graphengine.errors import GraphEngineError
from graphengine.whole_files import being_written
from graphengine.workflow.json_input import MAX_BYTES, parse_json

_DIGEST = re.compile(r"[0-9a-f]{64}")


# Any: documents are open-ended JSON.
def document_bytes(document: Any) -> bytes:
    """The text under whose hash a document is kept: keys in order, no blanks, UTF-8."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_shortened)
    return text.encode("utf-8", "surrogatepass")


def _shortened(value: object) -> str:
    """What stands for a value that is no JSON."""
    return repr(value)[:200]


class Documents:
    """The documents in a folder, which need not be there yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def place(self, digest: str) -> Path:
        """Where a document is.

        Raises:
            GraphEngineError: this is no SHA-256 in hex.
        """
        if not _DIGEST.fullmatch(digest):
            raise GraphEngineError(f"{digest[:80]!r} names no document", hint="give 64 hex digits")
        return self.folder / digest[:2] / f"{digest}.json.gz"

    def write(self, digest: str, content: bytes) -> None:
        """Keep a document, unless it is there.

        Raises:
            OSError: it cannot be written.
        """
        place = self.place(digest)
        if place.exists():
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        with being_written(place) as temporary:
            temporary.write_bytes(gzip.compress(content, compresslevel=6, mtime=0))

    # Any: as above.
    def read(self, digest: str) -> dict[str, Any]:
        """A document.

        Raises:
            GraphEngineError: there is none, or it is damaged or was changed.
        """
        place = self.place(digest)
        try:
            with gzip.open(place) as file:
                content = file.read(MAX_BYTES + 1)
        except FileNotFoundError as error:
            raise GraphEngineError(
                f"the history has no document {digest[:16]}…",
                hint="the run is known, its workflow is not any more",
            ) from error
        except (OSError, EOFError, zlib.error) as error:
            raise GraphEngineError(f"{place} cannot be read: {error}", hint="run the workflow again") from error
        if sha256(content).hexdigest() != digest:
            raise GraphEngineError(f"{place} is not what was written", hint="run the workflow again")
        found = parse_json(content).value
        if not isinstance(found, dict):
            raise GraphEngineError(f"{place} holds no document", hint="run the workflow again")
        return found
