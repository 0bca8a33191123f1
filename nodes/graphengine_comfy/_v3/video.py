"""VIDEO values by the names under which packs annotate and make them: those of the built-in video nodes."""

from graphengine_nodes.audio.values import Audio as AudioInput
from graphengine_nodes.video.values import (
    VideoCodec,
    VideoComponents,
    VideoContainer,
    VideoFromComponents,
    VideoFromFile,
    VideoInput,
)

__all__ = [
    "AudioInput",
    "VideoCodec",
    "VideoComponents",
    "VideoContainer",
    "VideoFromComponents",
    "VideoFromFile",
    "VideoInput",
]
