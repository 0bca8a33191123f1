"""ComfyUI's executor, of which packs may use nothing here: graphengine has its own."""

from graphengine.node.api import ExecutionBlocker

__all__ = ["ExecutionBlocker"]
