"""Videos written to the output folder."""

from collections.abc import Mapping
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

from torch import Tensor

from graphengine_nodes.core.output_files import expand_prefix, output_place, write_numbered

from .encoding import encode_webm
from .values import VideoCodec, VideoContainer, VideoInput


# Any throughout: workflow documents are open-ended JSON; they are written, not read.
def save_video(
    video: VideoInput,
    root: Path,
    prefix: str,
    form: str,
    codec: str,
    *,
    prompt: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write a VIDEO below `root` as `prefix_00001_.mp4`; gives what the editor shows.

    `form` is "auto" or "mp4", `codec` is "auto" or "h264".

    Raises:
        FileRefused: the prefix leads out of the folder, or the video's own file cannot be read.
        GraphEngineError: PyAV is not installed, or the file cannot be written.
    """
    width, height = video.get_dimensions()
    content = BytesIO()
    video.save_to(content, VideoContainer(form), VideoCodec(codec), _documents(prompt, extra))
    suffix = f".{VideoContainer.get_extension(form)}"
    return _written(content.getvalue(), suffix, root, prefix, (width, height), prompt)


def save_webm(
    images: Tensor,
    root: Path,
    prefix: str,
    codec: str,
    fps: float,
    crf: float,
    *,
    prompt: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write IMAGE (frames, H, W, C) below `root` as `prefix_00001_.webm`; gives what the editor shows.

    `codec` is "vp9" or "av1", `fps` are frames a second, `crf` is the quality from 0 (best) to 63.

    Raises:
        FileRefused: the prefix leads out of the folder.
        GraphEngineError: PyAV is not installed, the codec is not known, or the file cannot be written.
    """
    content = encode_webm(images, codec, fps, crf, _documents(prompt, extra))
    _, height, width, _ = images.shape
    return _written(content, ".webm", root, prefix, (width, height), prompt)


def _documents(prompt: Mapping[str, Any] | None, extra: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The documents to put into the file by name; None when there are none."""
    return {**({} if prompt is None else {"prompt": prompt}), **(extra or {})} or None


def _written(
    content: bytes, suffix: str, root: Path, prefix: str, size: tuple[int, int], prompt: Mapping[str, Any] | None
) -> dict[str, Any]:
    expanded = expand_prefix(prefix, datetime.now(), width=size[0], height=size[1], prompt=prompt)
    place = output_place(root, expanded)
    (name,) = write_numbered(place, suffix, [content])
    file = {"filename": name, "subfolder": place.subfolder, "type": "output"}
    return {"ui": {"images": [file], "animated": (True,)}}
