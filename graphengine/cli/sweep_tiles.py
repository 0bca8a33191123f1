"""The parts of a contact sheet: small pictures, and what stands in their place."""

import warnings
from pathlib import Path
from typing import cast

from PIL import Image, ImageDraw, ImageOps

from graphengine.cli.sweep_lettering import Color, Lettering
from graphengine.cli.sweep_manifest import Cell

INK: Color = (32, 33, 36)
MUTED: Color = (95, 99, 104)
_TILE: Color = (241, 243, 244)
_LINE: Color = (218, 220, 224)
_FAILED: Color = (252, 232, 230)
_ALARM: Color = (165, 14, 14)
#: Formats that nodes save pictures in; others are not tried.
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")


def open_picture(file: Path) -> Image.Image | None:
    """The picture in a file, not yet read; None when it is none, or larger than Pillow takes for safe."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return Image.open(file, formats=_FORMATS)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return None


def draw_tile(
    sheet: Image.Image,
    place: tuple[int, int],
    box: tuple[int, int],
    folder: Path,
    cell: Cell,
    lettering: Lettering,
) -> None:
    """Put the picture of a cell in its place, or what there is to say instead."""
    draw = ImageDraw.Draw(sheet)
    corner = (place[0] + box[0] - 1, place[1] + box[1] - 1)
    picture = _small_picture(folder, cell, box)
    if picture is None:
        failed = cell["status"] == "error"
        draw.rectangle((place, corner), fill=_FAILED if failed else _TILE)
        inner, lines = (place[0] + 8, place[1] + 8), max(1, (box[1] - 16) // lettering.line_height)
        color = _ALARM if failed else MUTED
        lettering.text(draw, inner, box[0] - 16, _instead(cell), color=color, lines=lines)
        return
    if picture.size != box:
        draw.rectangle((place, corner), fill=_TILE)
    sheet.paste(picture, (place[0] + (box[0] - picture.width) // 2, place[1] + (box[1] - picture.height) // 2))
    draw.rectangle((place, corner), outline=_LINE)  # pictures with a white edge would run into each other
    if len(cell["files"]) > 1:
        _badge(draw, corner, f"+{len(cell['files']) - 1}", lettering)


def _badge(draw: ImageDraw.ImageDraw, corner: tuple[int, int], text: str, lettering: Lettering) -> None:
    """How many files there are besides, in the corner."""
    width, height = lettering.width_of([text], 100) + 10, lettering.line_height + 4
    place = (corner[0] - width - 4, corner[1] - height - 4)
    draw.rounded_rectangle((place, (corner[0] - 4, corner[1] - 4)), radius=4, fill=INK)
    lettering.text(draw, (place[0], place[1] + 2), width, text, color=(255, 255, 255), lines=1, centred=True)


def _instead(cell: Cell) -> str:
    """What stands in place of a picture."""
    match cell:
        case {"status": "error", "error": error}:
            return f"failed: {cast('dict[str, str]', error)['message']}"
        case {"status": "success", "texts": [text, *_]}:
            return text
        case {"status": "success", "files": [name, *_]}:
            return f"no picture: {name}"
        case {"status": "success"}:
            return "no picture"
        case _:
            return "not run"


def _small_picture(folder: Path, cell: Cell, box: tuple[int, int]) -> Image.Image | None:
    """The first picture of a cell as large as the room for it, on white where it is transparent."""
    for name in cell["files"]:
        picture = open_picture(folder / name)
        if picture is None:
            continue
        try:
            with picture:
                picture.draft("RGB", box)
                return ImageOps.contain(_in_rgb(picture), box, Image.Resampling.LANCZOS)
        except (OSError, ValueError, SyntaxError):
            continue  # it is cut off, or damaged otherwise
    return None


def _in_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I;16") or picture.mode == "I":
        return picture.convert("I").point(lambda value: value * (1 / 256)).convert("RGB")
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    seen = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")
