"""Files that schema-based nodes write to show something: pictures, animations and sound.

They go into the folders of the run, numbered as those of the save nodes are, with the workflow inside.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphengine.node.api import GraphEngineError, NodeContext, current_context
from graphengine_comfy._v3.node import ComfyNode
from graphengine_comfy._v3.widgets import FolderType

if TYPE_CHECKING:
    from PIL.Image import Exif, Image
    from torch import Tensor

# Modules that bring torch and Pillow are imported inside functions: definitions are read where nothing runs.

_EXIF_MODEL, _EXIF_MAKE = 0x0110, 0x010F


class SavedResult(dict[str, str]):
    """A file that a node wrote, as a client asks for it."""

    def __init__(self, filename: str, subfolder: str, type: FolderType) -> None:
        super().__init__(filename=filename, subfolder=subfolder, type=FolderType(type).value)

    @property
    def filename(self) -> str:
        """The name of the file."""
        return self["filename"]

    @property
    def subfolder(self) -> str:
        """Its folder below that of the type, with `/`."""
        return self["subfolder"]

    @property
    def type(self) -> FolderType:
        """Which of the run's folders it lies in."""
        return FolderType(self["type"])


class ImageSaveHelper:
    """Writes pictures, IMAGE (B, H, W, C) in 0..1.

    `cls` is the class of the node, whose hidden values give the workflow to put inside; without it none is.
    """

    @staticmethod
    def save_images(
        images: "Tensor",
        filename_prefix: str,
        folder_type: FolderType,
        cls: type[ComfyNode] | None,
        compress_level: int = 4,
    ) -> list[SavedResult]:
        """Each picture as a PNG file.

        Raises:
            FileRefused: the prefix leads out of the folder.
            GraphEngineError: no node is being called, the value is no IMAGE, or the files cannot be written.
        """
        from graphengine_nodes.image.writing import save_images

        context = _context()
        prompt, extra = _documents(cls)
        files = save_images(
            images,
            _root(context, folder_type),
            filename_prefix,
            prompt=prompt,
            extra=extra,
            compression=compress_level,
            between=context.check_cancelled,
        )
        return [SavedResult(file["filename"], file["subfolder"], folder_type) for file in files]

    @staticmethod
    def save_animated_png(
        images: "Tensor",
        filename_prefix: str,
        folder_type: FolderType,
        cls: type[ComfyNode] | None,
        fps: float,
        compress_level: int = 4,
    ) -> SavedResult:
        """All pictures as one animated PNG file, `fps` a second. Raises as `save_images`."""
        from PIL.PngImagePlugin import PngInfo

        texts = PngInfo()
        for name, text in _texts(cls).items():
            texts.add_text(name, text)
        return _save_animation(
            images, filename_prefix, folder_type, "PNG", fps, {"pnginfo": texts, "compress_level": compress_level}
        )

    @staticmethod
    def save_animated_webp(
        images: "Tensor",
        filename_prefix: str,
        folder_type: FolderType,
        cls: type[ComfyNode] | None,
        fps: float,
        lossless: bool,
        quality: int,
        method: int,
    ) -> SavedResult:
        """All pictures as one animated WebP file, `fps` a second. Raises as `save_images`."""
        options = {"exif": _exif(_texts(cls)), "lossless": lossless, "quality": quality, "method": method}
        return _save_animation(images, filename_prefix, folder_type, "WEBP", fps, options)


def write_files(
    prefix: str, folder_type: FolderType, suffix: str, contents: Iterable[bytes], size: tuple[int, int] = (0, 0)
) -> list[SavedResult]:
    """Write each content to the next free number; `size` is what %width% and %height% in the prefix stand for.

    Raises:
        FileRefused: the prefix leads out of the folder.
        GraphEngineError: no node is being called, or the files cannot be written.
    """
    from graphengine_nodes.core.output_files import expand_prefix, output_place, write_numbered

    expanded = expand_prefix(prefix, datetime.now(), width=size[0], height=size[1])
    place = output_place(_root(_context(), folder_type), expanded)
    names = write_numbered(place, suffix, contents)
    return [SavedResult(name, place.subfolder, folder_type) for name in names]


# Any: options of Pillow's writers.
def _save_animation(
    images: "Tensor", prefix: str, folder_type: FolderType, kind: str, fps: float, options: dict[str, Any]
) -> SavedResult:
    frames = _frames(images)

    def content() -> Iterable[bytes]:
        file = BytesIO()
        frames[0].save(file, kind, save_all=True, append_images=frames[1:], duration=round(1000 / fps), **options)
        yield file.getvalue()

    (result,) = write_files(prefix, folder_type, f".{kind.lower()}", content(), frames[0].size)
    return result


def _frames(images: "Tensor") -> "Sequence[Image]":
    from PIL import Image

    from graphengine_nodes.image.writing import to_bytes

    if not len(images):
        raise GraphEngineError("there is no picture to write", hint="connect an IMAGE with at least one picture")
    return [Image.fromarray(to_bytes(image)) for image in images]


def _context() -> NodeContext:
    context = current_context.get()
    if context is None:
        raise GraphEngineError("no node is being called, so there is no folder to write to")
    return context


def _root(context: NodeContext, folder_type: FolderType) -> Path:
    roots = context.folders.roots(FolderType(folder_type).value)
    if not roots:
        raise GraphEngineError("no input folder is set, so nothing can be written to it")
    return roots[0]


# Any: workflow documents are open-ended JSON; they are written, not read.
def _documents(cls: type[ComfyNode] | None) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    return (None, None) if cls is None else (cls.hidden.prompt, cls.hidden.extra_pnginfo)


def _texts(cls: type[ComfyNode] | None) -> dict[str, str]:
    prompt, extra = _documents(cls)
    documents = {**({} if prompt is None else {"prompt": prompt}), **(extra or {})}
    return {name: json.dumps(document) for name, document in documents.items()}


def _exif(texts: dict[str, str]) -> "Exif":
    """The prompt in the tag "model", the rest in "make" and the tags before it, as ComfyUI's readers expect."""
    from PIL import Image

    exif = Image.Exif()
    rest = iter(range(_EXIF_MAKE, 0, -1))
    for name, text in texts.items():
        exif[_EXIF_MODEL if name == "prompt" else next(rest)] = f"{name}:{text}"
    return exif
