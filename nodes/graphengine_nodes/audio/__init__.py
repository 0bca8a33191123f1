"""Sound: load, save, play."""

from .nodes import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

__all__ = ["GRAPHENGINE_PACKAGES", "NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]

#: What the results of the nodes depend on.
GRAPHENGINE_PACKAGES: tuple[str, ...] = ("av", "torch")
