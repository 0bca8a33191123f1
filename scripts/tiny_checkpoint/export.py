"""The trained networks as one SD1.x single file, half precision, and its check."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor

from . import autoencoder, data, diffusion
from .models import TEXT_WIDTH, make_unet

UNET, TEXT, VAE = "model.diffusion_model.", "cond_stage_model.transformer.text_model.", "first_stage_model."
VOCABULARY = 49_408
LATENT_FACTOR = 0.18215  # what SD1.x loaders multiply latents by before the UNet
METADATA = {
    "modelspec.sai_model_spec": "1.0.0",
    "modelspec.title": "graphengine tiny",
    "modelspec.architecture": "stable-diffusion-v1",
    "modelspec.implementation": "https://github.com/CompVis/stable-diffusion",
    "modelspec.prediction_type": "epsilon",
    "modelspec.resolution": "64x64",
    "modelspec.license": "Apache-2.0; trained on pictures under MIT, see graphengine_tiny.LICENSES.txt",
    "modelspec.description": (
        "A very small text-to-image model for demonstrations and tests: names of everyday things to "
        "64 px pictures in the style of Fluent Emoji 3D. SD1.x names, narrower; TAESD-style autoencoder; "
        "the UNet takes encoder output * 0.18215 / first_stage_model.vae_scale."
    ),
}
_TOP = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_MIDDLE = {"resnets.0": "0", "attentions.0": "1", "resnets.1": "2"}
_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}


def ldm_unet(state: Mapping[str, Tensor], blocks: int = 1) -> dict[str, Tensor]:
    """UNet weights under SD1.x names. Blocks of all levels are numbered through, resamplers among them."""
    attended = {match[1] for key in state if (match := re.match(r"up_blocks\.(\d+)\.attentions", key))}
    return {_ldm_name(key, blocks, attended): value for key, value in state.items()}


def _ldm_name(key: str, blocks: int, attended: set[str]) -> str:
    for ours, theirs in _TOP.items():
        if key.startswith(f"{ours}."):
            return theirs + key.removeprefix(ours)
    if key.startswith("mid_block."):
        _, kind, number, rest = key.split(".", 3)
        return f"middle_block.{_MIDDLE[f'{kind}.{number}']}.{_inner(kind, rest)}"
    side, level, kind, number, rest = key.split(".", 4)
    per_level = blocks + 1
    if side == "down_blocks":
        first = 1 + int(level) * per_level
        if kind == "downsamplers":
            return f"input_blocks.{first + blocks}.0.op.{rest.removeprefix('conv.')}"
        return f"input_blocks.{first + int(number)}.{int(kind == 'attentions')}.{_inner(kind, rest)}"
    first = int(level) * per_level
    if kind == "upsamplers":
        return f"output_blocks.{first + blocks}.{2 if level in attended else 1}.{rest}"
    return f"output_blocks.{first + int(number)}.{int(kind == 'attentions')}.{_inner(kind, rest)}"


def _inner(kind: str, rest: str) -> str:
    if kind == "attentions":
        return rest
    part, parameter = rest.rsplit(".", 1)
    return f"{_RESNET[part]}.{parameter}"


def tensors(folder: Path, model: diffusion.Diffusion, captions: diffusion.Captions) -> dict[str, Tensor]:
    """All tensors of the checkpoint in single precision, token rows that captions never use being zero."""
    pictures = data.load(folder / "data.pt")
    _, _, scale = diffusion.latents(folder, pictures)
    text = {f"{TEXT}{key}": value for key, value in model.text.state_dict().items()}
    table = f"{TEXT}embeddings.token_embedding.weight"
    full = torch.zeros(VOCABULARY, text[table].shape[1])
    full[captions.used] = text[table]
    text[table] = full
    unet = {f"{UNET}{key}": value for key, value in ldm_unet(model.unet.state_dict()).items()}
    vae = {f"{VAE}{key}": value for key, value in autoencoder.averaged(folder).state_dict().items()}
    return unet | text | vae | {f"{VAE}vae_scale": torch.tensor(LATENT_FACTOR / scale)}


def export(folder: Path, target: Path) -> None:
    """Write the checkpoint beside the old one, check it, then rename."""
    partial = target.with_suffix(".partial")
    target.parent.mkdir(parents=True, exist_ok=True)
    model, captions = diffusion.averaged(folder)
    half = {key: _half(value) for key, value in tensors(folder, model, captions).items()}
    save_file(half, partial, metadata=METADATA)
    check(model.unet, partial)
    partial.chmod(0o644)
    os.replace(partial, target)


def _half(value: Tensor) -> Tensor:
    return value.half().contiguous() if value.ndim else value


def check(trained: UNet2DConditionModel, path: Path) -> None:
    """Read the UNet back through the single-file conversion of diffusers and compare what it computes.

    Raises:
        ValueError: when names are lost or results differ by more than half precision explains.
    """
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    read = make_unet().eval()
    config = dict(read.config) | {"use_linear_projection": False}
    read.load_state_dict(convert_ldm_unet_checkpoint(load_file(path), config))
    g = torch.Generator().manual_seed(0)
    x = torch.randn(2, 4, 8, 8, generator=g)
    states = torch.randn(2, 77, TEXT_WIDTH, generator=g)
    times = torch.tensor([900, 100])
    with torch.inference_mode():
        ours, theirs = (net(x, times, encoder_hidden_states=states)[0] for net in (trained, read.float()))
    difference = (ours - theirs).abs().max().item()
    if difference > 0.02 * ours.abs().max().item():
        raise ValueError(f"the exported UNet computes something else: largest difference {difference}")
