"""Text encoders of SDXL: types that packs ask `clip.cond_stage_model` for."""

from typing import Any

from graphengine_comfy._placeholders import placeholders_of
from graphengine_comfy._text_encoders import ByTowers


class SDXLClipModel(metaclass=ByTowers):
    """CLIP-L and CLIP-G."""

    towers = ({"l", "g"},)


class SDXLRefinerClipModel(metaclass=ByTowers):
    """CLIP-G alone."""

    towers = ({"g"},)


class SDXLClipG(metaclass=ByTowers):
    """CLIP-G as a part of others: no CLIP is one."""

    towers = ()


_missing = placeholders_of(__name__)


def __getattr__(name: str) -> Any:
    """A placeholder."""
    return _missing(name)
