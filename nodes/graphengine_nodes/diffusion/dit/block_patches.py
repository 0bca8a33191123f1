"""What ControlNets and other nodes do to single blocks of a transformer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graphengine_nodes.diffusion.model.model import NetworkCall

from .views import listed, view

#: The lists of a module's blocks by the kinds that patches name.
_LISTS = {"double_block": "transformer_blocks", "single_block": "single_transformer_blocks"}

Residual = Tensor | float


def after_blocks(residuals: Sequence[Tensor | None], blocks: Sequence[Any]) -> list[Residual] | None:
    """What is added to the state after each block, 0 where nothing is; None when there is nothing at all."""
    if not any(residual is not None for residual in residuals):
        return None
    given: list[Residual] = [0.0 if residual is None else residual for residual in residuals[: len(blocks)]]
    return given + [0.0] * (len(blocks) - len(given))


def replaced_blocks(call: NetworkCall, module: Any) -> Any:
    """A view of a network whose blocks do what the call's options "patches_replace" say under "dit".

    A patch is called with the states {"img", "txt", "vec"} (of a single block "img" is the text with the picture
    behind it) and {"original_block": function}; it gives the new states.
    """
    changed: dict[str, list[Any]] = {}
    for (kind, number, *_), patch in call.options.get("patches_replace", {}).get("dit", {}).items():
        name = _LISTS.get(kind, "")
        if 0 <= number < len(getattr(module, name, ())):
            blocks = changed.setdefault(name, list(getattr(module, name)))
            blocks[number] = _replaced(blocks[number], patch, single=kind == "single_block")
    return listed(module, changed) if changed else module


def _replaced(block: Any, patch: Callable[..., Mapping[str, Any]], *, single: bool) -> Any:
    inner = block.forward
    signature = inspect.signature(inner)

    # Any: blocks of different families take different things, and their callers name them or do not.
    def forward(*arguments: Any, **named: Any) -> Any:
        given = signature.bind(*arguments, **named).arguments
        length = given["encoder_hidden_states"].shape[1]

        def original(state: Mapping[str, Any]) -> dict[str, Any]:
            text, picture = _parts(state, length, single=single)
            changed = {"hidden_states": picture, "encoder_hidden_states": text, "temb": state["vec"]}
            text, picture = inner(**{**given, **changed})
            return {**state, **_states(text, picture, single=single)}

        state = _states(given["encoder_hidden_states"], given["hidden_states"], single=single)
        made = patch({**state, "vec": given["temb"]}, {"original_block": original})
        return _parts(made, length, single=single)

    seen = view(block)
    seen.forward = forward
    return seen


def _states(text: Tensor, picture: Tensor, *, single: bool) -> dict[str, Tensor]:
    return {"img": torch.cat([text, picture], dim=1)} if single else {"img": picture, "txt": text}


def _parts(state: Mapping[str, Any], length: int, *, single: bool) -> tuple[Tensor, Tensor]:
    if single:
        return state["img"][:, :length], state["img"][:, length:]
    return state["txt"], state["img"]


def patched_after(call: NetworkCall, module: Any) -> Any:
    """A view of a network after whose blocks the patches of the call's options "patches" under "double_block" run.

    A patch is called with {"img", "txt", "x", "block_index", "transformer_options"} and gives a table with the new
    "img" and "txt", or without those that stay. Blocks give (text, picture).
    """
    patches = call.options.get("patches", {}).get("double_block", ())
    if not patches:
        return module
    blocks = [view(block) for block in module.transformer_blocks]
    for number, block in enumerate(blocks):
        block.register_forward_hook(_after(patches, call, number))
    return listed(module, {"transformer_blocks": blocks})


def _after(
    patches: Sequence[Callable[..., Mapping[str, Any]]], call: NetworkCall, number: int
) -> Callable[..., Any]:
    def hook(block: nn.Module, given: Any, made: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        state = {"txt": made[0], "img": made[1], "x": call.x}
        for patch in patches:
            state |= patch({**state, "block_index": number, "transformer_options": call.options})
        return state["txt"], state["img"]

    return hook
