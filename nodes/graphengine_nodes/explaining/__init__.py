"""Explaining: what image to image is made of, seen and measured. docs/image-to-image.md shows it."""

from typing import Any

from . import embedding_nodes, mlp_vae_nodes, posterior_nodes, sampling_nodes

__all__ = ["GRAPHENGINE_DECLARES", "GRAPHENGINE_PACKAGES", "NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]

#: What holds for nodes that do not say otherwise: they read no files but those that `Files` inputs name.
GRAPHENGINE_DECLARES: dict[str, object] = {"CACHEABLE": True, "PURE": True, "READS_FILES": ()}

#: What the results of the nodes depend on.
GRAPHENGINE_PACKAGES: tuple[str, ...] = ("diffusers", "numpy", "pillow", "scipy", "torch", "torchsde")

NODE_CLASS_MAPPINGS: dict[str, type[Any]] = {
    **posterior_nodes.NODE_CLASS_MAPPINGS,
    **mlp_vae_nodes.NODE_CLASS_MAPPINGS,
    **embedding_nodes.NODE_CLASS_MAPPINGS,
    **sampling_nodes.NODE_CLASS_MAPPINGS,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    **posterior_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **mlp_vae_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **embedding_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **sampling_nodes.NODE_DISPLAY_NAME_MAPPINGS,
}
