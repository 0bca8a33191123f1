"""Stands in for ComfyUI's package `comfy`."""

import importlib
from types import ModuleType


def __getattr__(name: str) -> ModuleType:
    """A module of the package that nobody has imported yet: in ComfyUI all of them are there from the start."""
    own = f"{__name__}.{name}"
    if not name.startswith("_"):
        try:
            return importlib.import_module(own)
        except ModuleNotFoundError as error:
            if error.name != own:
                raise
    raise AttributeError(f"module 'comfy' has no attribute {name!r}: graphengine has none yet")
