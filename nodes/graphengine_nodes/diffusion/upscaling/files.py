"""Which network an upscaling model's file holds: names of all layouts, sizes from shapes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import isqrt

import torch
from torch import Tensor

from graphengine.node.api import ModelError
from graphengine_nodes.diffusion.weights.tensor_files import State

from .networks import Compact, RRDBNet

_PREFIXES = ("module.", "netG.")
_ESRGAN_NAMES = (
    (r"RRDB_trunk\.", "body."),
    (r"RDB(\d)\.", r"rdb\1."),
    (r"trunk_conv\.", "conv_body."),
    (r"upconv(\d)\.", r"conv_up\1."),
    (r"HRconv\.", "conv_hr."),
)
# A name that only one architecture has, for the message alone.
_OTHERS = (
    (r"\.overlap_attn\.", "HAT"),
    (r"\.attn\.attn_mask_0$|^layers\.0\.blocks\.0\.ffn\.sg\.", "DAT"),
    (r"^layers\.0\.residual_group\.blocks\.0\.norm1", "SwinIR"),
    (r"^block_1\.c1_r\.", "SPAN"),
    (r"^feats\.0\.|^dccm\.", "PLKSR"),
    (r"^residual_layer\.0\.residual_layer\.", "OmniSR"),
    (r"\.conv1x1\.weight$", "ESRGAN+"),
)


def make_network(file: str, state: State) -> RRDBNet | Compact | None:
    """The network of the tensors, in evaluation mode, float32; its `scale` is the factor. None when not known.

    Raises:
        ModelError: tensors are missing or do not fit each other.
    """
    state = _plain_names(state)
    make: Callable[[State], RRDBNet | Compact]
    if "conv_first.weight" in state and "conv_last.weight" in state and "body.0.rdb1.conv1.weight" in state:
        make = _rrdb
    elif "body.0.weight" in state and "body.1.weight" in state:
        make = _compact
    else:
        return None
    try:
        with torch.device("meta"):
            network = make(state)
        network.load_state_dict({name: value.float() for name, value in state.items()}, assign=True)
    except (KeyError, ValueError, ZeroDivisionError, RuntimeError) as error:
        found = " ".join(str(error).split())[:300]
        raise ModelError(
            f"model file {file!r} is an upscaling model whose tensors do not fit each other: {found}",
            hint="the file is incomplete or of another kind of model",
        ) from error
    network.requires_grad_(False).eval()
    return network


def other_architecture(state: Mapping[str, Tensor]) -> str | None:
    """The architecture that names in the file show, of those that are not built in."""
    for pattern, name in _OTHERS:
        if any(re.search(pattern, key) for key in state):
            return name
    return None


def _plain_names(state: State) -> State:
    """Names of Real-ESRGAN for those of the first release of ESRGAN and of the time before it."""
    for prefix in _PREFIXES:
        if state and all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    if "model.0.weight" in state:
        return _sequential_names(state)
    renamed = {}
    for name, value in state.items():
        for pattern, new in _ESRGAN_NAMES:
            name = re.sub(pattern, new, name)
        renamed[name] = value
    return renamed


def _sequential_names(state: State) -> State:
    """The names of the oldest files, in which layers have the numbers of one sequence.

    `model.0` is the first convolution, `model.1.sub` the trunk, whose last number is its closing convolution;
    then come those after each doubling, and two more.
    """
    tops = sorted({int(found[1]) for name in state if (found := re.match(r"model\.(\d+)\.weight$", name))})
    trunk = {int(found[1]) for name in state if (found := re.match(r"model\.1\.sub\.(\d+)\.", name))}
    if len(tops) < 3 or not trunk:
        return state
    *ups, hr, last = tops[1:]
    names = {f"model.{number}.": f"conv_up{place}." for place, number in enumerate(ups, 1)}
    names |= {"model.0.": "conv_first.", f"model.{hr}.": "conv_hr.", f"model.{last}.": "conv_last."}
    names |= {f"model.1.sub.{max(trunk)}.": "conv_body.", "model.1.sub.": "body."}
    renamed = {}
    for name, value in state.items():
        old = next((old for old in names if name.startswith(old)), "")
        new = re.sub(r"RDB(\d)\.conv(\d)\.0\.", r"rdb\1.conv\2.", names.get(old, "") + name.removeprefix(old))
        renamed[new] = value
    return renamed


def _rrdb(state: State) -> RRDBNet:
    width, inputs = state["conv_first.weight"].shape[:2]
    channels = state["conv_last.weight"].shape[0]
    growth = state["body.0.rdb1.conv1.weight"].shape[0]
    blocks = len({name.split(".")[1] for name in state if name.startswith("body.")})
    doublings = sum(bool(re.fullmatch(r"conv_up\d+\.weight", name)) for name in state)
    return RRDBNet(channels, width, growth, blocks, doublings, max(1, isqrt(inputs // channels)))


def _compact(state: State) -> Compact:
    width, channels = state["body.0.weight"].shape[:2]
    last = max(int(name.split(".")[1]) for name in state if name.startswith("body."))
    scale = isqrt(state[f"body.{last}.weight"].shape[0] // channels)
    return Compact(channels, width, last // 2 - 1, scale)
