"""Pictures as terminals take them between letters: kitty's graphics protocol, iTerm2's inline images, and sixel.

Sources: sw.kovidgoyal.net/kitty/graphics-protocol, iterm2.com/documentation-images.html, and for sixel DEC's
manual of the VT330 and VT340 (EK-VT3XX-TP, chapter 14).
"""

import base64
import re
from enum import StrEnum
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

_CHUNK = 4096  # letters of base64 that kitty takes at once
_COLOURS = 128  # of a sixel picture; terminals have 256 registers or more
_BAND = 6  # rows of pixels that one sixel letter stands for
_REPEATED = re.compile(rb"(.)\1{3,}", re.DOTALL)
_MOST_PIXELS = 100_000_000  # a larger picture is not opened
_DCS, _END = "\x1bP", "\x1b\\"


class Protocol(StrEnum):
    """How a terminal takes pictures."""

    KITTY = "kitty"
    ITERM = "iterm"
    SIXEL = "sixel"


def picture_code(path: Path, protocol: Protocol, size: tuple[int, int]) -> str | None:
    """What to write to a terminal so that it shows a picture, made smaller to fit in `size` pixels.

    None where the file is no picture that can be read.
    """
    from PIL import Image, UnidentifiedImageError  # 0.05 s, and only a terminal that shows pictures needs it

    try:
        with Image.open(path) as opened:
            if opened.width * opened.height > _MOST_PIXELS:
                return None
            opened.draft("RGB", size)
            picture = opened.convert("RGB")
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None  # a sound, a text, a damaged file: its path is told all the same
    picture.thumbnail(size)
    match protocol:
        case Protocol.KITTY:
            return kitty_code(_png(picture))
        case Protocol.ITERM:
            return iterm_code(_png(picture))
        case Protocol.SIXEL:
            return sixel_code(picture)


def kitty_code(png: bytes) -> str:
    """A PNG file as kitty's terminal graphics take it: shown at the cursor, in chunks, without an answer."""
    text = base64.b64encode(png).decode("ascii")
    chunks = [text[start : start + _CHUNK] for start in range(0, len(text), _CHUNK)] or [""]
    parts = []
    for number, chunk in enumerate(chunks):
        first = "a=T,f=100,q=2," if number == 0 else ""
        parts.append(f"\x1b_G{first}m={int(number < len(chunks) - 1)};{chunk}{_END}")
    return "".join(parts)


def iterm_code(png: bytes) -> str:
    """A PNG file as an inline image of iTerm2."""
    return f"\x1b]1337;File=inline=1;size={len(png)}:{base64.b64encode(png).decode('ascii')}\x07"


def sixel_code(picture: "Image") -> str:
    """A picture as sixels of up to 128 colours; every six rows of pixels are written colour by colour."""
    import numpy as np  # as above
    from PIL import Image

    indexed = picture.convert("RGB").quantize(_COLOURS, dither=Image.Dither.FLOYDSTEINBERG)
    palette = indexed.getpalette() or []
    pixels = np.asarray(indexed)
    height, width = pixels.shape
    parts = [f'{_DCS}0;1;0q"1;1;{width};{height}']
    for number in np.unique(pixels).tolist():
        red, green, blue = (round(value * 100 / 255) for value in palette[3 * number : 3 * number + 3])
        parts.append(f"#{number};2;{red};{green};{blue}")
    bits = 1 << np.arange(_BAND, dtype=np.uint8)[:, None]
    for top in range(0, height, _BAND):
        band = pixels[top : top + _BAND]
        lines = []
        for number in np.unique(band).tolist():
            sums = ((band == number) * bits[: len(band)]).sum(axis=0, dtype=np.uint8)
            letters = _REPEATED.sub(_shortened, (sums + 63).astype(np.uint8).tobytes())
            lines.append(f"#{number}{letters.decode('ascii')}")
        parts.append("$".join(lines) + "-")
    return "".join([*parts, _END])


def _shortened(run: re.Match[bytes]) -> bytes:
    return b"!%d%b" % (len(run[0]), run[1])


def _png(picture: "Image") -> bytes:
    written = BytesIO()
    picture.save(written, "PNG")
    return written.getvalue()
