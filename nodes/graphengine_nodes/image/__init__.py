"""Pictures: load, scale, save, show."""

from .nodes import ImageScale, ImageScaleBy, LoadImage, LoadImageMask, PreviewImage, SaveImage

__all__ = ["GRAPHENGINE_PACKAGES", "NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]

#: What the results of the nodes depend on.
GRAPHENGINE_PACKAGES: tuple[str, ...] = ("numpy", "pillow", "torch")

NODE_CLASS_MAPPINGS: dict[str, type] = {
    "LoadImage": LoadImage,
    "LoadImageMask": LoadImageMask,
    "ImageScale": ImageScale,
    "ImageScaleBy": ImageScaleBy,
    "SaveImage": SaveImage,
    "PreviewImage": PreviewImage,
}

NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "LoadImage": "Load Image",
    "LoadImageMask": "Load Image (as Mask)",
    "ImageScale": "Upscale Image",
    "ImageScaleBy": "Upscale Image By",
    "SaveImage": "Save Image",
    "PreviewImage": "Preview Image",
}
