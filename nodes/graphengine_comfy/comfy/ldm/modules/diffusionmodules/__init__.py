"""Stands in for ComfyUI's package `comfy.ldm.modules.diffusionmodules`."""

from graphengine_comfy._placeholders import modules_of

__getattr__ = modules_of(__name__)
