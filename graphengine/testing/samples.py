"""Files for the input folder that nodes may load while they are checked."""

import wave
from pathlib import Path

PICTURE = "example.png"
SOUND = "example.wav"


def put_into(folder: Path) -> None:
    """Write a small picture with an alpha channel and a short sound, unless they are there."""
    if not (folder / PICTURE).exists():
        from PIL import Image  # comes with the engine; importing it costs time that few need

        gradient = Image.linear_gradient("L").resize((24, 16))
        Image.merge("RGBA", (gradient, gradient.rotate(180), gradient, gradient)).save(folder / PICTURE)
    if not (folder / SOUND).exists():
        with wave.open(str(folder / SOUND), "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(8000)
            sound.writeframes(b"\x00\x10\x00\xf0" * 400)
