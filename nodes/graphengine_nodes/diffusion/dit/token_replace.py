"""HunyuanVideo's network where the first frame is given: its cells are told a time of 0 (Tencent, 2025)."""

from __future__ import annotations

from typing import Any

from .views import computing_as, listed, view

_PACKAGE = "diffusers.models.transformers.transformer_hunyuan_video"
_PREFIX = "HunyuanVideoTokenReplace"


def first_frame_given(module: Any) -> Any:
    """A view of a HunyuanVideoTransformer3DModel whose blocks compute as diffusers' "token_replace" ones do.

    Both kinds have the same weights, so that files do not tell which one they are for.
    """
    double = [
        _as(block, "TransformerBlock", norm1=_as(block.norm1, "AdaLayerNormZero"))
        for block in module.transformer_blocks
    ]
    single = [
        _as(block, "SingleTransformerBlock", norm=_as(block.norm, "AdaLayerNormZeroSingle"))
        for block in module.single_transformer_blocks
    ]
    seen = listed(module, {"transformer_blocks": double, "single_transformer_blocks": single})
    told = view(module.time_text_embed)
    told.image_condition_type = "token_replace"
    return view(seen, time_text_embed=told)


def _as(module: Any, name: str, **layers: Any) -> Any:
    return computing_as(module, _PREFIX + name, _PACKAGE, **layers)
