"""Pictures for the browser: previews, channels, and a mask put into a picture."""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING

from graphengine.errors import FileRefused

if TYPE_CHECKING:
    from PIL.Image import Image

#: Most pixels of a picture that is decoded.
MAX_PIXELS = 100_000_000
_DEFAULT_QUALITY = 90
#: What decoders raise on damaged data.
_DAMAGED = (OSError, ValueError, SyntaxError)


@dataclass(frozen=True, slots=True)
class Encoded:
    """A picture encoded for a browser."""

    data: bytes
    media_type: str


def encode_file(path: Path, encode: Callable[["Image"], Encoded]) -> Encoded:
    """The picture in the file, encoded anew.

    Raises:
        FileRefused: the file is no picture that can be read, or too large to decode.
    """
    with open_picture(path, path.name) as image:
        try:
            return encode(image)
        except _DAMAGED as error:
            raise FileRefused(f"the picture {path.name!a} cannot be decoded: {error}") from error


def open_picture(file: Path | IO[bytes], name: str) -> "Image":
    """The picture in a file, not decoded yet and within `MAX_PIXELS`; `name` is for messages.

    Raises:
        FileRefused: the file is no picture that can be read, or too large to decode.
    """
    from PIL import Image  # 40 ms, only needed for pictures

    try:
        image = Image.open(file)
    except (Image.DecompressionBombError, *_DAMAGED) as error:
        raise FileRefused(f"the file {name!a} is no picture that can be read") from error
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise FileRefused(
            f"the picture {name!a} has {image.width} x {image.height} pixels, too many to decode here",
            hint="ask for the file itself, without preview and channel",
        )
    return image


def preview(image: "Image", given: str, channel: str) -> Encoded:
    """`webp;90` or `jpeg;80` for `given`; transparency needs webp, and any other format becomes webp."""
    image = _eight_bits(image)
    kind, _, digits = given.partition(";")
    if kind != "jpeg" or "a" in channel:
        kind = "webp"
    plain = digits.isascii() and digits.isdigit() and len(digits) < 4
    quality = min(int(digits), 100) if plain else _DEFAULT_QUALITY
    mode = "RGB" if kind == "jpeg" or channel == "rgb" or not _is_transparent(image) else "RGBA"
    return _written(image.convert(mode), kind, quality=quality)


def channel_of(image: "Image", channel: str) -> Encoded:
    """As PNG: for "rgb" the colours without transparency, for "a" the transparency alone on black."""
    from PIL import Image

    image = _eight_bits(image)
    if channel == "rgb":
        return _written(image.convert("RGB"), "png")
    alone = Image.new("RGBA", image.size)
    alone.putalpha(image.convert("RGBA").getchannel("A"))
    return _written(alone, "png")


def with_mask(original: Path, mask: IO[bytes]) -> IO[bytes]:
    """The original as PNG, with the transparency of `mask` and the texts of the original.

    Raises:
        FileRefused: one of them is no picture that can be read, or their sizes differ.
    """
    from PIL.PngImagePlugin import PngInfo

    mask.seek(0)
    with open_picture(original, original.name) as picture, open_picture(mask, "mask") as other:
        if picture.size != other.size:
            raise FileRefused(
                f"the mask has {other.width} x {other.height} pixels, the picture {original.name!a} has "
                f"{picture.width} x {picture.height}",
                hint="send a mask of the picture's size",
            )
        texts = PngInfo()
        for name, text in getattr(picture, "text", {}).items():
            texts.add_text(name, text)
        try:
            result = picture.convert("RGBA")
            result.putalpha(other.convert("RGBA").getchannel("A"))
        except _DAMAGED as error:
            raise FileRefused(f"the picture or its mask cannot be decoded: {error}") from error
        data = BytesIO()
        result.save(data, format="PNG", compress_level=4, pnginfo=texts)
    return data


def _eight_bits(image: "Image") -> "Image":
    """The picture with sixteen bits of grey made eight, which Pillow would cut off instead."""
    if not image.mode.startswith("I;16"):
        return image
    return image.convert("I").point(lambda value: value * (1 / 256)).convert("L")


def _is_transparent(image: "Image") -> bool:
    return image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info


def _written(image: "Image", kind: str, **options: int) -> Encoded:
    data = BytesIO()
    image.save(data, format=kind.upper(), **options)
    return Encoded(data.getvalue(), f"image/{kind}")
