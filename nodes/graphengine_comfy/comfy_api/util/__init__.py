"""What videos consist of, and the form of their files."""

from graphengine_comfy._v3.video import VideoCodec, VideoComponents, VideoContainer

__all__ = ["VideoCodec", "VideoComponents", "VideoContainer"]
