"""The node classes of the process, and limits that packs share."""

from collections.abc import Iterator, MutableMapping
from pathlib import Path
from secrets import token_hex
from typing import Any

from graphengine.node.api import current_context
from graphengine_comfy._absent_nodes import absent
from graphengine_comfy._node_classes import NODE_CLASS_MAPPINGS, class_or, outside
from graphengine_comfy._surroundings import CONNECTION
from graphengine_comfy.comfy.model_management import (
    interrupt_current_processing,
    throw_exception_if_processing_interrupted,
)
from graphengine_comfy.folder_paths import get_output_directory, get_temp_directory

__all__ = [
    "EXTENSION_WEB_DIRS",
    "LOADED_MODULE_DIRS",
    "MAX_RESOLUTION",
    "NODE_CLASS_MAPPINGS",
    "NODE_DISPLAY_NAME_MAPPINGS",
    "PreviewImage",
    "SaveImage",
    "before_node_execution",
    "common_ksampler",
    "interrupt_processing",
]

#: The longest side of a picture, in pixels.
MAX_RESOLUTION = 16384
#: Name of a pack → its folder of scripts for the editor. Packs add to it.
EXTENSION_WEB_DIRS: dict[str, str] = {}
#: Name of a pack → its folder. Packs read it.
LOADED_MODULE_DIRS: dict[str, str] = {}


# Any throughout: classes, their inputs and outputs are their authors'.
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


# Any: a MODEL, its conditionings and a LATENT are what the sampler takes.
def common_ksampler(
    model: Any,
    seed: int,
    steps: int,
    cfg: float,
    sampler_name: str,
    scheduler: str,
    positive: Any,
    negative: Any,
    latent: Any,
    denoise: float = 1.0,
    disable_noise: bool = False,
    start_step: int | None = None,
    last_step: int | None = None,
    force_full_denoise: bool = False,
) -> tuple[dict[str, Any]]:
    """One LATENT: the given one after sampling.

    Raises:
        ValueError: an unknown sampler or scheduler, a latent or conditioning that does not fit the model.
        RunCancelled: the run was asked to stop.
    """
    from graphengine_nodes.diffusion.sampling.ksampler import sample  # brings torch

    context = current_context.get() or outside()
    sampled = sample(
        model,
        seed=seed,
        steps=steps,
        cfg=cfg,
        sampler_name=sampler_name,
        scheduler=scheduler,
        positive=positive,
        negative=negative,
        latent=latent,
        denoise=denoise,
        start_step=start_step,
        last_step=last_step,
        force_full_denoise=force_full_denoise,
        disable_noise=disable_noise,
        progress=context.progress,
        check_cancelled=context.check_cancelled,
    )
    return (dict(sampled),)


NODE_CLASS_MAPPINGS.instead.update(SaveImage=SaveImage, PreviewImage=PreviewImage)

__getattr__ = class_or(absent)
