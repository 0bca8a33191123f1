"""Pictures, videos and sounds in place of those that a document was saved with."""

from __future__ import annotations

import wave
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

EDGE = 128
_FRAMES, _RATE = 9, 16000
_VIDEOS = (".mp4", ".webm", ".mkv", ".mov", ".gif", ".avi")
_SOUNDS = (".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a")
_TRANSPARENT = (".png", ".webp")


def write_input(path: Path) -> None:
    """A file of the kind that its ending says; a picture when it says nothing. Pictures are 128 x 96 pixels.

    The upper left corner of PNG and WebP pictures is transparent, so that masks read from them are not empty.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() in _VIDEOS:
        _write_video(path)
    elif path.suffix.lower() in _SOUNDS:
        _write_sound(path)
    else:
        _write_picture(path)


def _picture(shift: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    rows, columns = np.mgrid[0 : EDGE * 3 // 4, 0:EDGE]
    waves = [np.sin((rows * a + columns * b + shift) / 9) for a, b in ((1, 0), (0, 1), (1, 1))]
    return ((np.stack(waves, axis=-1) + 1) * 127).astype(np.uint8)


def _write_picture(path: Path) -> None:
    pixels = _picture()
    if path.suffix.lower() in _TRANSPARENT:
        opaque = np.full((*pixels.shape[:2], 1), 255, np.uint8)
        opaque[: EDGE // 4, : EDGE // 4] = 0
        Image.fromarray(np.concatenate([pixels, opaque], axis=-1), "RGBA").save(path)
    else:
        Image.fromarray(pixels, "RGB").save(path)


def _write_sound(path: Path) -> None:
    """One second of 440 Hz, as PCM whatever the ending says: readers look into the file."""
    samples = (np.sin(np.arange(_RATE) * 440 * 2 * np.pi / _RATE) * 8000).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes(samples.tobytes())


def _write_video(path: Path) -> None:
    import av  # only documents with videos need it

    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("libx264", rate=Fraction(8))
        stream.width, stream.height, stream.pix_fmt = EDGE, EDGE * 3 // 4, "yuv420p"
        for number in range(_FRAMES):
            frame = av.VideoFrame.from_ndarray(_picture(number * 4), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
