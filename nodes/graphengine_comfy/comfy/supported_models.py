"""The settings of models: classes to compare `model.model.model_config` with."""

from typing import Any

from graphengine_comfy._model_families import family_class
from graphengine_comfy._placeholders import placeholders_of

_FAMILIES = {
    "SD15": ("sd1",),
    "SD20": ("sd2",),
    "SDXL": ("sdxl",),
    "SDXLRefiner": ("sdxl_refiner",),
    "SD3": ("sd3",),
    "Flux": ("flux",),
    "QwenImage": ("qwen_image",),
    "WAN21_T2V": ("wan",),
}

_CLASSES = {name: family_class(__name__, name, families) for name, families in _FAMILIES.items()}
_missing = placeholders_of(__name__)


def __getattr__(name: str) -> Any:  # Any: a class of a family, or a placeholder
    """A family's class; else a placeholder."""
    return _CLASSES.get(name) or _missing(name)
