"""Networks from checkpoint tensors: built without memory, given the mapped weights, cast on first use.

A module is made on torch's meta device from sizes that were read from the file, so nothing is allocated or
initialised. The mapped tensors become its parameters as they are; a `Component` (weights.py) casts them when it is
first used. diffusers and transformers serve as libraries of modules only: sizes are always given, so neither has a
reason to look anything up on a hub.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from graphengine.node.api import ModelError, current_context
from graphengine.node.processor import has_bfloat16

from . import detect
from .checkpoint import Checkpoint, TensorInfo
from .detect import KLConfig, Shapes, TaesdConfig
from .weights import Component

__all__ = [
    "Component",
    "assign_weights",
    "compute_dtype",
    "kl_module",
    "module_shapes",
    "quiet",
    "taesd_module",
]

_NAMED = 4  # how many tensors an error names


def compute_dtype(device: str, stored: torch.dtype) -> torch.dtype:
    """What a network computes in: half precision on a CUDA device when the file has it, float32 everywhere else.

    Where the user asks for speed, bfloat16 on processors that have instructions for it.
    """
    kind, context = torch.device(device).type, current_context.get()
    if kind == "cuda" and stored in (torch.float16, torch.bfloat16):
        return stored
    is_asked = context is not None and context.fast
    return torch.bfloat16 if kind == "cpu" and is_asked and has_bfloat16() else torch.float32


def module_shapes(part: Mapping[str, TensorInfo], names: Mapping[str, str]) -> Shapes:
    """Shapes by module name."""
    return {new: part[old].shape for old, new in names.items()}


def assign_weights(
    what: str,
    checkpoint: Checkpoint,
    part: Mapping[str, TensorInfo],
    names: Mapping[str, str],
    make: Callable[[], nn.Module],
) -> nn.Module:
    """The module that make builds, with the mapped tensors of the part as its parameters.

    names maps the names in the part to parameter names. The module is frozen and in evaluation mode.

    Raises:
        ModelError: tensors are missing, left over or of the wrong shape; the first few are named.
    """
    module = _make(what, checkpoint.path.name, make)
    expected = {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}
    given = {new: (old, part[old]) for old, new in names.items()}
    problems = [
        _list("lacks", [name for name in expected if name not in given]),
        _list("has the unknown", [old for new, (old, _) in given.items() if new not in expected]),
        _list("has in another shape", [new for new in expected if not _fits(given.get(new), expected[new])]),
    ]
    if any(problems):
        found = "; ".join(filter(None, problems))
        raise ModelError(
            f"model file {checkpoint.path.name!r} does not fit {what}: it {found}",
            hint="the file is incomplete or of another kind of model",
        )
    tensors = {new: checkpoint.tensor(info).view(expected[new]) for new, (_, info) in given.items()}
    module.load_state_dict(tensors, strict=True, assign=True)
    _fill_tables(module)
    return module.requires_grad_(False).eval()


def _fits(given: tuple[str, TensorInfo] | None, expected: tuple[int, ...]) -> bool:
    """Whether shapes agree; a 1x1 convolution in the file may be a linear layer in the module."""
    if given is None:
        return True
    shape = given[1].shape
    return shape[: len(expected)] == expected and all(size == 1 for size in shape[len(expected) :])


def _list(verb: str, names: list[str]) -> str | None:
    if not names:
        return None
    named = ", ".join(sorted(names)[:_NAMED])
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{verb} tensors {named}{more}" if len(names) > 1 else f"{verb} tensor {named}"


def _make(what: str, file: str, make: Callable[[], nn.Module]) -> nn.Module:
    try:
        return make()
    except (ValueError, TypeError, RuntimeError) as error:
        raise ModelError(f"model file {file!r} describes {what} that cannot be built: {error}") from error


def _fill_tables(module: nn.Module) -> None:
    """Compute the buffers that no file has: the position numbers of CLIP.

    Raises:
        RuntimeError: something else is left without values, which a new version of a library would cause.
    """
    for owner in module.modules():
        for name, buffer in list(owner.named_buffers(recurse=False)):
            if buffer.is_meta and name == "position_ids":
                setattr(owner, name, torch.arange(buffer.shape[-1]).expand(buffer.shape))
    left = [name for name, tensor in [*module.named_parameters(), *module.named_buffers()] if tensor.is_meta]
    if left:
        raise RuntimeError(f"weights left without values: {', '.join(left[:_NAMED])}")


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings that the libraries give of their own optional parts while they are imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def kl_module(config: KLConfig) -> nn.Module:
    """The KL autoencoder of these sizes."""
    with quiet():
        from diffusers import AutoencoderKL  # heavy: seconds to import

    levels = len(config.widths)
    with torch.device("meta"):
        module: nn.Module = AutoencoderKL(
            in_channels=config.channels,
            out_channels=config.channels,
            latent_channels=config.latent_channels,
            block_out_channels=config.widths,
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            layers_per_block=config.blocks,
            norm_num_groups=detect.NORM_GROUPS,
        )
    return module


def taesd_module(config: TaesdConfig) -> nn.Module:
    """The tiny autoencoder of these sizes."""
    with quiet():
        from diffusers import AutoencoderTiny  # heavy: seconds to import

    with torch.device("meta"):
        module: nn.Module = AutoencoderTiny(
            in_channels=config.channels,
            out_channels=config.channels,
            latent_channels=config.latent_channels,
            encoder_block_out_channels=config.encoder_widths,
            decoder_block_out_channels=config.decoder_widths,
            num_encoder_blocks=config.encoder_blocks,
            num_decoder_blocks=config.decoder_blocks,
        )
    return module
