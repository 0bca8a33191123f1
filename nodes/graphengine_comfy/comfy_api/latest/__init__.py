"""The newest version of the interface for schema-based nodes."""

from graphengine_comfy._v3.extension import ComfyAPI, ComfyAPISync, ComfyExtension
from graphengine_comfy._v3.values import Input, InputImpl, Types
from graphengine_comfy.comfy_api.latest import io, ui

__all__ = ["ComfyAPI", "ComfyAPISync", "ComfyExtension", "Input", "InputImpl", "Types", "io", "ui"]
