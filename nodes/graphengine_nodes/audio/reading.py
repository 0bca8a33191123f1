"""Sound files, and the sound of videos, as AUDIO values. Files come from strangers: damaged ones are refused."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from graphengine.node.api import FileRefused

from .values import Audio, load_av

#: Samples of all channels together: 2 GiB as an AUDIO, more than an hour and a half in stereo at 48 kHz.
MAX_SAMPLES = 2**29


# Any: PyAV is optional, and its objects are made and used within one function.
def read_sound(path: Path, name: str) -> Audio:
    """The first sound of a file as AUDIO (1, channels, samples) in its own rate; `name` is how messages call it.

    Raises:
        FileRefused: the file holds no sound, is damaged or too long.
        GraphEngineError: PyAV is not installed.
    """
    av = load_av()
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise _refused(name, "holds no sound", "use a sound file, or a video with sound")
            stream = container.streams.audio[0]
            chunks = SoundChunks(name)
            for frame in container.decode(stream):
                chunks.add(frame)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise _refused(name, f"cannot be read as sound: {error}", "the file is damaged or incomplete") from error
    found = chunks.joined()
    if found is None:
        raise _refused(name, "holds no sound that can be read", "the file is damaged or incomplete")
    return found


def _refused(name: str, message: str, hint: str) -> FileRefused:
    return FileRefused(f"file {name!r} {message}", hint=hint)


class SoundChunks:
    """Decoded frames of one stream, put together when all are there."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._chunks: list[Tensor] = []
        self._rate = 0
        self._size = 0

    def add(self, frame: Any) -> None:
        """Add a decoded frame of PyAV.

        Raises:
            FileRefused: the sound is too long.
        """
        chunk = frame_samples(frame)
        self._chunks.append(chunk)
        self._rate = frame.sample_rate
        self._size += chunk.numel()
        if self._size > MAX_SAMPLES:
            raise _refused(self._name, "has too much sound", f"use at most {MAX_SAMPLES // 10**6} million samples")

    def joined(self) -> Audio | None:
        """AUDIO (1, channels, samples); None when there was no frame."""
        if not self._chunks:
            return None
        return Audio(waveform=torch.cat(self._chunks, dim=1)[None], sample_rate=self._rate)


def frame_samples(frame: Any) -> Tensor:
    """Float samples (channels, samples) in -1..1 of a frame in any of PyAV's formats."""
    values = frame.to_ndarray()
    samples = torch.from_numpy(values).float()
    if values.dtype.kind == "u":  # 8 bits without a sign
        samples = samples / 128 - 1
    elif values.dtype.kind == "i":
        samples = samples / float(2 ** (8 * values.dtype.itemsize - 1))
    return samples if frame.format.is_planar else samples.reshape(-1, len(frame.layout.channels)).T
