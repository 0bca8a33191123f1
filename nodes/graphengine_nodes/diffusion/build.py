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

from graphengine.node.api import ModelError

from . import detect, keymaps
from .checkpoint import Checkpoint, TensorInfo
from .detect import ClipConfig, KLConfig, Shapes, TaesdConfig, UNetConfig
from .model import DiffusionModel, LatentFormat
from .model_sampling import DiscreteSampling
from .unet_network import UNetNetwork
from .weights import Component, plain_sources

__all__ = [
    "Component",
    "assign_weights",
    "clip_module",
    "compute_dtype",
    "kl_module",
    "load_unet",
    "module_shapes",
    "taesd_module",
    "unet_module",
]

_NAMED = 4  # how many tensors an error names


def compute_dtype(device: str, stored: torch.dtype) -> torch.dtype:
    """What a UNet computes in: half precision on a CUDA device when the file has it, float32 everywhere else."""
    half = stored in (torch.float16, torch.bfloat16)
    return stored if half and torch.device(device).type == "cuda" else torch.float32


def load_unet(checkpoint: Checkpoint, device: str) -> DiffusionModel:
    """The MODEL of an SD1.x checkpoint.

    Raises:
        ModelError: the checkpoint is of another family, or its UNet is incomplete.
    """
    file = checkpoint.path.name
    detect.check_family(file, checkpoint.entries)
    part = checkpoint.part(detect.UNET_PREFIX)
    names = keymaps.unet_names(part)
    config = detect.unet_config(file, module_shapes(part, names))
    module = assign_weights("the UNet", checkpoint, part, names, lambda: unet_module(config))
    stored = next(module.parameters()).dtype
    dtype, sources = compute_dtype(device, stored), plain_sources(names)
    component = Component(module, checkpoint, device=device, dtype=dtype, sources=sources)

    network = UNetNetwork("sd1", component)
    return DiffusionModel(network, DiscreteSampling.linear(), LatentFormat(), device)


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
            f"model file {checkpoint.path.name!r} does not fit {what} of SD1.x: it {found}",
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
def _quiet() -> Iterator[None]:
    """Without the warnings that the libraries give of their own optional parts while they are imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def unet_module(config: UNetConfig) -> nn.Module:
    """The UNet of these sizes: (B, C, H, W), (B,), (B, T, D) → (B, C, H, W)."""
    with _quiet():
        from diffusers import UNet2DConditionModel  # heavy: seconds to import

    kinds = ["CrossAttn" if has else "" for has in config.attention]
    with torch.device("meta"):
        module: nn.Module = UNet2DConditionModel(
            in_channels=config.in_channels,
            out_channels=config.out_channels,
            block_out_channels=config.widths,
            down_block_types=tuple(f"{kind}DownBlock2D" for kind in kinds),
            up_block_types=tuple(f"{kind}UpBlock2D" for kind in reversed(kinds)),
            layers_per_block=config.blocks,
            transformer_layers_per_block=config.depth,
            cross_attention_dim=config.context,
            attention_head_dim=detect.UNET_HEADS,  # diffusers' name for the number of heads
            norm_num_groups=detect.NORM_GROUPS,
            use_linear_projection=config.linear_projection,
        )
    return module


def clip_module(config: ClipConfig) -> nn.Module:
    """The text tower of these sizes: (B, 77) ids → states (B, 77, D) and pooled (B, D)."""
    with _quiet():
        from transformers import CLIPTextConfig, CLIPTextModel  # heavy: seconds to import

    with torch.device("meta"):
        module: nn.Module = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=config.vocabulary,
                hidden_size=config.width,
                intermediate_size=config.inner_width,
                num_hidden_layers=config.layers,
                num_attention_heads=config.width // detect.CLIP_HEAD_CHANNELS,
                max_position_embeddings=config.positions,
                hidden_act="quick_gelu",
                attn_implementation="sdpa",
            )
        )
    return module


def kl_module(config: KLConfig) -> nn.Module:
    """The KL autoencoder of these sizes."""
    with _quiet():
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
    with _quiet():
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
