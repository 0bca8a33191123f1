"""The pictures of two runs for a page: both, and how they differ, as data that the page holds itself."""

import base64
import math
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from graphengine.cli.history_runs import hash_of
from graphengine.errors import SettingsError
from graphengine.provenance.history.comparison import OutputPair
from graphengine.provenance.history.history import History
from graphengine.provenance.history.past_run import OutputFile

# Any throughout: pictures of PIL and arrays of levels, uint8 (height, width, 3). numpy and PIL are imported in
# functions: a comparison without a page needs neither.

_LARGEST = 64 * 2**20  # bytes of a file that is opened
_MOST_PIXELS = 64_000_000
_SIDE = 768  # pixels of a picture in the page


@dataclass(frozen=True, slots=True)
class ShownPicture:
    """A picture as the page shows it: `source` is its data, "" where there is none; `note` is its size or why."""

    source: str
    note: str


@dataclass(frozen=True, slots=True)
class ShownPair:
    """The pictures of one output in both runs, and their difference where they have one size.

    `psnr` is in decibels, infinite for equal pixels; `largest` is the largest difference of a level, of 255.
    """

    pair: OutputPair
    old: ShownPicture
    new: ShownPicture
    difference: ShownPicture | None = None
    psnr: float | None = None
    largest: int | None = None


def shown_pair(history: History, pair: OutputPair) -> ShownPair:
    """The pictures of an output; a file that is gone, was changed or is no picture is told of."""
    old, before = _opened(history, pair.old)
    new, after = _opened(history, pair.new)
    if before is None or after is None:
        return ShownPair(pair, old, new)
    if before.shape != after.shape:
        return ShownPair(pair, old, new)
    import numpy as np

    gap = np.abs(before.astype("int16") - after.astype("int16"))
    largest = int(gap.max(initial=0))
    error = float((gap.astype("float64") ** 2).mean()) if gap.size else 0.0
    psnr = math.inf if error == 0.0 else 10.0 * math.log10(255.0**2 / error)
    drawn = np.rint(gap * (255.0 / max(largest, 1))).astype("uint8")
    difference = ShownPicture(_source(drawn), "the largest difference is white" if largest else "no difference")
    return ShownPair(pair, old, new, difference, psnr, largest)


def _opened(history: History, output: OutputFile | None) -> tuple[ShownPicture, Any]:
    """A picture for the page, and its levels; None for the levels where it cannot be shown."""
    if output is None:
        return ShownPicture("", "this run saved no such file"), None
    place = history.project / output.path
    try:
        if place.stat().st_size > _LARGEST:
            return ShownPicture("", "the file is too large to be shown"), None
        if hash_of(place) != output.sha256:
            return ShownPicture("", "the file was changed or overwritten since"), None
    except (OSError, SettingsError):
        return ShownPicture("", "the file is not there any more"), None
    levels = _levels(place)
    if levels is None:
        return ShownPicture("", "this is no picture"), None
    return ShownPicture(_source(levels), f"{levels.shape[1]} x {levels.shape[0]}"), levels


def _levels(place: Path) -> Any:
    """The levels of a picture, of the first of several; None when it is none or has too many pixels."""
    import numpy as np
    from PIL import Image

    try:
        with Image.open(place) as picture:
            if picture.width * picture.height > _MOST_PIXELS:
                return None
            return np.asarray(picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _source(levels: Any) -> str:
    """A picture as the address of an `img`, made smaller to fit the page."""
    from PIL import Image

    picture = Image.fromarray(levels)
    picture.thumbnail((_SIDE, _SIDE))
    data = BytesIO()
    picture.save(data, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode('ascii')}"
