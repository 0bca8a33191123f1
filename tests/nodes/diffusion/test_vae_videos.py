"""Autoencoders of other video models against those of diffusers."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from graphengine.errors import ModelError
from graphengine_nodes.diffusion.vae.autoencoder import VAE
from graphengine_nodes.diffusion.vae.vae import load_vae_file
from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

from . import tiny_vae
from .diffusers_oracle import converted, converted_ldm_vae, module, randn
from .ldm_layout import Shapes
from .tiny_dit import random_weights, write


def loaded(folder: Path, shapes: Shapes) -> VAE:
    return load_vae_file(open_checkpoint(write(folder / "vae.safetensors", shapes)), "cpu")


def close(ours: Tensor, expected: Tensor) -> bool:
    return bool((ours - expected).abs().max() <= 1e-4)


def test_the_vae_of_hunyuan_video_computes_what_diffusers_computes(tmp_path: Path) -> None:
    shapes = tiny_vae.hunyuan()
    vae = loaded(tmp_path, shapes)
    # LDM's converter knows the names without the causal convolutions around
    flat = {
        name.replace("_conv.", "_CONV.").replace(".conv.", ".", 1).replace("_CONV.", "_conv."): value
        for name, value in random_weights(shapes).items()
    }
    config = {"block_out_channels": (32, 32, 64, 64), "layers_per_block": 1}
    state = converted_ldm_vae(flat, "AutoencoderKLHunyuanVideo", config)
    reference = module("AutoencoderKLHunyuanVideo", state, **config)
    video, latent = torch.rand(5, 16, 24, 3), randn(1, 16, 2, 2, 3)
    with torch.no_grad():
        mean = reference.encode(video.movedim(-1, 0)[None] * 2 - 1).latent_dist.mean
        frames = reference.decode(latent).sample
    assert close(vae.encode(video), mean)
    assert close(vae.decode(latent), (frames / 2 + 0.5).clamp(0, 1).movedim(1, -1))
    assert (vae.latent_channels, vae.downscale, vae.frames) == (16, 8, 4)


LTX: dict[str, dict[str, Any]] = {
    "0.9.0": {"block_out_channels": (8, 16, 32, 32), "decoder_block_out_channels": (8, 16, 32, 32)},
    "0.9.1": {
        "block_out_channels": (8, 16, 32, 32),
        "decoder_block_out_channels": (16, 32, 64),
        "decoder_layers_per_block": (5, 6, 7, 8),
        "decoder_spatio_temporal_scaling": (True, True, True),
        "decoder_inject_noise": (True, True, True, False),
        "upsample_residual": (True, True, True),
        "upsample_factor": (2, 2, 2),
        "timestep_conditioning": True,
    },
    "0.9.5": {
        "block_out_channels": (8, 16, 32, 64, 128),
        "down_block_types": ("LTXVideo095DownBlock3D",) * 4,
        "decoder_block_out_channels": (16, 32, 64),
        "layers_per_block": (4, 6, 6, 2, 2),
        "decoder_layers_per_block": (5, 5, 5, 5),
        "spatio_temporal_scaling": (True, True, True, True),
        "decoder_spatio_temporal_scaling": (True, True, True),
        "decoder_inject_noise": (False, False, False, False),
        "downsample_type": ("spatial", "temporal", "spatiotemporal", "spatiotemporal"),
        "upsample_residual": (True, True, True),
        "upsample_factor": (2, 2, 2),
        "timestep_conditioning": True,
        "spatial_compression_ratio": 32,
        "temporal_compression_ratio": 8,
    },
}


def in_the_layout_of_files(state: dict[str, Tensor], version: str) -> dict[str, Tensor]:
    """The weights by the names that diffusers' converter turns into theirs: every number of a block is tried."""
    return {
        next(old for old in names_of_files(name) if becomes(old, version) == name): value
        for name, value in state.items()
    }


def names_of_files(name: str) -> Iterator[str]:
    old = name.replace(".resnets.", ".res_blocks.").replace("conv_shortcut.conv", "conv_shortcut")
    old = old.replace(".norm3.", ".norm3.norm.")
    old = re.sub(r"^decoder\.(time_embedder|scale_shift_table)", r"decoder.last_\1", old)
    inside = re.match(r"(en|de)coder\.(?:mid_block|(?:down|up)_blocks\.\d+)\.(.+)", old)
    if inside:
        blocks = "encoder.down_blocks" if inside[1] == "en" else "decoder.up_blocks"
        without = re.sub(r"^(downsamplers\.0|upsamplers\.0|conv_in|conv_out)\.", "", inside[2])
        for rest in dict.fromkeys((inside[2], without)):
            yield from (f"{blocks}.{number}.{rest}" for number in range(10))
    yield old


def becomes(old: str, version: str) -> str:
    probe = torch.zeros(1, 2048 if version == "0.9.5" else 1)
    names = ["vae.encoder.conv_out.conv.weight"]
    if version != "0.9.0":
        names.append("vae.decoder.last_time_embedder.timestep_embedder.linear_1.weight")
    weights = {**{name: torch.zeros_like(probe) for name in names}, f"vae.{old}": probe}
    state = converted("convert_ltx_vae_checkpoint_to_diffusers", weights)
    return next((name for name, value in state.items() if value is probe), "")


