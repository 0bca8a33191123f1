"""Sound files that schema-based nodes write; they need PyAV."""

from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import Any

from graphengine.node.api import GraphEngineError
from graphengine_comfy._v3.node import ComfyNode
from graphengine_comfy._v3.saving import SavedResult, write_files
from graphengine_comfy._v3.widgets import FolderType

_CODECS = {"flac": "flac", "mp3": "libmp3lame", "opus": "libopus"}
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
_OPUS_RATE = 48000  # the only rate of those Opus knows that keeps everything


class AudioSaveHelper:
    """Writes sound: `{"waveform": (B, channels, samples) in -1..1, "sample_rate": Hz}`."""

    # Any: an AUDIO value holds a tensor and a number.
    @staticmethod
    def save_audio(
        audio: Mapping[str, Any],
        filename_prefix: str,
        folder_type: FolderType,
        cls: type[ComfyNode] | None,
        format: str = "flac",
        quality: str = "128k",
    ) -> list[SavedResult]:
        """Each item as a file: "flac", or "mp3" and "opus" with `quality` bits a second.

        Raises:
            FileRefused: the prefix leads out of the folder.
            GraphEngineError: no node is being called, PyAV is not installed, the format is not known, or the files
                cannot be written.
        """
        if format not in _CODECS:
            raise GraphEngineError(f"no sound format {format!r}", hint=f"use one of {', '.join(_CODECS)}")
        contents = _encoded(audio, format, quality)
        return write_files(filename_prefix, folder_type, f".{format}", contents)


# Any: an AUDIO value holds a tensor and a number.
def _encoded(audio: Mapping[str, Any], format: str, quality: str) -> Iterable[bytes]:
    for waveform in audio["waveform"]:
        yield _encode(waveform.detach().to("cpu").float().numpy(), int(audio["sample_rate"]), format, quality)


def _encode(samples: Any, rate: int, format: str, quality: str) -> bytes:
    """One item (channels, samples) as the content of a file."""
    try:
        import av  # an optional dependency
    except ModuleNotFoundError as error:
        raise GraphEngineError("sound files need the package 'av'", hint="pip install av") from error
    if samples.shape[0] not in _LAYOUTS:
        raise GraphEngineError(f"sound with {samples.shape[0]} channels: it can have 1, 2 or 6")
    layout = _LAYOUTS[samples.shape[0]]
    file = BytesIO()
    with av.open(file, "w", format="ogg" if format == "opus" else format) as container:
        stream: Any = container.add_stream(
            _CODECS[format], rate=_OPUS_RATE if format == "opus" else rate, layout=layout
        )
        if format != "flac":
            stream.bit_rate = int(quality.rstrip("k")) * 1000
        frame = av.AudioFrame.from_ndarray(samples.T.reshape(1, -1).copy(), format="flt", layout=layout)
        frame.sample_rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()
