"""Picture files as IMAGE and MASK values. Files come from strangers: what is damaged or enormous is refused."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, ImageSequence, UnidentifiedImageError
from torch import Tensor

from graphengine.node.api import FileRefused

#: Formats that are read. Others that Pillow knows are rare, or start a program to draw the picture (EPS).
FORMATS = (
    *("PNG", "JPEG", "MPO", "WEBP", "GIF", "AVIF", "BMP", "DIB", "TIFF", "JPEG2000"),
    *("TGA", "PPM", "ICO", "DDS", "QOI", "PCX", "SGI"),
)
#: Formats whose frames follow each other in time; in others only the first picture counts.
_ANIMATED = frozenset({"PNG", "WEBP", "GIF", "AVIF", "TIFF"})
#: Pixels of all frames together: 3 GiB as an IMAGE.
MAX_PIXELS = 2**28
#: What Pillow raises for files that are cut off or changed.
_DAMAGE = (
    *(OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, OverflowError),
    *(struct.error, zlib.error),
)
_CHANNELS = {"red": 0, "green": 1, "blue": 2, "alpha": 3}


def read_image(path: Path, name: str) -> tuple[Tensor, Tensor]:
    """A picture file as IMAGE and MASK; `name` is how messages call it.

    IMAGE: (B, H, W, 3) float32 in 0..1, upright; frames of an animation that have the size of the first one form
    the batch. MASK: (B, H, W) float32, 1 where the picture is transparent; zeros (B, 64, 64) for an opaque one.

    Raises:
        FileRefused: the file is no picture, damaged or too large.
    """
    with _open(path, name) as picture:
        frames = [_rgb_and_alpha(frame) for frame in _frames(picture, name)]
    height, width = frames[0][0].shape[:2]
    opaque = all(alpha is None for _, alpha in frames)
    no_mask = np.zeros((64, 64) if opaque else (height, width), np.float32)
    masks = [no_mask if alpha is None else 1 - alpha for _, alpha in frames]
    return torch.from_numpy(np.stack([rgb for rgb, _ in frames])), torch.from_numpy(np.stack(masks))


def read_mask(path: Path, name: str, channel: str) -> Tensor:
    """One channel of a picture's first frame as MASK (1, H, W) float32 in 0..1.

    `channel` is "red", "green", "blue", or "alpha" for 1 where the picture is transparent.

    Raises:
        FileRefused: the file is no picture, damaged or too large.
    """
    with _open(path, name) as picture:
        frame = next(_frames(picture, name))
        if _is_deep_grey(frame):
            values = _deep_grey(frame) if channel != "alpha" else np.ones((frame.height, frame.width), np.float32)
        else:
            values = _unit(np.asarray(frame.convert("RGBA"))[..., _CHANNELS[channel]])
    return torch.from_numpy(1 - values if channel == "alpha" else values)[None]


@contextmanager
def _open(path: Path, name: str) -> Iterator[Image.Image]:
    """The opened picture; whatever reading it raises in the block becomes a refusal that names the file."""
    Image.init()
    known = [format_ for format_ in FORMATS if format_ in Image.OPEN]
    subject = f"file {name!r}"
    try:
        with Image.open(path, formats=known) as picture:
            yield picture
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(subject) from error
    except UnidentifiedImageError as error:
        raise FileRefused(
            f"{subject} is not a picture in a known format",
            hint="use a PNG, JPEG, WebP, GIF, AVIF, BMP or TIFF file",
        ) from error
    except _DAMAGE as error:
        raise FileRefused(
            f"{subject} cannot be read as a picture: {error}",
            hint="the file is damaged or incomplete; save or download it again",
        ) from error


def _too_large(subject: str) -> FileRefused:
    return FileRefused(
        f"{subject} is too large", hint=f"use at most {MAX_PIXELS // 10**6} million pixels, all frames together"
    )


def _frames(picture: Image.Image, name: str) -> Iterator[Image.Image]:
    """The frames of the first one's size, upright."""
    size, pixels = None, 0
    for frame in ImageSequence.Iterator(picture):
        pixels += frame.width * frame.height
        if pixels > MAX_PIXELS:
            raise _too_large(f"file {name!r}")
        upright = ImageOps.exif_transpose(frame)
        size = size or upright.size
        if upright.size == size:
            yield upright
        if picture.format not in _ANIMATED:
            return


def _rgb_and_alpha(frame: Image.Image) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Colours (H, W, 3) and, where there is transparency, alpha (H, W), both in 0..1."""
    if _is_deep_grey(frame):
        return np.repeat(_deep_grey(frame)[..., None], 3, axis=2), None
    if "A" in frame.getbands() or (frame.mode == "P" and "transparency" in frame.info):
        pixels = _unit(np.asarray(frame.convert("RGBA")))
        return pixels[..., :3], pixels[..., 3]
    return _unit(np.asarray(frame.convert("RGB"))), None


def _is_deep_grey(frame: Image.Image) -> bool:
    return frame.mode.startswith("I")


def _deep_grey(frame: Image.Image) -> NDArray[np.float32]:
    """16-bit grey in 0..1; Pillow's own conversion would cut off everything above 255."""
    values: NDArray[np.float32] = np.asarray(frame, np.float32) / np.float32(65535)
    return values.clip(0, 1)


def _unit(values: NDArray[np.uint8]) -> NDArray[np.float32]:
    return values.astype(np.float32) / np.float32(255)
