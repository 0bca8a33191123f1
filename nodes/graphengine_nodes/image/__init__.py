"""Pictures: load, make, join, cut, scale, change, filter, save, show."""

from . import (
    animation_nodes,
    batch_nodes,
    colour_nodes,
    compositing_nodes,
    document_nodes,
    filter_nodes,
    resizing_nodes,
    transform_nodes,
)
from .nodes import ImageScale, ImageScaleBy, LoadImage, LoadImageMask, LoadImageOutput, PreviewImage, SaveImage

__all__ = ["GRAPHENGINE_DECLARES", "GRAPHENGINE_PACKAGES", "NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]

#: What holds for nodes that do not say otherwise: they read no files but those that `Files` inputs name.
GRAPHENGINE_DECLARES: dict[str, object] = {"CACHEABLE": True, "PURE": True, "READS_FILES": ()}

#: What the results of the nodes depend on.
GRAPHENGINE_PACKAGES: tuple[str, ...] = ("numpy", "pillow", "scipy", "torch")

NODE_CLASS_MAPPINGS: dict[str, type] = {
    "LoadImage": LoadImage,
    "LoadImageMask": LoadImageMask,
    "ImageScale": ImageScale,
    "ImageScaleBy": ImageScaleBy,
    "SaveImage": SaveImage,
    "PreviewImage": PreviewImage,
    "LoadImageOutput": LoadImageOutput,
    **animation_nodes.NODE_CLASS_MAPPINGS,
    **batch_nodes.NODE_CLASS_MAPPINGS,
    **transform_nodes.NODE_CLASS_MAPPINGS,
    **colour_nodes.NODE_CLASS_MAPPINGS,
    **filter_nodes.NODE_CLASS_MAPPINGS,
    **compositing_nodes.NODE_CLASS_MAPPINGS,
    **resizing_nodes.NODE_CLASS_MAPPINGS,
    **document_nodes.NODE_CLASS_MAPPINGS,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "LoadImage": "Load Image",
    "LoadImageMask": "Load Image (as Mask)",
    "ImageScale": "Upscale Image",
    "ImageScaleBy": "Upscale Image By",
    "SaveImage": "Save Image",
    "PreviewImage": "Preview Image",
    "LoadImageOutput": "Load Image (from Outputs)",
    **animation_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **batch_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **transform_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **colour_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **filter_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **compositing_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **resizing_nodes.NODE_DISPLAY_NAME_MAPPINGS,
    **document_nodes.NODE_DISPLAY_NAME_MAPPINGS,
}
