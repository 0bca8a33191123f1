"""VIDEO values: frames with sound, from a file or made by nodes. Reading and writing files needs PyAV.

The classes have the names and methods that node packs of ComfyUI know.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphengine_nodes.audio.values import Audio, load_av

if TYPE_CHECKING:
    from torch import Tensor

# Any: metadata are whatever JSON can express.


class VideoContainer(StrEnum):
    """The form of a video file."""

    AUTO = "auto"
    MP4 = "mp4"

    @classmethod
    def as_input(cls) -> list[str]:
        """The choices."""
        return [member.value for member in cls]

    @classmethod
    def get_extension(cls, value: str) -> str:
        """The ending of a file in that form, without a dot."""
        return "mp4" if cls(value) in (cls.AUTO, cls.MP4) else ""


class VideoCodec(StrEnum):
    """How the frames of a video file are encoded."""

    AUTO = "auto"
    H264 = "h264"

    @classmethod
    def as_input(cls) -> list[str]:
        """The choices."""
        return [member.value for member in cls]


@dataclass
class VideoComponents:
    """What a video consists of: `images` float32 (frames, H, W, C) in 0..1, `frame_rate` frames a second."""

    images: Tensor
    frame_rate: Fraction
    audio: Audio | None = None
    metadata: Mapping[str, Any] | None = None


class VideoInput(ABC):
    """A VIDEO value."""

    @abstractmethod
    def get_components(self) -> VideoComponents:
        """Its frames and its sound."""

    @abstractmethod
    def save_to(
        self,
        path: str | BytesIO,
        format: VideoContainer = VideoContainer.AUTO,
        codec: VideoCodec = VideoCodec.AUTO,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Write it as a file; `metadata` are texts to put inside.

        Raises:
            GraphEngineError: PyAV is not installed, or the video cannot be written.
        """

    def get_stream_source(self) -> str | BytesIO:
        """The path of its file, or the content of one."""
        file = BytesIO()
        self.save_to(file)
        file.seek(0)
        return file

    def get_dimensions(self) -> tuple[int, int]:
        """Width and height in pixels."""
        _, height, width, _ = self.get_components().images.shape
        return width, height

    def get_frame_count(self) -> int:
        """How many frames it has."""
        return len(self.get_components().images)

    def get_frame_rate(self) -> Fraction:
        """Frames a second."""
        return self.get_components().frame_rate

    def get_duration(self) -> float:
        """Its length in seconds."""
        components = self.get_components()
        return float(len(components.images) / components.frame_rate)

    def get_container_format(self) -> str:
        """The form of its file."""
        return "mp4"


class VideoFromComponents(VideoInput):
    """A video that a node made."""

    def __init__(self, components: VideoComponents) -> None:
        self._components = components

    def get_components(self) -> VideoComponents:
        """Its frames and its sound."""
        return self._components

    def save_to(
        self,
        path: str | BytesIO,
        format: VideoContainer = VideoContainer.AUTO,
        codec: VideoCodec = VideoCodec.AUTO,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Write it as an MP4 file with H.264 and AAC. Raises GraphEngineError as `VideoInput.save_to` does."""
        from .encoding import encode_mp4, write_file  # brings torch

        write_file(path, encode_mp4(self._components, metadata))


class VideoFromFile(VideoInput):
    """A video file, or the content of one; `name` is how messages call it."""

    def __init__(self, file: str | BytesIO, name: str | None = None) -> None:
        self._file = file
        self._name = name or (file if isinstance(file, str) else "")

    def get_stream_source(self) -> str | BytesIO:
        """The path of the file, or its content from the start."""
        if isinstance(self._file, BytesIO):
            self._file.seek(0)
        return self._file

    def get_components(self) -> VideoComponents:
        """The frames and the sound of the file.

        Raises:
            FileRefused: the file has no frames, is damaged or too large.
            GraphEngineError: PyAV is not installed.
        """
        from .decoding import read_video  # brings torch

        return read_video(self.get_stream_source(), self._name)

    def save_to(
        self,
        path: str | BytesIO,
        format: VideoContainer = VideoContainer.AUTO,
        codec: VideoCodec = VideoCodec.AUTO,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a copy. What is encoded as it should be already is not encoded again.

        Raises:
            FileRefused: the file cannot be read.
            GraphEngineError: PyAV is not installed, or the video cannot be written.
        """
        from .encoding import encode_mp4, repacked, write_file  # brings torch

        if metadata is None and format == VideoContainer.AUTO and codec == VideoCodec.AUTO:
            write_file(path, self._content())
            return
        as_it_is = repacked(self.get_stream_source(), codec, metadata)
        write_file(path, encode_mp4(self.get_components(), metadata) if as_it_is is None else as_it_is)

    def get_container_format(self) -> str:
        """The forms that the file may have, with commas between them, as FFmpeg calls them."""
        with load_av().open(self.get_stream_source()) as container:
            return str(container.format.name)

    def get_dimensions(self) -> tuple[int, int]:
        """Width and height in pixels, without decoding the frames.

        Raises:
            FileRefused: the file holds no video.
            GraphEngineError: PyAV is not installed.
        """
        from .decoding import opened  # brings torch

        with opened(self.get_stream_source(), self._name) as (_, stream):
            return stream.width, stream.height

    def _content(self) -> bytes:
        return Path(self._file).read_bytes() if isinstance(self._file, str) else self._file.getvalue()
