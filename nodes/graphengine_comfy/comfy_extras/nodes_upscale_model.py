"""Node classes of upscaling models."""

from graphengine_comfy._node_classes import class_or
from graphengine_comfy._placeholders import placeholders_of

__getattr__ = class_or(placeholders_of(__name__))
