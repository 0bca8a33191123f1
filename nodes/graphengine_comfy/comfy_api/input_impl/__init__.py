"""How nodes make videos."""

from graphengine_comfy._v3.video import VideoFromComponents, VideoFromFile

__all__ = ["VideoFromComponents", "VideoFromFile"]
