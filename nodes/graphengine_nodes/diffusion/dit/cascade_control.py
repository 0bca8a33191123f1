"""What a ControlNet adds to stage C of Stable Cascade: to the state before residual blocks, counted through."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import interpolate

from graphengine_nodes.diffusion.model.model import Residuals


@contextmanager
def added_before_blocks(module: Any, control: Residuals | None) -> Iterator[None]:  # Any: of diffusers
    """While it lasts, the module adds `control.input[i]`, resized, to the state before its i-th residual block.

    Blocks are counted down and then up, through all levels.
    """
    if control is None:
        yield
        return
    blocks = [
        block for level in (*module.down_blocks, *module.up_blocks) for block in level if _is_residual(block)
    ]
    hooks = [
        block.register_forward_pre_hook(partial(_add, residual))
        for block, residual in zip(blocks, control.input, strict=False)
        if residual is not None
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _is_residual(block: nn.Module) -> bool:
    return hasattr(block, "depthwise")


def _add(residual: Tensor, block: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    state, *others = given
    fitted = interpolate(residual.to(state), size=state.shape[-2:], mode="bilinear", align_corners=True)
    return (state + fitted, *others)
