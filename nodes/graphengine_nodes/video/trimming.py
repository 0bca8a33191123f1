"""Parts of videos."""

import math
from dataclasses import replace

from graphengine.node.api import GraphEngineError
from graphengine_nodes.audio.trimming import trim_sound
from graphengine_nodes.audio.values import Audio

from .values import VideoFromComponents, VideoInput


def trim_video(video: VideoInput, start: float, duration: float, *, strict: bool = False) -> VideoFromComponents:
    """The video from `start` on, in seconds, for a duration; 0 means to its end, a negative start counts from it.

    Raises:
        GraphEngineError: nothing would be left, or with `strict` less than the duration.
    """
    components = video.get_components()
    rate, count = float(components.frame_rate), len(components.images)
    length = count / rate
    begin = max(0.0, start + length) if start < 0 else start
    wanted = length - begin if duration == 0 else duration
    first = math.floor(begin * rate + 1e-6)
    last = min(count, first + max(1, round(wanted * rate)))
    if first >= count or (strict and begin + wanted > length + 0.5 / rate):
        raise GraphEngineError(
            f"a video of {length:g} s cannot be cut from {start:g} s on for {duration:g} s",
            hint="start earlier, take a shorter duration, or turn strict_duration off",
        )
    part = replace(
        components,
        images=components.images[first:last],
        audio=_sound(components.audio, first / rate, (last - first) / rate),
    )
    return VideoFromComponents(part)


def _sound(audio: Audio | None, start: float, duration: float) -> Audio | None:
    """The sound of that part; None where it has none."""
    if audio is None or round(start * audio["sample_rate"]) >= audio["waveform"].shape[-1]:
        return None
    return trim_sound(audio, start, duration)
