"""VIDEO values: frames with sound, from a file or made by nodes. Reading and writing files needs PyAV."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, TypedDict

from graphengine.node.api import GraphEngineError

if TYPE_CHECKING:
    from torch import Tensor

# Any: PyAV is optional, and its objects are made and used within one function here.


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


class AudioInput(TypedDict):
    """AUDIO: `waveform` float32 (B, channels, samples) in -1..1, `sample_rate` in Hz."""

    waveform: "Tensor"
    sample_rate: int


@dataclass
class VideoComponents:
    """What a video consists of: `images` float32 (frames, H, W, C) in 0..1, `frame_rate` frames a second."""

    images: "Tensor"
    frame_rate: Fraction
    audio: AudioInput | None = None
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
            GraphEngineError: PyAV is not installed.
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
        """Write it as an MP4 file with H.264 and AAC. Raises GraphEngineError when PyAV is not installed."""
        _write(path, _encode(self._components, metadata))


class VideoFromFile(VideoInput):
    """A video file, or the content of one."""

    def __init__(self, file: str | BytesIO) -> None:
        self._file = file

    def get_stream_source(self) -> str | BytesIO:
        """The path of the file, or its content from the start."""
        if isinstance(self._file, BytesIO):
            self._file.seek(0)
        return self._file

    def get_components(self) -> VideoComponents:
        """The frames and the sound of the file.

        Raises:
            GraphEngineError: PyAV is not installed, or the file has no frames.
        """
        import torch

        with _av().open(self.get_stream_source()) as container:
            if not container.streams.video:
                raise GraphEngineError(f"{self._name()} holds no video")
            stream = container.streams.video[0]
            frames, chunks, rate = [], [], 0
            for frame in container.decode():
                if frame.__class__.__name__ == "VideoFrame":
                    frames.append(torch.from_numpy(frame.to_ndarray(format="rgb24")))
                else:
                    chunks.append(_samples(frame))
                    rate = frame.sample_rate
            frame_rate = Fraction(stream.average_rate or 1)
            metadata = dict(container.metadata)
        if not frames:
            raise GraphEngineError(f"{self._name()} holds no frame that can be read")
        audio = AudioInput(waveform=torch.cat(chunks, 1)[None], sample_rate=rate) if chunks else None
        return VideoComponents(torch.stack(frames).float() / 255, frame_rate, audio, metadata)

    def save_to(
        self,
        path: str | BytesIO,
        format: VideoContainer = VideoContainer.AUTO,
        codec: VideoCodec = VideoCodec.AUTO,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a copy: as it is where nothing else is asked for, else as an MP4 file with H.264 and AAC."""
        if metadata is None and format == VideoContainer.AUTO and codec == VideoCodec.AUTO:
            _write(path, self._content())
        else:
            _write(path, _encode(self.get_components(), metadata))

    def get_container_format(self) -> str:
        """The forms that the file may have, with commas between them, as FFmpeg calls them."""
        with _av().open(self.get_stream_source()) as container:
            return str(container.format.name)

    def _content(self) -> bytes:
        return Path(self._file).read_bytes() if isinstance(self._file, str) else self._file.getvalue()

    def _name(self) -> str:
        return f"video file {self._file!r}" if isinstance(self._file, str) else "video"


def _av() -> Any:
    try:
        import av  # an optional dependency
    except ModuleNotFoundError as error:
        raise GraphEngineError("video files need the package 'av'", hint="pip install av") from error
    return av


def _samples(frame: Any) -> "Tensor":
    """Float samples (channels, samples) of a frame in any of PyAV's formats."""
    import torch

    values = frame.to_ndarray()
    scale = 1.0 if values.dtype.kind == "f" else float(2 ** (8 * values.dtype.itemsize - 1))
    samples = torch.from_numpy(values).float() / scale
    channels = len(frame.layout.channels)
    return samples if frame.format.is_planar else samples.reshape(-1, channels).T


def _encode(components: VideoComponents, metadata: Mapping[str, Any] | None) -> bytes:
    """The content of an MP4 file."""
    import json

    file = BytesIO()
    # The flag lets texts of any name stand in the file.
    with _av().open(file, "w", format="mp4", options={"movflags": "use_metadata_tags"}) as container:
        for name, value in {**(components.metadata or {}), **(metadata or {})}.items():
            container.metadata[name] = value if isinstance(value, str) else json.dumps(value)
        packets = [_picture_packets(container, components), _sound_packets(container, components.audio)]
        for stream in packets:
            for packet in stream:
                container.mux(packet)
    return file.getvalue()


def _picture_packets(container: Any, components: VideoComponents) -> Iterable[Any]:
    _, height, width, _ = components.images.shape
    stream = container.add_stream("libx264", rate=Fraction(components.frame_rate).limit_denominator(65535))
    stream.width, stream.height = width, height
    # Halved colour planes, which every player knows, need even sides.
    stream.pix_fmt = "yuv444p" if width % 2 or height % 2 else "yuv420p"
    return _encoded_pictures(stream, components.images)


def _encoded_pictures(stream: Any, images: "Tensor") -> Iterable[Any]:
    for image in images:
        pixels = (image[..., :3].clamp(0, 1) * 255).byte().cpu().numpy()
        yield from stream.encode(_av().VideoFrame.from_ndarray(pixels, format="rgb24"))
    yield from stream.encode(None)


def _sound_packets(container: Any, audio: AudioInput | None) -> Iterable[Any]:
    if audio is None:
        return ()
    samples = audio["waveform"][0].float().cpu().numpy()
    layout = {1: "mono", 2: "stereo", 6: "5.1"}.get(samples.shape[0])
    if layout is None:
        raise GraphEngineError(f"sound with {samples.shape[0]} channels: it can have 1, 2 or 6")
    stream = container.add_stream("aac", rate=audio["sample_rate"], layout=layout)
    frame = _av().AudioFrame.from_ndarray(samples.T.reshape(1, -1).copy(), format="flt", layout=layout)
    frame.sample_rate = audio["sample_rate"]
    return [*stream.encode(frame), *stream.encode(None)]


def _write(path: str | BytesIO, content: bytes) -> None:
    if isinstance(path, BytesIO):
        path.write(content)
        return
    temporary = Path(path).with_name(f".{token_hex(8)}.part")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
