"""Text on a contact sheet.

The font that comes with Pillow has ASCII letters. A text with others is set in the font of the system that has
most of them; what none has becomes its plain letter, `é` → `e`, or a question mark.
"""

import unicodedata
from collections.abc import Sequence

from PIL import ImageDraw, ImageFont

from graphengine.cli.console import printable

Color = tuple[int, int, int]

_TITLE_PIXELS = 22
_TEXT_PIXELS = 15
_MAX_CHARS = 400
_ABSENT = "\U0010ffff"  # no font has it, so that it looks like any absent letter
#: Fonts with many letters that systems come with: Linux, macOS, Windows. Pillow knows where they lie.
_SYSTEM_FONTS = (
    "NotoSansCJK-Regular.ttc",
    "DejaVuSans.ttf",
    "LiberationSans-Regular.ttf",
    "Arial Unicode.ttf",
    "msgothic.ttc",
    "arial.ttf",
)


class _Face:
    """A font in one size, and which letters it has."""

    def __init__(self, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> None:
        self._font = font
        self._absent = bytes(font.getmask(_ABSENT))
        self._known: dict[str, bool] = {}

    def has(self, letter: str) -> bool:
        known = self._known.get(letter)
        if known is None:
            known = letter.isascii() or bytes(self._font.getmask(letter)) != self._absent
            self._known[letter] = known
        return known

    def length(self, text: str) -> float:
        return self._font.getlength(text)

    def draw(self, draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, color: Color) -> None:
        draw.text(place, text, fill=color, font=self._font)


class Lettering:
    """Sets titles and texts; heights and widths are in pixels."""

    def __init__(self) -> None:
        self._title = _Faces(_TITLE_PIXELS)
        self._text = _Faces(_TEXT_PIXELS)
        self.title_height = round(_TITLE_PIXELS * 1.5)
        self.line_height = round(_TEXT_PIXELS * 1.3)

    def title(
        self, draw: ImageDraw.ImageDraw, place: tuple[int, int], width: int, text: str, *, color: Color
    ) -> None:
        """Draw a title, on one line."""
        face, lines = _wrapped(self._title, text, width, 1)
        face.draw(draw, place, lines[0], color)

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
        face, wrapped = _wrapped(self._text, text, width, lines)
        for number, line in enumerate(wrapped):
            indent = (width - face.length(line)) / 2 if centred else 0
            face.draw(draw, (place[0] + indent, place[1] + number * self.line_height), line, color)

    def width_of(self, texts: Sequence[str], most: int) -> int:
        """Room that the longest of the texts takes on one line, no more than `most`."""
        lengths = [face.length(line) for face, line in map(self._text.choose, texts)]
        return min(most, round(max(lengths)) + 1)

    def height_of(self, texts: Sequence[str], width: int, lines: int) -> int:
        """Room that the texts take in that width, the one with the most lines."""
        return self.line_height * max(len(_wrapped(self._text, text, width, lines)[1]) for text in texts)


class _Faces:
    """The fonts for one size; those of the system are looked for when a text needs them."""

    def __init__(self, pixels: int) -> None:
        self._pixels = pixels
        self._shipped = _Face(ImageFont.load_default(pixels))
        self._all: list[_Face] = []

    def choose(self, text: str) -> tuple[_Face, str]:
        """The font that has most of a text's letters, and the text with others in place of those it has not."""
        text = " ".join(printable(text[:_MAX_CHARS]).encode("utf-8", "replace").decode().split())
        if all(map(self._shipped.has, text)):
            return self._shipped, text
        if not self._all:
            self._all = [self._shipped, *_system_faces(self._pixels)]
        face = max(self._all, key=lambda face: sum(map(face.has, text)))
        return face, "".join(letter if face.has(letter) else _plain(letter) for letter in text)


def _system_faces(pixels: int) -> list[_Face]:
    faces: list[_Face] = []
    for name in _SYSTEM_FONTS:
        try:
            faces.append(_Face(ImageFont.truetype(name, pixels)))
        except (OSError, ImportError):
            continue  # this system has no such font, or Pillow was built without FreeType
    return faces


def _plain(letter: str) -> str:
    plain = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
    return plain or "?"


def _wrapped(faces: _Faces, text: str, width: int, most: int) -> tuple[_Face, list[str]]:
    """The text in lines that fit; broken between words, within those that are longer than a line."""
    face, rest = faces.choose(text)
    lines: list[str] = []
    while rest and len(lines) < most:
        end = _fitting(rest, width, face)
        if end < len(rest):
            space = rest.rfind(" ", 1, end + 1)
            end = space if space > 0 else end
        lines.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    if rest:
        lines[-1] = _cut(lines[-1], width, face)
    return face, lines or [""]


def _cut(line: str, width: int, face: _Face) -> str:
    """The line with dots at its end."""
    while line and face.length(f"{line}...") > width:
        line = line[:-1].rstrip()
    return f"{line}..."


def _fitting(text: str, width: int, face: _Face) -> int:
    """How many characters fit, at least one; a text grows with each, so halving finds it."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if face.length(text[:middle]) <= width:
            low = middle
        else:
            high = middle - 1
    return low
