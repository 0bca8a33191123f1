"""Version 0.0.2 of the interface, which is the same as the newest as far as nodes use it."""

from graphengine_comfy.comfy_api.latest import (
    ComfyAPI,
    ComfyAPISync,
    ComfyExtension,
    Input,
    InputImpl,
    Types,
    io,
    ui,
)

__all__ = ["ComfyAPI", "ComfyAPISync", "ComfyExtension", "Input", "InputImpl", "Types", "io", "ui"]
