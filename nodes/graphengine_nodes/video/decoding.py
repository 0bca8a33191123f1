"""Video files as frames and sound. Files come from strangers: what is damaged or enormous is refused."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from io import BytesIO
from typing import Any

import torch
from torch import Tensor

from graphengine.node.api import FileRefused, current_context
from graphengine_nodes.audio.reading import SoundChunks
from graphengine_nodes.audio.values import load_av

from .values import VideoComponents

#: Pixels of all frames together: 6 GiB as an IMAGE.
MAX_PIXELS = 2**29


# Any: PyAV is optional, and its objects are made and used within one function.
@contextmanager
def opened(source: str | BytesIO, name: str) -> Iterator[tuple[Any, Any]]:
    """The opened file and its first video stream; what reading raises in the block names the file.

    Raises:
        FileRefused: the file holds no video, or is damaged.
        GraphEngineError: PyAV is not installed.
    """
    av = load_av()
    try:
        with av.open(source) as container:
            if not container.streams.video:
                raise FileRefused(f"file {name!r} holds no video", hint="use a video file, such as MP4 or WebM")
            yield container, container.streams.video[0]
    except (av.FFmpegError, OSError, ValueError) as error:
        raise FileRefused(
            f"file {name!r} cannot be read as a video: {error}", hint="the file is damaged or incomplete"
        ) from error


def read_video(source: str | BytesIO, name: str) -> VideoComponents:
    """The frames and the first sound of a video file; `name` is how messages call it.

    Raises:
        FileRefused: the file has no frame, is damaged or too large.
        GraphEngineError: PyAV is not installed.
        RunCancelled: the run was asked to stop.
    """
    frames: list[Tensor] = []
    sound = SoundChunks(name)
    with opened(source, name) as (container, stream):
        pixels, context = 0, current_context.get()
        for frame in container.decode(*_first(container, stream)):
            if context is not None:
                context.check_cancelled()
            if frame.__class__.__name__ == "AudioFrame":
                sound.add(frame)
                continue
            pixels += frame.width * frame.height
            if pixels > MAX_PIXELS:
                raise _too_large(name)
            frames.append(torch.from_numpy(frame.to_ndarray(format="rgb24")))
        frame_rate = Fraction(stream.average_rate or 1)
        metadata = dict(container.metadata)
    if not frames:
        raise FileRefused(
            f"file {name!r} holds no frame that can be read", hint="the file is damaged or incomplete"
        )
    return VideoComponents(torch.stack(frames).float() / 255, frame_rate, sound.joined(), metadata)


def _first(container: Any, stream: Any) -> list[Any]:
    """The video stream and the first sound, if there is one."""
    return [stream, *container.streams.audio[:1]]


def _too_large(name: str) -> FileRefused:
    return FileRefused(
        f"file {name!r} is too large",
        hint=f"use at most {MAX_PIXELS // 10**6} million pixels, all frames together",
    )
