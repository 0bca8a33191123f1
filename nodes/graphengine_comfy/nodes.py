"""The node classes of the process, and limits that packs share."""

from collections.abc import Iterator, MutableMapping
from pathlib import Path
from secrets import token_hex
from typing import Any

from graphengine_comfy._surroundings import CONNECTION
from graphengine_comfy.comfy.model_management import (
    interrupt_current_processing,
    throw_exception_if_processing_interrupted,
)
from graphengine_comfy.folder_paths import get_output_directory, get_temp_directory

#: The longest side of a picture, in pixels.
MAX_RESOLUTION = 16384
#: Name of a pack → its folder of scripts for the editor. Packs add to it.
EXTENSION_WEB_DIRS: dict[str, str] = {}
#: Name of a pack → its folder. Packs read it.
LOADED_MODULE_DIRS: dict[str, str] = {}


# Any throughout: classes are their authors'.
class _NodeClasses(MutableMapping[str, type[Any]]):
    """Class types and classes of the engine; what packs set here is seen by packs alone."""

    def __init__(self) -> None:
        self._own: dict[str, type[Any]] = {}

    def __getitem__(self, class_type: str) -> type[Any]:
        if class_type in self._own:
            return self._own[class_type]
        load = CONNECTION.definitions[class_type].load
        if load is None:
            raise KeyError(class_type)
        return load()

    def __setitem__(self, class_type: str, node_class: type[Any]) -> None:
        self._own[class_type] = node_class

    def __delitem__(self, class_type: str) -> None:
        del self._own[class_type]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*CONNECTION.definitions, *self._own]))

    def __len__(self) -> int:
        return len({*CONNECTION.definitions, *self._own})


class _NodeTitles(MutableMapping[str, str]):
    """Class types and what the editor calls them."""

    def __init__(self) -> None:
        self._own: dict[str, str] = {}

    def __getitem__(self, class_type: str) -> str:
        own = self._own.get(class_type)
        return CONNECTION.definitions[class_type].display_name if own is None else own

    def __setitem__(self, class_type: str, title: str) -> None:
        self._own[class_type] = title

    def __delitem__(self, class_type: str) -> None:
        del self._own[class_type]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*CONNECTION.definitions, *self._own]))

    def __len__(self) -> int:
        return len({*CONNECTION.definitions, *self._own})


NODE_CLASS_MAPPINGS = _NodeClasses()
NODE_DISPLAY_NAME_MAPPINGS = _NodeTitles()


class SaveImage:
    """Writes pictures to the output folder; packs derive from it and set its attributes."""

    RETURN_TYPES = ()
    FUNCTION = "save_images"
    OUTPUT_NODE = True
    CATEGORY = "image"

    def __init__(self) -> None:
        self.output_dir = get_output_directory()
        self.type = "output"
        self.prefix_append = ""
        self.compress_level = 4

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        return {
            "required": {"images": ("IMAGE",), "filename_prefix": ("STRING", {"default": "ComfyUI"})},
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
        }

    def save_images(
        self, images: Any, filename_prefix: str = "ComfyUI", prompt: Any = None, extra_pnginfo: Any = None
    ) -> dict[str, Any]:
        """Write IMAGE (B, H, W, C) as PNG files with the workflow inside; gives their names to show."""
        from graphengine_nodes.image.writing import save_images  # brings torch

        files = save_images(
            images,
            Path(self.output_dir),
            filename_prefix + self.prefix_append,
            prompt=prompt,
            extra=extra_pnginfo,
            compression=self.compress_level,
            between=throw_exception_if_processing_interrupted,
        )
        return {"ui": {"images": [{**file, "type": self.type} for file in files]}}


class PreviewImage(SaveImage):
    """Writes pictures to the folder for temporary files; packs derive from it."""

    def __init__(self) -> None:
        super().__init__()
        self.output_dir = get_temp_directory()
        self.type = "temp"
        # The random part keeps a picture that a page still shows from being taken for a later one.
        self.prefix_append = f"_temp_{token_hex(3)}"
        self.compress_level = 1

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, in ComfyUI's form."""
        declared = super().INPUT_TYPES()
        return {"required": {"images": ("IMAGE",)}, "hidden": declared["hidden"]}


def interrupt_processing(value: bool = True) -> None:
    """End the run of the node that is being called.

    Raises:
        RunCancelled: a node is being called.
    """
    interrupt_current_processing(value)


def before_node_execution() -> None:
    """Stop here when the run was asked to.

    Raises:
        RunCancelled: the run was asked to stop.
    """
    throw_exception_if_processing_interrupted()


def __getattr__(name: str) -> Any:
    """The class of a node type of the engine, as a name of the module."""
    if name in NODE_CLASS_MAPPINGS:
        return NODE_CLASS_MAPPINGS[name]
    raise AttributeError(f"module 'nodes' has no attribute {name!r}: graphengine has none yet")
