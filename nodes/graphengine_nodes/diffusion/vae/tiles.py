"""How a VAE cuts pictures and latents into tiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from .shapes import Layout
from .tiling import Axis, scaled

_WHOLE = 2**31  # longer than any video


@dataclass(frozen=True, slots=True)
class Tiles:
    """Sizes of tiles, and what neighbours share: in pixels for an encoder, in cells of the latent for a decoder.

    Frames of a video, or latent frames, stay together where `frames` is None.
    """

    width: int
    height: int
    overlap: int
    frames: int | None = None
    frame_overlap: int = 0

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    def encoder_axes(self, layout: Layout) -> list[list[Axis]]:
        """The axes of pictures or videos for each tiling whose mean is the result, as `in_tiles` takes them."""
        return [
            shape._axes(layout, layout.latent_frames, encodes=True)
            for shape in self._shapes(layout, layout.downscale)
        ]

    def decoder_axes(self, layout: Layout) -> list[list[Axis]]:
        """The axes of latents for each tiling whose mean is the result, as `in_tiles` takes them."""
        return [shape._axes(layout, layout.video_frames, encodes=False) for shape in self._shapes(layout, 1)]

    def _shapes(self, layout: Layout, multiple: int) -> Iterator[Tiles]:
        """Pictures are cut three times, so that no seam is in all of them; videos once."""
        yield self._of_shape(self.width, self.height, multiple)
        if layout.frames is None:
            yield self._of_shape(self.width // 2, self.height * 2, multiple)
            yield self._of_shape(self.width * 2, self.height // 2, multiple)

    def _of_shape(self, width: int, height: int, multiple: int) -> Tiles:
        """Of another shape, in whole cells; neighbours share as much, as far as tiles are longer than that."""
        width, height = (max(size // multiple, 1) * multiple for size in (width, height))
        overlap = min(self.overlap // multiple * multiple, min(width, height) - multiple)
        return replace(self, width=width, height=height, overlap=overlap)

    def _axes(self, layout: Layout, length: Callable[[int], int], *, encodes: bool) -> list[Axis]:
        factor = 1 / layout.downscale if encodes else layout.downscale
        plane = [scaled(side, self.overlap, factor) for side in (self.height, self.width)]
        if layout.frames is None:
            return plane
        return [self._time(layout.frames, length, encodes=encodes), *plane]

    def _time(self, rate: int, length: Callable[[int], int], *, encodes: bool) -> Axis:
        """The axis of time: whole latent frames; decoded tiles share one at least, of which the first has less."""
        if encodes:
            frames = _WHOLE if self.frames is None else max(self.frames // rate, 1) * rate
            return Axis(
                frames, min(self.frame_overlap // rate * rate, frames - rate), length, lambda at: at // rate
            )
        frames = _WHOLE if self.frames is None else max(self.frames, 2)
        return Axis(frames, min(max(self.frame_overlap, 1), frames - 1), length, lambda at: at * rate)
