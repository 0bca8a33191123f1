"""What output nodes show: the files they wrote."""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from pydantic import JsonValue

from graphengine.node.folders import Folders


def shown_files(ui: Mapping[str, JsonValue], folders: Folders) -> Iterator[Path]:
    """The files that a node's message names, `{"images": [{"filename", "subfolder", "type"}]}`, in any list."""
    for items in ui.values():
        for item in items if isinstance(items, list | tuple) else ():
            match item:
                case {"filename": str(name), "type": str(kind), **rest}:
                    for root in folders.roots(kind)[:1]:
                        yield root / PurePosixPath(str(rest.get("subfolder") or "")) / name
                case _:
                    continue


def missing_file(ui: Mapping[str, JsonValue], folders: Folders) -> Path | None:
    """The first file that the message names and that is not there any more."""
    return next((path for path in shown_files(ui, folders) if not path.is_file()), None)