@pytest.mark.parametrize("version", LTX)
def test_the_vae_of_ltx_video_computes_what_diffusers_computes(version: str, tmp_path: Path) -> None:
    reference = module("AutoencoderKLLTXVideo", None, latent_channels=16, **LTX[version])
    shapes = {name: tuple(value.shape) for name, value in reference.state_dict().items()}
    statistics = {"latents_mean": "mean-of-means", "latents_std": "std-of-means"}
    state = random_weights(shapes)
    reference.load_state_dict(state)
    weights = in_the_layout_of_files({n: v for n, v in state.items() if n not in statistics}, version)
    weights |= {f"per_channel_statistics.{new}": state[old] for old, new in statistics.items()}
    weights["per_channel_statistics.channel"] = torch.zeros(16)
    save_file(weights, tmp_path / "vae.safetensors")
    vae = load_vae_file(open_checkpoint(tmp_path / "vae.safetensors"), "cpu")
    video, latent = torch.rand(9, 32, 64, 3), randn(1, 16, 2, 1, 2)
    mean, std = (state[name].reshape(1, -1, 1, 1, 1) for name in statistics)
    with torch.no_grad():
        encoded = reference.encode(video.movedim(-1, 0)[None] * 2 - 1).latent_dist.mean
        time = None if version == "0.9.0" else torch.tensor([0.05])
        torch.manual_seed(0)
        frames = reference.decode(latent * std + mean, time).sample
    assert close(vae.encode(video), (encoded - mean) / std)
    assert close(vae.decode(latent), (frames / 2 + 0.5).clamp(0, 1).movedim(1, -1))
    assert torch.equal(vae.decode(latent), vae.decode(latent))


MOCHI: dict[str, Any] = {
    "encoder_block_out_channels": (32, 32, 64, 64),
    "decoder_block_out_channels": (32, 32, 64, 64),
}
LAYERS = {"norm1.norm_layer": "0", "conv1.conv": "2", "norm2.norm_layer": "3", "conv2.conv": "5"}


def in_the_layout_of_mochi(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of AutoencoderKLMochi by the names in Genmo's files."""
    result: dict[str, Tensor] = {}
    for name, value in state.items():
        if ".to_k." in name or ".to_v." in name:
            continue
        if ".to_q." in name:
            value = torch.cat([state[name.replace(".to_q.", f".to_{part}.")] for part in "qkv"])
        result[mochi_name(name)] = value
    return result


def mochi_name(name: str) -> str:
    tops = {"encoder.proj_in": "encoder.layers.0", "decoder.conv_in": "decoder.blocks.0.0"}
    tops |= {"encoder.norm_out.norm_layer": "encoder.output_norm"}
    tops |= {f"{part}.proj_out": f"{part}.output_proj" for part in ("encoder", "decoder")}
    owner, _, kind = name.rpartition(".")
    if owner in tops:
        return f"{tops[owner]}.{kind}"
    part, block, *rest = name.split(".")
    level = 0 if block.startswith("block") else int(rest.pop(0))
    if rest[0] == "conv_in":
        return f"encoder.layers.{level + 4}.layers.0.{kind}"
    if rest[0] == "proj":
        return f"decoder.blocks.{level + 1}.proj.{kind}"
    kind_of, number, layer = rest[0], int(rest[1]), ".".join(rest[2:-1])
    places = {
        "encoder.block_in": f"encoder.layers.{number + 1}",
        "encoder.down_blocks": f"encoder.layers.{level + 4}.layers.{number + 1}",
        "encoder.block_out": f"encoder.layers.{number + 7}",
        "decoder.block_in": f"decoder.blocks.0.{number + 1}",
        "decoder.up_blocks": f"decoder.blocks.{level + 1}.blocks.{number}",
        "decoder.block_out": f"decoder.blocks.4.{number}",
    }
    inside = {
        "resnets": f"stack.{LAYERS.get(layer)}",
        "norms": "attn_block.norm",
        "attentions": "attn_block.attn.qkv" if layer == "to_q" else "attn_block.attn.out",
    }
    return f"{places[f'{part}.{block}']}.{inside[kind_of]}.{kind}"


@pytest.mark.parametrize("alone", [False, True])
def test_the_vae_of_mochi_computes_what_diffusers_computes(alone: bool, tmp_path: Path) -> None:
    reference = module("AutoencoderKLMochi", None, **MOCHI)
    state = random_weights({name: tuple(value.shape) for name, value in reference.state_dict().items()})
    reference.load_state_dict(state)
    weights = in_the_layout_of_mochi(state)
    if alone:
        decoder = "decoder."
        weights = {n.removeprefix(decoder): value for n, value in weights.items() if n.startswith(decoder)}
    save_file(weights, tmp_path / "vae.safetensors")
    vae = load_vae_file(open_checkpoint(tmp_path / "vae.safetensors"), "cpu")
    video, latent = torch.rand(7, 16, 24, 3), randn(1, 12, 2, 2, 3)
    with torch.no_grad():
        mean = reference.encode(video.movedim(-1, 0)[None] * 2 - 1).latent_dist.mean
        frames = reference.decode(latent).sample
    assert close(vae.decode(latent), (frames / 2 + 0.5).clamp(0, 1).movedim(1, -1))
    if alone:
        with pytest.raises(ModelError, match="can decode only"):
            vae.encode(video)
    else:
        assert close(vae.encode(video), mean)
