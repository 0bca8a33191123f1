"""Latents: empty ones for each model family, batches, arithmetic, compositing, operations."""

from . import batch_nodes, empty_nodes, mixing_nodes, operation_nodes, sound_nodes

__all__ = ["GRAPHENGINE_DECLARES", "GRAPHENGINE_PACKAGES", "NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]

#: What holds for nodes that do not say otherwise: they read no files but those that `Files` inputs name.
GRAPHENGINE_DECLARES: dict[str, object] = {"CACHEABLE": True, "PURE": True, "READS_FILES": ()}

#: What the results of the nodes depend on.
GRAPHENGINE_PACKAGES: tuple[str, ...] = ("numpy", "pillow", "torch")

NODE_CLASS_MAPPINGS: dict[str, type] = {
    **empty_nodes.NODE_CLASS_MAPPINGS,
    **sound_nodes.NODE_CLASS_MAPPINGS,
    **batch_nodes.NODE_CLASS_MAPPINGS,
    **mixing_nodes.NODE_CLASS_MAPPINGS,
    **operation_nodes.NODE_CLASS_MAPPINGS,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    **empty_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **sound_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **batch_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **mixing_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **operation_nodes.NODE_DISPLAY_NAME_MAPPINGS,
}
