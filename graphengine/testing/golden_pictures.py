"""Golden pictures: PNG files, how far two pictures agree, and a page that shows what differs."""

import html
import math
from pathlib import Path
from typing import Any

from graphengine.errors import GraphEngineError
from graphengine.whole_files import being_written

# Any throughout: arrays of levels, uint8 (height, width, channels). numpy, torch and PIL are imported in
# functions: a run that compares no pictures needs none of them.

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_CHANNELS = (1, 3, 4)


class GoldenPictureDamaged(GraphEngineError):
    """A golden PNG cannot be read."""

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}"  # pytest shows this alone


def is_picture(value: Any) -> bool:
    """Whether a value is an IMAGE (batch, height, width, channels) or a MASK (batch, height, width) of floats."""
    import torch

    if not isinstance(value, torch.Tensor) or not value.is_floating_point() or value.numel() == 0:
        return False
    return value.ndim == 3 or (value.ndim == 4 and value.shape[-1] in _CHANNELS)


def to_levels(picture: Any) -> Any:
    """One picture, (height, width[, channels]) in 0..1, as levels from 0 to 255."""
    levels = (picture.detach().cpu().float().nan_to_num() * 255.0).round().clamp(0, 255).byte().numpy()
    return levels[..., None] if levels.ndim == 2 else levels


def write_picture(file: Path, levels: Any) -> None:
    """Write a PNG; what was there is replaced when it is whole."""
    from PIL import Image

    file.parent.mkdir(parents=True, exist_ok=True)
    channels = levels.shape[-1]
    picture = Image.fromarray(levels[..., 0] if channels == 1 else levels, _MODES[channels])
    with being_written(file) as temporary:
        picture.save(temporary, "PNG")


def read_picture(file: Path) -> Any:
    """The levels in a PNG.

    Raises:
        GoldenPictureDamaged: it is no whole picture with 1, 3 or 4 channels of 8 bits.
    """
    import numpy as np
    from PIL import Image

    try:
        with Image.open(file) as picture:
            picture.load()
            if picture.mode not in _MODES.values():
                raise ValueError(f"its mode is {picture.mode}")
            levels = np.asarray(picture)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise GoldenPictureDamaged(
            f"the golden file {file} is damaged: {error}", hint="take it from version control, or --update-golden"
        ) from error
    return levels[..., None] if levels.ndim == 2 else levels


def psnr_of(expected: Any, actual: Any) -> float:
    """The peak signal-to-noise ratio of two pictures in decibels; infinite when they are equal."""
    gap = expected.astype("float64") - actual.astype("float64")
    error = float((gap * gap).mean())
    return math.inf if error == 0.0 else 10.0 * math.log10(255.0**2 / error)


def write_page(folder: Path, name: str, expected: Any, actual: Any, told: str) -> Path:
    """Write both pictures, where they have one size the difference, and a page that shows them; gives the page.

    `told` is a sentence about them for the page.
    """
    shown = {"expected": expected, "actual": actual}
    if expected.shape == actual.shape:
        shown["difference"] = _difference(expected, actual)
        write_picture(folder / f"{name}_side_by_side.png", _beside(list(shown.values())))
    for kind, levels in shown.items():
        write_picture(folder / f"{name}_{kind}.png", levels)
    figures = "\n".join(
        f'<figure><img src="{html.escape(name)}_{kind}.png" alt="{kind}"><figcaption>{kind}, '
        f"{levels.shape[1]} by {levels.shape[0]}</figcaption></figure>"
        for kind, levels in shown.items()
    )
    page = folder / f"{name}.html"
    page.write_text(
        f'<!doctype html>\n<meta charset="utf-8">\n<title>{html.escape(name)}</title>\n'
        "<style>body{font-family:sans-serif;margin:1em}main{display:flex;gap:1em;align-items:start}"
        "figure{margin:0;flex:1 1 0}img{image-rendering:pixelated;width:100%;border:1px solid #888}</style>\n"
        f"<h1>{html.escape(name)}</h1>\n<p>{html.escape(told)}</p>\n<main>\n{figures}\n</main>\n",
        encoding="utf-8",
    )
    return page


def _difference(expected: Any, actual: Any) -> Any:
    """How far each level is off, the largest at 255 so that small ones can be seen; opaque."""
    import numpy as np

    gap = np.abs(expected.astype("int16") - actual.astype("int16"))
    if gap.shape[-1] == 4:
        gap = np.maximum(gap[..., :3], gap[..., 3:])
    return (gap * (255.0 / max(int(gap.max()), 1))).astype("uint8")


def _beside(pictures: list[Any]) -> Any:
    import numpy as np

    channels = max(picture.shape[-1] for picture in pictures)
    alike = [
        np.concatenate(
            [picture, np.full((*picture.shape[:2], channels - picture.shape[-1]), 255, "uint8")], axis=-1
        )
        for picture in pictures
    ]
    return np.concatenate(alike, axis=1)
