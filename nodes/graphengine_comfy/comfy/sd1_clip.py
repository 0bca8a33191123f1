"""Text encoders of one CLIP tower, and how prompts are taken apart."""

from typing import Any

from graphengine_comfy._placeholders import placeholders_of
from graphengine_comfy._text_encoders import ByTowers
from graphengine_nodes.diffusion.text import prompt


class SD1ClipModel(metaclass=ByTowers):
    """What `clip.cond_stage_model` is an instance of for SD1, SD2 and SDXL's refiner."""

    towers = ({"l"}, {"h"}, {"g"})


def escape_important(text: str) -> str:
    """The prompt with characters that mean nothing in place of escaped parentheses."""
    return prompt.escaped(text)


def unescape_important(text: str) -> str:
    """The prompt with parentheses in place of these characters."""
    return prompt.unescaped(text)


def token_weights(string: str, current_weight: float) -> list[tuple[str, float]]:
    """The stretches of an escaped prompt with their weights."""
    return [(segment.text, segment.weight) for segment in prompt.weighted_segments(string, current_weight)]


_missing = placeholders_of(__name__)


def __getattr__(name: str) -> Any:
    """A placeholder."""
    return _missing(name)
