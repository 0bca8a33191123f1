"""IMAGE values as PNG files that carry the workflow they come from."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from graphengine.node.api import GraphEngineError
from graphengine_nodes.core.output_files import expand_prefix, output_place, write_numbered

logger = logging.getLogger(__name__)


def _nothing() -> None:
    """The default for `between`."""


# Any: workflow documents are open-ended JSON; they are written, not read.
def save_images(
    images: Tensor,
    root: Path,
    prefix: str,
    *,
    prompt: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
    compression: int = 4,
    between: Callable[[], None] = _nothing,
) -> list[dict[str, str]]:
    """Write IMAGE (B, H, W, C) below `root`; gives `{"filename", "subfolder"}` per picture.

    `prefix` may hold subfolders and the tokens of `expand_prefix`. The text chunk "prompt" holds `prompt`, `extra`
    gives more chunks by name ("workflow"). `between` is called before each picture and may raise to stop.

    Raises:
        FileRefused: the prefix leads out of the folder.
        GraphEngineError: the value is no IMAGE, or the files cannot be written.
    """
    _check(images)
    height, width = images.shape[1:3]
    expanded = expand_prefix(prefix, datetime.now(), width=width, height=height, prompt=prompt)
    place = output_place(root, expanded)
    texts = {**({} if prompt is None else {"prompt": prompt}), **(extra or {})}
    chunks = {name: json.dumps(document) for name, document in texts.items()}

    def contents() -> Iterator[bytes]:
        for image in images:
            between()
            yield encode_png(to_bytes(image), chunks, compression)

    names = write_numbered(place, ".png", contents())
    return [{"filename": name, "subfolder": place.subfolder} for name in names]


def _check(images: Tensor) -> None:
    if images.ndim != 4 or images.shape[-1] not in (1, 3, 4):
        raise GraphEngineError(
            f"input 'images' has the shape {tuple(images.shape)}, which is no picture",
            hint="connect an IMAGE: (batch, height, width, channels) with 1, 3 or 4 channels",
        )


def to_bytes(images: Tensor) -> NDArray[np.uint8]:
    """0..1 → 0..255, cut off and not rounded, as ComfyUI does; (…, H, W, C) → the same, or (…, H, W) for C = 1.

    Values that are not numbers become 0.
    """
    values = images.detach().to("cpu", torch.float32).numpy() * np.float32(255)
    if np.isnan(values).any():
        logger.warning("the picture holds values that are not numbers; they are shown as black")
        values = np.nan_to_num(values, nan=0.0)
    pixels = np.clip(values, 0, 255).astype(np.uint8)
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels


def encode_png(pixels: NDArray[np.uint8], texts: Mapping[str, str], compression: int = 4) -> bytes:
    """A picture (H, W), (H, W, 3) or (H, W, 4) as a PNG file with text chunks."""
    info = PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG", pnginfo=info, compress_level=compression)
    return file.getvalue()
