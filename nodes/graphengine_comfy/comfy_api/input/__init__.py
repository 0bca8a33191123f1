"""The values that nodes are given."""

from graphengine_comfy._v3.values import ImageInput, LatentInput, MaskInput
from graphengine_comfy._v3.video import AudioInput, VideoInput

__all__ = ["AudioInput", "ImageInput", "LatentInput", "MaskInput", "VideoInput"]
