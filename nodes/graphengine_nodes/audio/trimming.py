"""Parts of sounds."""

from graphengine.node.api import GraphEngineError

from .values import Audio


def trim_sound(audio: Audio, start: float, duration: float) -> Audio:
    """AUDIO from `start` on, in seconds, of a duration at most; a negative start counts from the end.

    Raises:
        GraphEngineError: nothing would be left.
    """
    waveform, rate = audio["waveform"], audio["sample_rate"]
    length = waveform.shape[-1]
    first = round(start * rate) + (length if start < 0 else 0)
    end = max(0, min(first + round(duration * rate), length))
    first = max(0, min(first, length))
    if first >= end:
        raise GraphEngineError(
            f"nothing is left of a sound of {length / rate:g} s from {start:g} s on for {duration:g} s",
            hint="start earlier, or take a longer duration",
        )
    return {**audio, "waveform": waveform[..., first:end].clone()}
