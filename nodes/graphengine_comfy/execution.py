"""ComfyUI's executor, of which packs may use next to nothing here: graphengine has its own."""

from graphengine.node.api import ExecutionBlocker
from graphengine_comfy._placeholders import placeholders_of

__all__ = ["ExecutionBlocker"]

__getattr__ = placeholders_of(__name__)
