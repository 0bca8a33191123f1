"""Shapes of Stable Diffusion's single-file checkpoints of any size, and files with random weights in them.

Written from the structure of the LDM networks, not from the loader's tables, so that the two check each other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import prod
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]

UNET, CLIP, VAE = "model.diffusion_model.", "cond_stage_model.transformer.", "first_stage_model."
SD15_WIDTHS = (320, 640, 1280, 1280)


def sd15() -> Shapes:
    """The checkpoint of Stable Diffusion 1.5: 1,066 million parameters."""
    return checkpoint(
        unet(SD15_WIDTHS, (2, 2, 2, 2), (True, True, True, False), 768),
        clip(768, 12),
        kl((128, 256, 512, 512), 2),
    )


def narrow(vae: Shapes | None = None) -> Shapes:
    """A checkpoint with three levels, one block each, and the VAE given (a narrow KL one by default)."""
    return checkpoint(
        unet((32, 64, 96), (1, 1, 1), (True, True, False), 64),
        clip(64, 3),
        kl((32, 32, 64, 64), 1) if vae is None else vae,
    )


def checkpoint(unet: Shapes, clip: Shapes, vae: Shapes) -> Shapes:
    """The parts under the prefixes they have in one file."""
    parts = {UNET: unet, f"{CLIP}text_model.": clip, VAE: vae}
    return {prefix + name: shape for prefix, part in parts.items() for name, shape in part.items()}


def write(
    path: Path, shapes: Shapes, more: Mapping[str, Tensor] | None = None, *, dtype: torch.dtype = torch.float16
) -> Path:
    """A file of random weights that keep activations finite, and of more tensors as they are given."""
    save_file({**random_weights(shapes, dtype), **(more or {})}, path)
    return path


def random_weights(shapes: Mapping[str, tuple[int, ...]], dtype: torch.dtype = torch.float16) -> dict[str, Tensor]:
    """Weights of variance 1 / (3 inputs), norms and biases near 1 and 0, the same at each call."""
    generator = torch.Generator().manual_seed(7)
    tensors = {}
    for name, shape in shapes.items():
        values = torch.randn(shape, generator=generator)
        if len(shape) > 1:
            values *= 0.02 if "embedding" in name else (3 * prod(shape[1:])) ** -0.5
        else:
            values = 0.05 * values + (1 if name.endswith("weight") else 0)
        tensors[name] = values.to(dtype)
    return tensors


def unet(
    widths: tuple[int, ...],
    blocks: tuple[int, ...],
    attention: tuple[bool, ...],
    context: int,
    *,
    depth: int | tuple[int, ...] = 1,
    linear: bool = False,
    in_channels: int = 4,
    label: int | None = None,
    middle: int | None = None,
    upwards: tuple[tuple[int, ...], ...] | None = None,
    only_cross: bool = False,
) -> Shapes:
    """LDM UNet; blocks and attention are per level, depth too where it is not the same for all.

    label: the width of the vector of SDXL and unCLIP models. Distilled models differ on the way up and in the
    middle: upwards has the depth of each output block, from the smallest level to the largest, middle that of the
    middle; 0 is a middle of one residual block, -1 none. only_cross: keys and values of all attentions but the
    lowest level's are made of the text.
    """
    embedding = widths[0] * 4
    depths = (depth,) * len(widths) if isinstance(depth, int) else depth
    shapes = _weights("time_embed.0", embedding, widths[0]) | _weights("time_embed.2", embedding, embedding)
    if label is not None:
        shapes |= _weights("label_emb.0.0", embedding, label) | _weights("label_emb.0.2", embedding, embedding)
    shapes |= _weights("input_blocks.0.0", widths[0], in_channels, 3, 3)
    channels, skips, number = widths[0], [widths[0]], 1
    for level, width in enumerate(widths):
        for _ in range(blocks[level]):
            shapes |= _resnet(f"input_blocks.{number}.0", channels, width, embedding)
            if attention[level]:
                shapes |= _transformer(f"input_blocks.{number}.1", width, context, depths[level], linear)
            channels, number = width, number + 1
            skips.append(channels)
        if level < len(widths) - 1:
            shapes |= _weights(f"input_blocks.{number}.0.op", channels, channels, 3, 3)
            number += 1
            skips.append(channels)
    shapes |= _resnet("middle_block.0", channels, channels, embedding)
    middle = depths[-1] if middle is None else middle
    if middle < 0:
        shapes = {name: shape for name, shape in shapes.items() if not name.startswith("middle_block.")}
    elif middle:
        shapes |= _transformer("middle_block.1", channels, context, middle, linear)
        shapes |= _resnet("middle_block.2", channels, channels, embedding)
    if upwards is None:
        upwards = tuple((depths[level],) * (blocks[level] + 1) for level in reversed(range(len(widths))))
    shapes |= _output_blocks(widths, skips, attention, upwards, context, linear)
    if only_cross:
        shapes |= {
            name: (shape[0], context)
            for name, shape in shapes.items()
            if re.search(r"attn1\.to_[kv]\.", name) and shape[0] in widths[:-1]
        }
    return shapes | _norm("out.0", widths[0]) | _weights("out.2", 4, widths[0], 3, 3)


def _output_blocks(
    widths: tuple[int, ...],
    skips: list[int],
    attention: tuple[bool, ...],
    depths: tuple[tuple[int, ...], ...],
    context: int,
    linear: bool,
) -> Shapes:
    """The way up: depths from the smallest level to the largest."""
    shapes: Shapes = {}
    channels, embedding, number = widths[-1], widths[0] * 4, 0
    for level, own in zip(reversed(range(len(widths))), depths, strict=True):
        for block, depth in enumerate(own):
            shapes |= _resnet(f"output_blocks.{number}.0", channels + skips.pop(), widths[level], embedding)
            channels = widths[level]
            if attention[level]:
                shapes |= _transformer(f"output_blocks.{number}.1", channels, context, depth, linear)
            if block == len(own) - 1 and level:
                index = 2 if attention[level] else 1
                shapes |= _weights(f"output_blocks.{number}.{index}.conv", channels, channels, 3, 3)
            number += 1
    return shapes


def _resnet(name: str, before: int, after: int, embedding: int) -> Shapes:
    shapes = _norm(f"{name}.in_layers.0", before) | _weights(f"{name}.in_layers.2", after, before, 3, 3)
    shapes |= _weights(f"{name}.emb_layers.1", after, embedding)
    shapes |= _norm(f"{name}.out_layers.0", after) | _weights(f"{name}.out_layers.3", after, after, 3, 3)
    return shapes | (_weights(f"{name}.skip_connection", after, before, 1, 1) if before != after else {})


def _transformer(name: str, width: int, context: int, depth: int, linear: bool) -> Shapes:
    kernel = () if linear else (1, 1)
    shapes = _norm(f"{name}.norm", width)
    shapes |= _weights(f"{name}.proj_in", width, width, *kernel)
    shapes |= _weights(f"{name}.proj_out", width, width, *kernel)
    for block in (f"{name}.transformer_blocks.{number}" for number in range(depth)):
        for attention, size in (("attn1", width), ("attn2", context)):
            shapes[f"{block}.{attention}.to_q.weight"] = (width, width)
            shapes[f"{block}.{attention}.to_k.weight"] = (width, size)
            shapes[f"{block}.{attention}.to_v.weight"] = (width, size)
            shapes |= _weights(f"{block}.{attention}.to_out.0", width, width)
        shapes |= _weights(f"{block}.ff.net.0.proj", 8 * width, width)
        shapes |= _weights(f"{block}.ff.net.2", width, 4 * width)
        for norm in ("norm1", "norm2", "norm3"):
            shapes |= _norm(f"{block}.{norm}", width)
    return shapes


def clip(width: int, layers: int) -> Shapes:
    """CLIP text tower, without `text_model.`."""
    shapes: Shapes = {
        "embeddings.token_embedding.weight": (49408, width),
        "embeddings.position_embedding.weight": (77, width),
    }
    for layer in (f"encoder.layers.{number}" for number in range(layers)):
        for projection in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= _weights(f"{layer}.self_attn.{projection}", width, width)
        shapes |= _weights(f"{layer}.mlp.fc1", 4 * width, width) | _weights(f"{layer}.mlp.fc2", width, 4 * width)
        shapes |= _norm(f"{layer}.layer_norm1", width) | _norm(f"{layer}.layer_norm2", width)
    return shapes | _norm("final_layer_norm", width)


def open_clip(width: int, layers: int, projection: int | None = None) -> Shapes:
    """CLIP text tower as OpenCLIP writes it; projection: the width of the pooled state, that of the tower."""
    shapes: Shapes = {
        "token_embedding.weight": (49408, width),
        "positional_embedding": (77, width),
        "text_projection": (width, projection or width),
        "logit_scale": (),
    }
    for block in (f"transformer.resblocks.{number}" for number in range(layers)):
        shapes |= {f"{block}.attn.in_proj_weight": (3 * width, width), f"{block}.attn.in_proj_bias": (3 * width,)}
        shapes |= _weights(f"{block}.attn.out_proj", width, width)
        shapes |= _weights(f"{block}.mlp.c_fc", 4 * width, width)
        shapes |= _weights(f"{block}.mlp.c_proj", width, 4 * width)
        shapes |= _norm(f"{block}.ln_1", width) | _norm(f"{block}.ln_2", width)
    return shapes | _norm("ln_final", width)


def kl(widths: tuple[int, ...], blocks: int) -> Shapes:
    """LDM autoencoder with 4 latent channels."""
    shapes = _weights("quant_conv", 8, 8, 1, 1) | _weights("post_quant_conv", 4, 4, 1, 1)
    shapes |= _weights("encoder.conv_in", widths[0], 3, 3, 3)
    channels, last = widths[0], len(widths) - 1
    for level, width in enumerate(widths):
        for block in range(blocks):
            shapes |= _plain_resnet(f"encoder.down.{level}.block.{block}", channels, width)
            channels = width
        if level < last:
            shapes |= _weights(f"encoder.down.{level}.downsample.conv", channels, channels, 3, 3)
    shapes |= _kl_middle("encoder", channels) | _norm("encoder.norm_out", channels)
    shapes |= _weights("encoder.conv_out", 8, channels, 3, 3)
    shapes |= _weights("decoder.conv_in", channels, 4, 3, 3) | _kl_middle("decoder", channels)
    for level in reversed(range(len(widths))):
        for block in range(blocks + 1):
            shapes |= _plain_resnet(f"decoder.up.{level}.block.{block}", channels, widths[level])
            channels = widths[level]
        if level:
            shapes |= _weights(f"decoder.up.{level}.upsample.conv", channels, channels, 3, 3)
    return shapes | _norm("decoder.norm_out", channels) | _weights("decoder.conv_out", 3, channels, 3, 3)


def _kl_middle(part: str, width: int) -> Shapes:
    shapes = _norm(f"{part}.mid.attn_1.norm", width)
    for name in ("q", "k", "v", "proj_out"):
        shapes |= _weights(f"{part}.mid.attn_1.{name}", width, width, 1, 1)
    for block in ("block_1", "block_2"):
        shapes |= _plain_resnet(f"{part}.mid.{block}", width, width)
    return shapes


def _plain_resnet(name: str, before: int, after: int) -> Shapes:
    shapes = _norm(f"{name}.norm1", before) | _weights(f"{name}.conv1", after, before, 3, 3)
    shapes |= _norm(f"{name}.norm2", after) | _weights(f"{name}.conv2", after, after, 3, 3)
    return shapes | (_weights(f"{name}.nin_shortcut", after, before, 1, 1) if before != after else {})


def taesd(width: int) -> Shapes:
    """Tiny autoencoder: four levels of 1, 3, 3, 3 blocks down and 3, 3, 3, 1 up."""
    encoder, decoder = "taesd_encoder", "taesd_decoder"
    shapes = _weights(f"{encoder}.0", width, 3, 3, 3) | _weights(f"{encoder}.14", 4, width, 3, 3)
    shapes |= _weights(f"{decoder}.1", width, 4, 3, 3) | _weights(f"{decoder}.19", 3, width, 3, 3)
    for layer in (f"{encoder}.{number}" for number in (1, 3, 4, 5, 7, 8, 9, 11, 12, 13)):
        shapes |= _block(layer, width)
    for layer in (f"{decoder}.{number}" for number in (3, 4, 5, 8, 9, 10, 13, 14, 15, 18)):
        shapes |= _block(layer, width)
    plain = [f"{encoder}.{number}" for number in (2, 6, 10)] + [f"{decoder}.{number}" for number in (7, 12, 17)]
    return shapes | {f"{layer}.weight": (width, width, 3, 3) for layer in plain}


def _block(name: str, width: int) -> Shapes:
    shapes: Shapes = {}
    for conv in (0, 2, 4):
        shapes |= _weights(f"{name}.conv.{conv}", width, width, 3, 3)
    return shapes


def _weights(name: str, *shape: int) -> Shapes:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def _norm(name: str, width: int) -> Shapes:
    return _weights(name, width)
