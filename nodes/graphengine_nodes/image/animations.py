"""IMAGE values as animated WebP and PNG files that carry the workflow they come from."""

import json
from collections.abc import Mapping
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from graphengine.node.api import GraphEngineError
from graphengine_nodes.core.output_files import expand_prefix, output_place, write_numbered

from .writing import to_bytes

_EFFORTS = {"fastest": 0, "default": 4, "slowest": 6}
_MODEL, _MAKE = 0x0110, 0x010F  # tags of EXIF, which ComfyUI uses for its documents


# Any: workflow documents are open-ended JSON; they are written, not read.
def save_animation(
    content: bytes, suffix: str, root: Path, prefix: str, images: Tensor, prompt: Mapping[str, Any] | None
) -> dict[str, str]:
    """Write the file of an animation below `root` as `prefix_00001_.webp`; gives `{"filename", "subfolder"}`.

    Raises:
        FileRefused: the prefix leads out of the folder.
        GraphEngineError: the file cannot be written.
    """
    height, width = images.shape[1:3]
    place = output_place(root, expand_prefix(prefix, datetime.now(), width=width, height=height, prompt=prompt))
    (name,) = write_numbered(place, suffix, [content])
    return {"filename": name, "subfolder": place.subfolder}


def encode_webp(
    images: Tensor,
    fps: float,
    *,
    lossless: bool,
    quality: int,
    method: str,
    prompt: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> bytes:
    """IMAGE (frames, H, W, C) as the content of an animated WebP file.

    `fps` are frames a second, `quality` goes from 0 to 100 (the effort when `lossless`), `method` is "default",
    "fastest" or "slowest". EXIF data hold "prompt:…" and, counting down from the tag "Make", the documents of
    `extra` as "workflow:…".

    Raises:
        GraphEngineError: there is no picture.
    """
    exif = Image.Exif()
    if prompt is not None:
        exif[_MODEL] = f"prompt:{json.dumps(prompt)}"
    for number, (name, document) in enumerate((extra or {}).items()):
        exif[_MAKE - number] = f"{name}:{json.dumps(document)}"
    return _encoded(
        images, "WEBP", fps, exif=exif, lossless=lossless, quality=quality, method=_EFFORTS.get(method, 4)
    )


def encode_apng(
    images: Tensor,
    fps: float,
    compression: int,
    *,
    prompt: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> bytes:
    """IMAGE (frames, H, W, C) as the content of an animated PNG file, `compression` from 0 to 9.

    Text chunks hold the documents by name, as in pictures that stand still; ComfyUI puts them into chunks of its
    own kind, which few programs read.

    Raises:
        GraphEngineError: there is no picture.
    """
    info = PngInfo()
    documents = {**({} if prompt is None else {"prompt": prompt}), **(extra or {})}
    for name, document in documents.items():
        info.add_text(name, json.dumps(document))
    return _encoded(images, "PNG", fps, pnginfo=info, compress_level=compression)


def _encoded(images: Tensor, form: str, fps: float, **options: Any) -> bytes:
    if images.ndim != 4 or 0 in images.shape:
        raise GraphEngineError(
            f"input 'images' has the shape {tuple(images.shape)}, which is no animation",
            hint="connect at least one picture: (frames, height, width, channels)",
        )
    first, *others = (Image.fromarray(to_bytes(image)) for image in images)
    file = BytesIO()
    first.save(file, form, save_all=True, append_images=others, duration=int(1000 / fps), **options)
    return file.getvalue()
