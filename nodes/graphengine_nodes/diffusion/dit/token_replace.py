"""HunyuanVideo's network where the first frame is given: its cells are told a time of 0 (Tencent, 2025)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import MethodType
from typing import Any

from torch import nn

from .modules import diffusers_class

_MODULE = "diffusers.models.transformers.transformer_hunyuan_video"
_PREFIX = "HunyuanVideoTokenReplace"


@contextmanager
def first_frame_given(module: Any) -> Iterator[None]:
    """While it is entered, blocks of HunyuanVideoTransformer3DModel compute as diffusers' "token_replace" ones do.

    Both kinds have the same weights, so that files do not tell which one they are for.
    """
    with ExitStack() as stack:
        for block in module.transformer_blocks:
            stack.enter_context(_computing_as(block, "TransformerBlock"))
            stack.enter_context(_computing_as(block.norm1, "AdaLayerNormZero"))
        for block in module.single_transformer_blocks:
            stack.enter_context(_computing_as(block, "SingleTransformerBlock"))
            stack.enter_context(_computing_as(block.norm, "AdaLayerNormZeroSingle"))
        module.time_text_embed.image_condition_type = "token_replace"
        try:
            yield
        finally:
            module.time_text_embed.image_condition_type = None


@contextmanager
def _computing_as(layer: nn.Module, name: str) -> Iterator[None]:
    kind = diffusers_class(_PREFIX + name, _MODULE)
    layer.forward = MethodType(kind.forward, layer)
    try:
        yield
    finally:
        vars(layer).pop("forward", None)
