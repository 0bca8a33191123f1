"""What packs use around a sampling run."""

from typing import Any

from graphengine_comfy._placeholders import placeholders_of
from graphengine_comfy.comfy.sample import cleanup_additional_models, prepare_mask

__all__ = ["cleanup_additional_models", "cleanup_models", "convert_cond", "get_additional_models", "prepare_mask"]


# Any throughout: CONDITIONING is a list of [tensor, dict of anything].
def convert_cond(cond: list[list[Any]]) -> list[dict[str, Any]]:
    """A CONDITIONING as a list of tables, with the text states under `cross_attn`."""
    return [{**options, "cross_attn": states, "model_conds": {}} for states, options in cond]


def cleanup_models(conds: Any, models: Any) -> None:
    """Forget models that a run used: Python does."""


def get_additional_models(*conds: Any, **options: Any) -> tuple[list[Any], int]:
    """The models that conditions bring along and the bytes they need: none, ours load themselves when they run."""
    return [], 0


__getattr__ = placeholders_of(__name__)
