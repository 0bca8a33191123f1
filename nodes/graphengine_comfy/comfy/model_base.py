"""The models inside a MODEL: classes to compare `model.model` with."""

from typing import Any

from graphengine_comfy._model_families import family_class
from graphengine_comfy._placeholders import placeholders_of

_FAMILIES = {
    "SDXL": ("sdxl",),
    "SDXLRefiner": ("sdxl_refiner",),
    "SD3": ("sd3",),
    "Flux": ("flux",),
    "QwenImage": ("qwen_image",),
    "WAN21": ("wan",),
}

BaseModel = family_class(__name__, "BaseModel", None)
_CLASSES = {name: family_class(__name__, name, families, BaseModel) for name, families in _FAMILIES.items()}
_missing = placeholders_of(__name__)


# Any: a class of a family, an enumeration, or a placeholder.
def __getattr__(name: str) -> Any:
    """A family's class; `ModelType`, which brings torch; else a placeholder."""
    if name == "ModelType":
        from graphengine_nodes.diffusion.model.pack_model import ModelType

        return ModelType
    return _CLASSES.get(name) or _missing(name)
