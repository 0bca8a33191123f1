"""The parts of a contact sheet: small pictures, what stands in their place, and lettering."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from PIL import Image, ImageDraw, ImageFont, ImageOps

from graphengine.cli.console import printable
from graphengine.cli.sweep_manifest import Cell

Color = tuple[int, int, int]

INK: Color = (32, 33, 36)
MUTED: Color = (95, 99, 104)
_TILE: Color = (241, 243, 244)
_FAILED: Color = (252, 232, 230)
_ALARM: Color = (165, 14, 14)
_TITLE_PIXELS = 22
_TEXT_PIXELS = 15
_MAX_CHARS = 400
#: Formats that nodes save pictures in; others are not tried.
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")


class Lettering:
    """Text on a sheet, in the font that comes with Pillow: Latin, Greek and Cyrillic letters."""

    def __init__(self) -> None:
        self._title = ImageFont.load_default(_TITLE_PIXELS)
        self._text = ImageFont.load_default(_TEXT_PIXELS)
        self.title_height = round(_TITLE_PIXELS * 1.5)
        self.line_height = round(_TEXT_PIXELS * 1.3)

    def title(self, draw: ImageDraw.ImageDraw, place: tuple[int, int], width: int, text: str) -> None:
        """Draw the title, on one line."""
        draw.text(place, self._wrapped(text, width, 1, self._title)[0], fill=INK, font=self._title)

    def text(
        self,
        draw: ImageDraw.ImageDraw,
        place: tuple[int, int],
        width: int,
        text: str,
        *,
        color: Color,
        lines: int,
        centred: bool = False,
    ) -> None:
        """Draw a text from its top left corner, in lines no longer than the width, the last one cut if need be."""
        x, y = place
        for line in self._wrapped(text, width, lines, self._text):
            indent = (width - self._text.getlength(line)) / 2 if centred else 0
            draw.text((x + indent, y), line, fill=color, font=self._text)
            y += self.line_height

    def width_of(self, texts: Sequence[str], most: int) -> int:
        """Room that the longest of the texts takes on one line, no more than `most`."""
        return min(most, max(round(self._text.getlength(_clean(text))) for text in texts) + 1)

    def height_of(self, texts: Sequence[str], width: int, lines: int) -> int:
        """Room that the texts take in that width, the one with the most lines."""
        return self.line_height * max(len(self._wrapped(text, width, lines, self._text)) for text in texts)

    def _wrapped(self, text: str, width: int, lines: int, font: "_Font") -> list[str]:
        """The text in lines that fit; broken between words, within those that are longer than a line."""
        done: list[str] = []
        rest = _clean(text)
        while rest and len(done) < lines:
            end = _fitting(rest, width, font)
            if end < len(rest):
                space = rest.rfind(" ", 1, end + 1)
                end = space if space > 0 else end
            done.append(rest[:end].rstrip())
            rest = rest[end:].lstrip()
        if rest:
            last = f"{done[-1]}…"
            while len(last) > 1 and font.getlength(last) > width:
                last = f"{last[:-2].rstrip()}…"
            done[-1] = last
        return done or [""]


_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def _clean(text: str) -> str:
    return " ".join(printable(text[:_MAX_CHARS]).encode("utf-8", "replace").decode().split())


def _fitting(text: str, width: int, font: _Font) -> int:
    """How many characters fit, at least one; a text grows with each, so halving finds it."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if font.getlength(text[:middle]) <= width:
            low = middle
        else:
            high = middle - 1
    return low


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
