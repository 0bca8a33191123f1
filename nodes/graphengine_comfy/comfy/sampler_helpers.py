"""What packs use around a sampling run."""

from typing import Any

from graphengine_comfy._placeholders import placeholders_of
from graphengine_comfy.comfy.sample import cleanup_additional_models, prepare_mask

__all__ = ["cleanup_additional_models", "cleanup_models", "convert_cond", "prepare_mask"]


# Any throughout: CONDITIONING is a list of [tensor, dict of anything].
def convert_cond(cond: list[list[Any]]) -> list[dict[str, Any]]:
    """A CONDITIONING as a list of tables, with the text states under `cross_attn`."""
    return [{**options, "cross_attn": states, "model_conds": {}} for states, options in cond]


def cleanup_models(conds: Any, models: Any) -> None:
    """Forget models that a run used: Python does."""


__getattr__ = placeholders_of(__name__)
