"""Pictures of Pillow as plain data. Pillow is imported only to give one back."""

import sys
from typing import Any

#: Bits per pixel as `tobytes` gives them; rows of mode 1 are filled up to whole bytes.
_BITS = {
    "1": 1,
    "L": 8,
    "P": 8,
    "LA": 16,
    "La": 16,
    "PA": 16,
    "I;16": 16,
    "RGB": 24,
    "YCbCr": 24,
    "LAB": 24,
    "HSV": 24,
} | dict.fromkeys(("RGBA", "RGBX", "RGBa", "CMYK", "I", "F"), 32)
_MOST_PIXELS = 2**31


# Any: naming the type would import Pillow.
def describe_picture(value: Any) -> tuple[str, int, int] | None:
    """Mode, width and height of a picture that can be kept; None for anything else.

    Pictures that are still bound to their file, as `Image.open` gives them, are objects of their own.
    """
    pillow = sys.modules.get("PIL.Image")
    if pillow is None or type(value) is not pillow.Image or value.mode not in _BITS:
        return None
    return value.mode, *value.size


def picture_parts(value: Any) -> tuple[bytes, tuple[str, bytes] | None, dict[object, object]]:
    """Pixels, palette (mode and bytes) and info of a picture."""
    palette = None
    if value.mode in ("P", "PA") and value.palette is not None:
        value.load()
        palette = (value.palette.mode, bytes(value.getpalette(value.palette.mode) or ()))
    return value.tobytes(), palette, dict(value.info)


def restore_picture(mode: Any, width: Any, height: Any, parts: list[Any]) -> Any:
    """The picture.

    Raises:
        ValueError: mode, size, pixels, palette and info do not fit together.
    """
    pixels, palette, info = parts
    bits = _BITS.get(mode) if type(mode) is str else None
    sound = all(type(side) is int and side >= 0 for side in (width, height)) and bits is not None
    if not sound or width * height > _MOST_PIXELS or type(pixels) is not bytes or type(info) is not dict:
        raise ValueError(f"no picture: {mode!r}, {width!r} x {height!r}")
    if len(pixels) != (width * bits + 7) // 8 * height:
        raise ValueError(f"{len(pixels)} bytes for a picture of {width} x {height} in mode {mode}")
    from PIL import Image  # only entries with pictures need it

    picture = Image.frombytes(mode, (width, height), pixels) if pixels else Image.new(mode, (width, height))
    match palette:
        case (str(kind), bytes(colours)):
            picture.putpalette(colours, kind)
        case None:
            pass
        case _:
            raise ValueError("no palette")
    picture.info.update(info)
    return picture
