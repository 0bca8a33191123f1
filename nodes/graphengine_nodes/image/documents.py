"""Pictures with 16 bits, and drawings, as files that carry the workflow they come from."""

import json
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphengine.node.api import GraphEngineError
from graphengine_nodes.core.output_files import expand_prefix, output_place, write_numbered

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {1: 0, 3: 2, 4: 6}  # of PNG, by number of channels
_SVG_START = re.compile(rb"<svg\b[^>]*>", re.IGNORECASE)


# Any: workflow documents are open-ended JSON; they are written, not read.
def save_deep_images(
    images: Tensor,
    root: Path,
    prefix: str,
    *,
    prompt: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
    between: Callable[[], None],
) -> list[dict[str, str]]:
    """Write IMAGE (B, H, W, C) as PNG files with 16 bits per channel; see `save_images`.

    Raises:
        FileRefused: the prefix leads out of the folder.
        GraphEngineError: the value is no IMAGE, or the files cannot be written.
    """
    if images.ndim != 4 or images.shape[-1] not in _COLOUR_TYPES:
        raise GraphEngineError(f"input 'images' has the shape {tuple(images.shape)}, which is no picture")
    height, width = images.shape[1:3]
    place = output_place(root, expand_prefix(prefix, datetime.now(), width=width, height=height, prompt=prompt))
    texts = _texts(prompt, extra)

    def contents() -> Iterator[bytes]:
        for image in images:
            between()
            values = image.detach().to("cpu", torch.float32).nan_to_num(nan=0.0).clamp(0, 1).numpy()
            yield encode_deep_png((values * np.float32(65535)).astype(np.uint16), texts)

    names = write_numbered(place, ".png", contents())
    return [{"filename": name, "subfolder": place.subfolder} for name in names]


def _texts(prompt: Mapping[str, Any] | None, extra: Mapping[str, Any] | None) -> dict[str, str]:
    documents = {**({} if prompt is None else {"prompt": prompt}), **(extra or {})}
    return {name: json.dumps(document) for name, document in documents.items()}


def encode_deep_png(pixels: NDArray[np.uint16], texts: Mapping[str, str]) -> bytes:
    """A picture (H, W, 1, 3 or 4) with 16 bits per channel as a PNG file with text chunks (RFC 2083)."""
    height, width, channels = pixels.shape
    file = BytesIO()
    file.write(_SIGNATURE)
    file.write(_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, _COLOUR_TYPES[channels], 0, 0, 0)))
    for name, text in texts.items():
        file.write(_chunk(b"tEXt", name.encode("latin-1", "replace") + b"\0" + text.encode("latin-1", "replace")))
    lines = pixels.astype(">u2").reshape(height, -1).view(np.uint8)
    unfiltered = np.pad(lines, ((0, 0), (1, 0)))  # a 0 before each line: filter "none"
    file.write(_chunk(b"IDAT", zlib.compress(unfiltered.tobytes(), 4)))
    file.write(_chunk(b"IEND", b""))
    return file.getvalue()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def save_drawings(
    drawings: list[bytes],
    root: Path,
    prefix: str,
    *,
    prompt: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> list[dict[str, str]]:
    """Write SVG documents below `root`, the workflow in a `<metadata>` element; gives `{"filename", "subfolder"}`.

    Raises:
        FileRefused: the prefix leads out of the folder.
        GraphEngineError: the files cannot be written.
    """
    place = output_place(root, expand_prefix(prefix, datetime.now(), prompt=prompt))
    documents = {**({} if prompt is None else {"prompt": prompt}), **(extra or {})}
    names = write_numbered(place, ".svg", (with_workflow(drawing, documents) for drawing in drawings))
    return [{"filename": name, "subfolder": place.subfolder} for name in names]


def with_workflow(drawing: bytes, documents: Mapping[str, Any]) -> bytes:
    """An SVG document with JSON documents in a `<metadata>` element; unchanged when there are none, or no svg."""
    start = _SVG_START.search(drawing)
    if not documents or start is None or start[0].endswith(b"/>"):
        return drawing
    # What would end the section cannot stand in it; in JSON it can be written in another way.
    text = json.dumps(documents).replace("]]>", "]]\\u003e").encode()
    return drawing[: start.end()] + b"<metadata><![CDATA[" + text + b"]]></metadata>" + drawing[start.end() :]
