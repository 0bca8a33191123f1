"""Video files: frames and sound encoded as MP4 or WebM, and files packed anew without encoding."""

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from secrets import token_hex
from typing import Any

import torch
from torch import Tensor

from graphengine.node.api import GraphEngineError, current_context
from graphengine_nodes.audio.values import Audio, load_av
from graphengine_nodes.audio.writing import layout_of, sound_frame

from .values import VideoCodec, VideoComponents

#: Lets texts of any name stand in an MP4 file.
_ANY_TEXT = {"movflags": "use_metadata_tags"}
#: Codec of the WebM node → FFmpeg's encoder, form of the pixels, options.
_WEBM = {
    "vp9": ("libvpx-vp9", "yuv420p", {}),
    "av1": ("libsvtav1", "yuv420p10le", {"preset": "6"}),
}


# Any: PyAV is optional, its objects are made and used within one function; metadata are open-ended JSON.
def encode_mp4(components: VideoComponents, metadata: Mapping[str, Any] | None = None) -> bytes:
    """The content of an MP4 file with H.264 and AAC; `metadata` are documents by name.

    Sound that goes on after the last frame is cut off. Odd sides keep all colours (4:4:4), which not every player
    shows.

    Raises:
        GraphEngineError: PyAV is not installed, there is no picture, or the encoder refuses the size or sound.
        RunCancelled: the run was asked to stop.
    """
    file = BytesIO()
    with _refusal(components.images), load_av().open(file, "w", format="mp4", options=_ANY_TEXT) as container:
        container.metadata.update(_texts({**(components.metadata or {}), **(metadata or {})}))
        pictures = _picture_stream(container, components)
        sound = _sound_stream(container, components.audio)
        for packet in _encoded(pictures, components.images):
            container.mux(packet)
        if sound is not None and components.audio is not None:
            frame = sound_frame(_heard(components.audio, components), components.audio["sample_rate"])
            container.mux([*sound.encode(frame), *sound.encode(None)])
    return file.getvalue()


def encode_webm(images: Tensor, codec: str, fps: float, crf: float, metadata: Mapping[str, Any] | None) -> bytes:
    """IMAGE (frames, H, W, C) as the content of a WebM file: "vp9" or "av1", quality 0 (best) to 63.

    Raises:
        GraphEngineError: PyAV is not installed, the codec is not known, there is no picture, or the encoder
            refuses their size.
        RunCancelled: the run was asked to stop.
    """
    if codec not in _WEBM:
        raise GraphEngineError(f"input 'codec': no codec {codec!r}", hint=f"use one of {', '.join(_WEBM)}")
    encoder, pixel_format, options = _WEBM[codec]
    _, height, width, _ = images.shape
    file = BytesIO()
    with _refusal(images), load_av().open(file, "w", format="webm") as container:
        container.metadata.update(_texts(metadata or {}))
        stream = container.add_stream(encoder, rate=_rate(fps))
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = width, height, pixel_format, 0
        stream.options = {**options, "crf": str(round(crf))}
        for packet in _encoded(stream, images):
            container.mux(packet)
    return file.getvalue()


@contextmanager
def _refusal(images: Tensor) -> Iterator[None]:
    """Errors of the encoder that the block meets as ours, with what was to be encoded.

    Raises:
        GraphEngineError: there is no picture, or the encoder refused.
    """
    if images.ndim != 4 or 0 in images.shape:
        raise GraphEngineError(
            f"input 'images' has the shape {tuple(images.shape)}, which is no video",
            hint="connect at least one picture: (frames, height, width, channels)",
        )
    frames, height, width, _ = images.shape
    try:
        yield
    except (load_av().FFmpegError, ValueError) as error:
        raise GraphEngineError(
            f"{frames} pictures of {width} x {height} pixels cannot be encoded: {error}",
            hint="use another codec or a larger size",
        ) from error


