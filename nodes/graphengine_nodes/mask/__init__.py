"""Masks: make, convert, cut, combine, grow, feather, show."""

from .nodes import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

__all__ = ["GRAPHENGINE_DECLARES", "GRAPHENGINE_PACKAGES", "NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]

#: What holds for nodes that do not say otherwise: they read no files but those that `Files` inputs name.
GRAPHENGINE_DECLARES: dict[str, object] = {"CACHEABLE": True, "PURE": True, "READS_FILES": ()}

#: What the results of the nodes depend on.
GRAPHENGINE_PACKAGES: tuple[str, ...] = ("numpy", "pillow", "torch")
