"""The AUDIO value, and the library that reads and writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from graphengine.node.api import GraphEngineError

if TYPE_CHECKING:
    from torch import Tensor


class Audio(TypedDict):
    """AUDIO: `waveform` float32 (B, channels, samples) in -1..1, `sample_rate` in Hz."""

    waveform: Tensor
    sample_rate: int


# Any: PyAV is optional, and its objects are made and used within one function.
def load_av() -> Any:
    """The module `av`.

    Raises:
        GraphEngineError: it is not installed.
    """
    try:
        import av  # an optional dependency
    except ModuleNotFoundError as error:
        raise GraphEngineError("video and sound files need the package 'av'", hint="pip install av") from error
    return av
