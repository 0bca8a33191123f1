"""The AUDIO value, and the library that reads and writes it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypedDict

from graphengine.node.api import GraphEngineError

if TYPE_CHECKING:
    from torch import Tensor


class Audio(TypedDict):
    """AUDIO: `waveform` float32 (B, channels, samples) in -1..1, `sample_rate` in Hz."""

    waveform: Tensor
    sample_rate: int


#: Form of a sound file → FFmpeg's encoder.
SOUND_ENCODERS: Mapping[str, str] = MappingProxyType({"flac": "flac", "mp3": "libmp3lame", "opus": "libopus"})


def sound_encoder(form: str) -> str:
    """The name of FFmpeg's encoder for a form of sound file.

    Raises:
        GraphEngineError: the form is not known.
    """
    if form not in SOUND_ENCODERS:
        raise GraphEngineError(f"no sound format {form!r}", hint=f"use one of {', '.join(SOUND_ENCODERS)}")
    return SOUND_ENCODERS[form]


# Any: PyAV is optional, and its objects are made and used within one function.
def load_av() -> Any:
    """The module `av`.

    Raises:
        GraphEngineError: it is not installed.
    """
    try:
        import av  # an optional dependency
    except ModuleNotFoundError as error:
        raise GraphEngineError(
            "video and sound files need the package 'av'", hint="pip install graphengine-comfy[media]"
        ) from error
    return av
