"""Drawing with Pillow alone: smooth lines, letters, and the way from and to IMAGE.

Everything is drawn larger and made smaller at the end, since Pillow draws lines without smoothing. The font is the
one that Pillow brings; it has no Greek letters, so symbols are written out.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

Point = tuple[float, float]
Box = tuple[float, float, float, float]
Colour = str | tuple[int, int, int]

INK, MUTED, FRAME, BACKGROUND = "#222222", "#666666", "#999999", "#ffffff"
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555")
"""Colours that people with any colour vision tell apart (Okabe and Ito, 2008), and a grey."""
SMALL, NORMAL, LARGE = 12, 14, 17
"""Sizes of letters, in pixels."""

_FINER = 3


class Canvas:
    """A white picture to draw on, in pixels of the finished picture."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = round(width), round(height)
        self._image = Image.new("RGB", (self.width * _FINER, self.height * _FINER), BACKGROUND)
        self._draw = ImageDraw.Draw(self._image)
        self._pasted: list[tuple[Image.Image, tuple[int, int]]] = []

    def line(self, points: Iterable[Point], colour: Colour = INK, width: float = 1.0) -> None:
        """A line through points."""
        scaled = [(x * _FINER, y * _FINER) for x, y in points]
        if len(scaled) > 1:
            self._draw.line(scaled, colour, max(1, round(width * _FINER)), joint="curve")

    def dot(self, centre: Point, radius: float, colour: Colour) -> None:
        """A filled circle."""
        x, y = (value * _FINER for value in centre)
        r = radius * _FINER
        self._draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)

    def rectangle(self, box: Box, fill: Colour | None = None, outline: Colour | None = None) -> None:
        """A rectangle (left, top, right, bottom)."""
        self._draw.rectangle([value * _FINER for value in box], fill, outline, _FINER if outline else 0)

    def text(self, at: Point, text: str, *, size: int = NORMAL, colour: Colour = INK, anchor: str = "la") -> None:
        """Letters at a point; anchor as in Pillow: "la" is the left top, "mm" the middle."""
        self._draw.text((at[0] * _FINER, at[1] * _FINER), text, colour, _font(size * _FINER), anchor=anchor)

    def upright_text(self, centre: Point, text: str, *, size: int = NORMAL, colour: Colour = INK) -> None:
        """Letters that run from the bottom to the top, in the middle of a point."""
        width, height = round(text_width(text, size) + 4) * _FINER, (size + 6) * _FINER
        label = Image.new("RGB", (width, height), BACKGROUND)
        ImageDraw.Draw(label).text((width / 2, height / 2), text, colour, _font(size * _FINER), anchor="mm")
        turned = label.rotate(90, expand=True)
        left, top = round(centre[0] * _FINER - height / 2), round(centre[1] * _FINER - width / 2)
        self._image.paste(turned, (left, top))

    def picture(self, picture: Image.Image, at: tuple[float, float]) -> None:
        """A picture, pixel for pixel, over everything that is drawn."""
        self._pasted.append((picture, (round(at[0]), round(at[1]))))

    def finished(self) -> Image.Image:
        """The picture, RGB."""
        result = self._image.resize((self.width, self.height), Image.Resampling.BOX)
        for picture, place in self._pasted:
            result.paste(picture, place)
        return result


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def text_width(text: str, size: int = NORMAL) -> float:
    """How many pixels wide a line of letters is."""
    left, _, right, _ = _font(size * _FINER).getbbox(text)
    return float(right - left) / _FINER


def shortened(text: str, width: float, size: int = NORMAL) -> str:
    """The text, cut so that it is at most so many pixels wide."""
    if text_width(text, size) <= width:
        return text
    while text and text_width(f"{text}...", size) > width:
        text = text[:-1]
    return f"{text}..."


def to_picture(pixels: Tensor) -> Image.Image:
    """(H, W, 1, 3 or more) in 0..1 as an RGB picture."""
    pixels = pixels[..., :3].float().clamp(0, 1).mul(255).round().to(torch.uint8)
    return Image.fromarray(pixels.expand(*pixels.shape[:2], 3).contiguous().cpu().numpy())


def to_image(picture: Image.Image) -> Tensor:
    """IMAGE (1, H, W, 3) in 0..1 of a picture."""
    return torch.from_numpy(np.asarray(picture.convert("RGB")).astype(np.float32) / 255)[None]


def beside(pictures: Iterable[Image.Image], *, down: bool = False) -> Image.Image:
    """Pictures side by side, or below each other, on white."""
    parts = list(pictures)
    widths, heights = [part.width for part in parts], [part.height for part in parts]
    size = (max(widths), sum(heights)) if down else (sum(widths), max(heights))
    result, place = Image.new("RGB", size, BACKGROUND), 0
    for part in parts:
        result.paste(part, (0, place) if down else (place, 0))
        place += part.height if down else part.width
    return result
