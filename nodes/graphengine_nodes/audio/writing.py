"""AUDIO values as FLAC, MP3 and Opus files that carry the workflow they come from."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

from torch import Tensor

from graphengine.node.api import GraphEngineError
from graphengine_nodes.core.output_files import expand_prefix, output_place, write_numbered

from .values import Audio, load_av, sound_encoder

_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
#: The rates that Opus knows; a sound in another one is converted to the next higher.
_OPUS_RATES = (8000, 12000, 16000, 24000, 48000)


def _nothing() -> None:
    """The default for `between`."""


# Any: workflow documents are open-ended JSON, PyAV is optional and its objects are used within one function.
def save_sounds(
    audio: Audio,
    root: Path,
    prefix: str,
    form: str = "flac",
    quality: str = "128k",
    *,
    prompt: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
    between: Callable[[], None] = _nothing,
) -> list[dict[str, str]]:
    """Write each item of AUDIO below `root` as `prefix_00001_.flac`; gives `{"filename", "subfolder"}` for each.

    `form` is "flac", or "mp3" and "opus" with a `quality` such as "128k" bits a second, or "V0". `prompt` and the
    documents of `extra` stand in the file by name. `between` is called before each item and may raise to stop.

    Raises:
        FileRefused: the prefix leads out of the folder.
        GraphEngineError: PyAV is not installed, or the sound cannot be written.
    """
    place = output_place(root, expand_prefix(prefix, datetime.now(), prompt=prompt))
    documents = {**({} if prompt is None else {"prompt": prompt}), **(extra or {})}
    texts = {name: json.dumps(document) for name, document in documents.items()}

    def contents() -> Iterator[bytes]:
        for waveform in audio["waveform"]:
            between()
            yield encode_sound(waveform, audio["sample_rate"], form, quality, texts)

    names = write_numbered(place, f".{form}", contents())
    return [{"filename": name, "subfolder": place.subfolder} for name in names]


def encode_sound(waveform: Tensor, rate: int, form: str, quality: str, texts: Mapping[str, str]) -> bytes:
    """One sound (channels, samples) in -1..1 as the content of a file, see `save_sounds`.

    Raises:
        GraphEngineError: PyAV is not installed, the form is not known, or the sound has no such file.
    """
    av, encoder, layout = load_av(), sound_encoder(form), layout_of(waveform)
    file = BytesIO()
    try:
        with av.open(file, "w", format="ogg" if form == "opus" else form) as container:
            container.metadata.update(texts)
            stream = container.add_stream(
                encoder, rate=_opus_rate(rate) if form == "opus" else rate, layout=layout
            )
            _set_quality(stream, form, quality)
            container.mux(stream.encode(sound_frame(waveform, rate)))
            container.mux(stream.encode(None))
    except (av.FFmpegError, ValueError) as error:
        raise GraphEngineError(
            f"input 'audio': a sound of {rate} Hz with {waveform.shape[0]} channels has no {form} file: {error}",
            hint="use another format, or a rate of 44100 or 48000",
        ) from error
    return file.getvalue()


def _opus_rate(rate: int) -> int:
    return next((known for known in _OPUS_RATES if known >= rate), _OPUS_RATES[-1])


def _set_quality(stream: Any, form: str, quality: str) -> None:
    if form == "flac":
        return
    if quality == "V0":
        stream.codec_context.qscale = 1
    else:
        stream.bit_rate = int(quality.removesuffix("k")) * 1000


def layout_of(waveform: Tensor) -> str:
    """FFmpeg's name for the channels of a sound (channels, samples).

    Raises:
        GraphEngineError: there is none, or the sound is empty.
    """
    channels, samples = waveform.shape
    if channels not in _LAYOUTS or samples == 0:
        raise GraphEngineError(
            f"input 'audio': a sound with {channels} channels and {samples} samples cannot be written",
            hint="use 1, 2 or 6 channels and at least one sample",
        )
    return _LAYOUTS[channels]


def sound_frame(waveform: Tensor, rate: int) -> Any:
    """A sound (channels, samples) as a frame of PyAV."""
    samples = waveform.detach().to("cpu").float().numpy()
    frame = load_av().AudioFrame.from_ndarray(
        samples.T.reshape(1, -1).copy(), format="flt", layout=layout_of(waveform)
    )
    frame.sample_rate = rate
    return frame
