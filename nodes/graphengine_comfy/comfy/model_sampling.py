"""Noise levels that packs build themselves from ComfyUI's classes: a table of levels and what a network predicts.

A pack writes `class Sampling(ModelSamplingDiscrete, V_PREDICTION): pass` and gives an instance to
`add_object_patch("model_sampling", …)`. The formulas are those of the built-in nodes.
"""

from typing import Any

from graphengine_comfy._placeholders import placeholders_of

_MADE = (
    "CONST",
    "EDM",
    "EPS",
    "IMG_TO_IMG",
    "ModelSamplingContinuousEDM",
    "ModelSamplingContinuousV",
    "ModelSamplingDiscrete",
    "ModelSamplingDiscreteFlow",
    "ModelSamplingFlux",
    "StableCascadeSampling",
    "V_PREDICTION",
    "X0",
    "flux_time_shift",
    "time_snr_shift",
)
_missing = placeholders_of(__name__)


def __getattr__(name: str) -> Any:  # Any: a class, a function, or a placeholder
    """What is there, which brings torch; else a placeholder."""
    if name in _MADE:
        from graphengine_comfy import _model_sampling

        return getattr(_model_sampling, name)
    return _missing(name)
