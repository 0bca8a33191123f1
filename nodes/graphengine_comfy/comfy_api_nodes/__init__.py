"""Stands in for ComfyUI's package `comfy_api_nodes`."""

from graphengine_comfy._placeholders import modules_of

__getattr__ = modules_of(__name__)
