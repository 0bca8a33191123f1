"""What packs use of k-diffusion's tools: the endings of picture files."""

from typing import ClassVar

from graphengine_comfy._placeholders import placeholders_of


class FolderOfImages:
    """Names the endings of picture files; it reads none."""

    IMG_EXTENSIONS: ClassVar[set[str]] = {
        ".bmp",
        ".jpeg",
        ".jpg",
        ".pgm",
        ".png",
        ".ppm",
        ".tif",
        ".tiff",
        ".webp",
    }


__getattr__ = placeholders_of(__name__)
