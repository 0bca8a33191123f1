"""Stands in for ComfyUI's package `comfy.ldm.flux`."""

from graphengine_comfy._placeholders import modules_of

__getattr__ = modules_of(__name__)