def repacked(source: str | BytesIO, codec: str, metadata: Mapping[str, Any] | None) -> bytes | None:
    """The streams of a file as they are in an MP4 file; None when MP4 cannot hold them, or the codec differs."""
    av = load_av()
    file = BytesIO()
    try:
        with av.open(source) as given, av.open(file, "w", format="mp4", options=_ANY_TEXT) as container:
            chosen = [*given.streams.video[:1], *given.streams.audio[:1]]
            if not given.streams.video or codec not in (VideoCodec.AUTO, given.streams.video[0].codec.name):
                return None
            container.metadata.update(_texts({**given.metadata, **(metadata or {})}))
            copies = {stream: container.add_stream_from_template(stream) for stream in chosen}
            for packet in given.demux(*chosen):
                if packet.dts is not None:
                    packet.stream = copies[packet.stream]
                    container.mux(packet)
    except (av.FFmpegError, ValueError):
        return None
    return file.getvalue()


def _texts(metadata: Mapping[str, Any]) -> dict[str, str]:
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in metadata.items()}


def _rate(fps: float | Fraction) -> Fraction:
    return Fraction(round(fps * 1000), 1000)


def _picture_stream(container: Any, components: VideoComponents) -> Any:
    _, height, width, _ = components.images.shape
    stream = container.add_stream("libx264", rate=_rate(components.frame_rate))
    stream.width, stream.height = width, height
    # Halved colour planes, which every player knows, need even sides.
    stream.pix_fmt = "yuv444p" if width % 2 or height % 2 else "yuv420p"
    return stream


def _sound_stream(container: Any, audio: Audio | None) -> Any:
    if audio is None:
        return None
    return container.add_stream("aac", rate=audio["sample_rate"], layout=layout_of(audio["waveform"][0]))


def _heard(audio: Audio, components: VideoComponents) -> Tensor:
    """The sound (channels, samples) while there are frames."""
    samples = math.ceil(len(components.images) * audio["sample_rate"] / components.frame_rate)
    return audio["waveform"][0, :, :samples]


def _encoded(stream: Any, images: Tensor) -> Iterable[Any]:
    """The packets of the frames, one frame in memory at a time."""
    frame_class = load_av().VideoFrame
    context = current_context.get()
    for image in images:
        if context is not None:
            context.check_cancelled()
        pixels = (image[..., :3].clamp(0, 1) * 255).byte().cpu().numpy()
        yield from stream.encode(frame_class.from_ndarray(pixels, format="rgb24"))
    yield from stream.encode(None)


def write_file(path: str | BytesIO, content: bytes) -> None:
    """Put the content into a file, under its name when it is complete."""
    if isinstance(path, BytesIO):
        path.write(content)
        return
    temporary = Path(path).with_name(f".{token_hex(8)}.part")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def compress_and_read(images: Tensor, crf: int) -> Tensor:
    """IMAGE (B, H, W, C) as one H.264 frame each gives it back; 0 changes nothing, 51 is the worst.

    Models that learnt from videos expect the traces of compression. An odd last row or column is cut off.

    Raises:
        GraphEngineError: PyAV is not installed, or a picture has less than two rows or columns.
    """
    if crf == 0:
        return images
    _, height, width, _ = images.shape
    even = images[:, : height - height % 2, : width - width % 2, :3]
    if 0 in even.shape:
        raise GraphEngineError(
            f"input 'image': pictures of {width} x {height} pixels cannot be compressed",
            hint="use at least two rows and columns",
        )
    return torch.stack([_through_h264(image, min(crf, 51)) for image in even])


def _through_h264(image: Tensor, crf: int) -> Tensor:
    av = load_av()
    file = BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=1)
        stream.height, stream.width, stream.pix_fmt = image.shape[0], image.shape[1], "yuv420p"
        stream.options = {"crf": str(crf), "preset": "veryfast"}
        container.mux(list(_encoded(stream, image[None])))
    file.seek(0)
    with av.open(file) as container:
        frame = next(container.decode(video=0))
    return torch.from_numpy(frame.to_ndarray(format="rgb24")).to(image) / 255
