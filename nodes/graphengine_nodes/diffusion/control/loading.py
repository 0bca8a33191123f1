"""CONTROL_NET values from files."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graphengine.node.api import ModelError
from graphengine_nodes.diffusion.weights.build import assign_weights, compute_dtype, module_shapes
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint, TensorInfo
from graphengine_nodes.diffusion.weights.weights import Change, Component, plain_sources

from . import layout
from .adapters import is_adapter, load_adapter
from .cascade import is_cascade_control, load_cascade_control
from .control import Control, ControlNet, T2IAdapter
from .modules import control_module
from .networks import BorrowedControl, EncoderControl
from .transformers import load_transformer_control, transformer_family

if TYPE_CHECKING:
    from graphengine_nodes.diffusion.model.model import DiffusionModel

_POOLED = ("_shuffle", "_shuffle_fp16")
"""Names of files whose network was trained with residuals that are means over the picture."""
_PREFIXES = (*layout.PREFIXES, "")
_LABELS = {"add_embedding.": "label.", "class_embedding.": "label."}
_ENCODER = ("conv_in.", "time_embedding.", "down_blocks.", "mid_block.")


def load_control(checkpoint: Checkpoint, device: str, model: DiffusionModel | None = None) -> Control:
    """The CONTROL_NET of a file: a ControlNet, a control-LoRA or a T2I-Adapter, in any layout that is known.

    model: whose weights a file of differences is added to.

    Raises:
        ModelError: the file holds something else, is incomplete, or lacks the model it differs from.
    """
    part = checkpoint.part(layout.prefix_of(checkpoint.entries))
    if is_adapter(part):
        return T2IAdapter(load_adapter(checkpoint, part, device))
    if is_cascade_control(part):
        return ControlNet(load_cascade_control(checkpoint, part, device), upscale_algorithm="bilinear")
    family = transformer_family(part)
    if family is not None:
        transformer = load_transformer_control(family, checkpoint, part, device)
        return ControlNet(transformer, concat_mask=transformer.concat > transformer.latent_format.channels)
    if not layout.is_control(part):
        raise ModelError(
            f"file {checkpoint.path.name!r} holds no ControlNet or T2I-Adapter of a kind that is known here",
            hint="ControlNets, control-LoRAs and T2I-Adapters for SD1.x, SD2.x and SDXL are supported, and "
            "ControlNets for Stable Cascade, and for SD3 and Flux in the layout of diffusers",
        )
    pooled = PurePath(checkpoint.path.name).stem.endswith(_POOLED)
    if layout.is_control_lora(part):
        borrowed = BorrowedControl(checkpoint.path.name, partial(_from_lora, checkpoint, part))
        return ControlNet(borrowed, global_average_pooling=pooled)
    network = _from_weights(checkpoint, part, device)
    if layout.is_difference(part):
        network = _from_difference(network, model)
    return ControlNet(network, global_average_pooling=pooled)


def _from_weights(checkpoint: Checkpoint, part: Mapping[str, TensorInfo], device: str) -> EncoderControl:
    """The ControlNet whose file holds all its weights."""
    file, names = checkpoint.path.name, layout.control_names(part)
    config = layout.control_config(file, module_shapes(part, names))
    module = assign_weights("a ControlNet", checkpoint, part, names, lambda: control_module(config))
    stored = module.get_parameter("network.conv_in.weight").dtype
    dtype = compute_dtype(device, stored)
    component = Component(module, checkpoint, device=device, dtype=dtype, sources=plain_sources(names))
    return EncoderControl(file, config, component)


def _from_difference(network: EncoderControl, model: DiffusionModel | None) -> EncoderControl:
    """The ControlNet whose weights are differences to those of a model."""
    if model is None:
        raise ModelError(
            f"ControlNet file {network.file!r} holds differences to the weights of a model",
            hint="load it with the node DiffControlNetLoader and connect the model there",
        )
    base = model.network.component
    fitted = network.fitted(model.network)
    shapes = fitted.component.shapes()
    changes = {
        name: [partial(_sum, base, given)] for given, name in _borrowed_names(base).items() if name in shapes
    }
    return EncoderControl(fitted.file, fitted.config, fitted.component.patched(changes))


def _sum(base: Component, name: str, difference: Tensor) -> Tensor:
    return difference + base.weight(name)


def _borrowed_names(base: Component) -> dict[str, str]:
    """Parameters of a model's UNet that a ControlNet has too → their names in ControlModule."""
    found = {}
    for name in base.shapes():
        if name.startswith(_ENCODER):
            found[name] = f"network.{name}"
        for old, new in _LABELS.items():
            if name.startswith(old):
                found[name] = new + name.removeprefix(old)
    return found


def _from_lora(checkpoint: Checkpoint, part: Mapping[str, TensorInfo], base: Component) -> EncoderControl:
    """The ControlNet whose file holds changes of low rank to the encoder of a model's UNet, and what is new.

    Raises:
        ModelError: the model's UNet is of another size than the file was made for.
    """
    file = checkpoint.path.name
    full = {name: info for name, info in part.items() if not name.endswith((".up", ".down"))}
    stems = [name.removesuffix(".up") for name in part if name.endswith(".up")]
    ranks = {f"{stem}.weight": stem for stem in stems}
    names = layout.control_names([*full, *ranks])
    borrowed = {new: given for given, new in _borrowed_names(base).items()}
    own = {names[old]: info for old, info in full.items() if old in names}
    shapes = {new: base.shapes()[given] for new, given in borrowed.items()}
    shapes |= {name: info.shape for name, info in own.items()}
    config = layout.control_config(file, shapes)
    module = control_module(config)
    changes: dict[str, list[Change]] = {}
    tensors: dict[str, Tensor] = {}
    for name, parameter in module.named_parameters():
        if name in own:
            tensors[name] = checkpoint.tensor(own[name]).view(parameter.shape)
        elif name in borrowed:
            tensors[name] = torch.zeros((), dtype=torch.float16).expand(parameter.shape)  # takes no memory
            changes[name] = [partial(_base_weight, base, borrowed[name])]
        else:
            raise layout.lacks(file, name)
    for old, stem in ranks.items():
        name = names[old]
        if name not in changes:
            raise ModelError(f"ControlNet file {file!r} changes {old!r}, which the model's UNet does not have")
        up, down = (checkpoint.tensor(part[f"{stem}.{side}"]) for side in ("up", "down"))
        changes[name].append(partial(_low_rank, up, down))
    module.load_state_dict(tensors, strict=True, assign=True)
    module.requires_grad_(False).eval()
    component = Component(module, checkpoint, device=base.device, dtype=base.dtype)
    return EncoderControl(file, config, component.patched(changes))


def _base_weight(base: Component, name: str, nothing: Tensor) -> Tensor:
    return base.weight(name)


def _low_rank(up: Tensor, down: Tensor, weight: Tensor) -> Tensor:
    """weight + up down: up (O, R, …), down (R, I, …)."""
    return weight + (up.flatten(1).float() @ down.flatten(1).float()).reshape(weight.shape)
