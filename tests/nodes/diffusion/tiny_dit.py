"""Shapes of diffusion transformers in the layouts of their files, of any size, and files with random weights.

Written from the structure of the published files, not from the loader's tables, so that the two check each other.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from .ldm_layout import Shapes

PREFIX = "model.diffusion_model."


def write(path: Path, shapes: Shapes, *, prefix: str = "", dtype: torch.dtype = torch.float32) -> Path:
    """A file of random weights under a prefix."""
    weights = random_weights(shapes, dtype)
    save_file({prefix + name: value for name, value in weights.items()}, path)
    return path


def random_weights(shapes: Shapes, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Weights that keep activations finite and make every part count, the same at each call."""
    generator = torch.Generator().manual_seed(11)
    tensors = {}
    for name, shape in shapes.items():
        values = torch.randn(shape, generator=generator)
        if len(shape) > 1 and not name.endswith(("modulation", "table", "gamma")):
            values *= values[0].numel() ** -0.5
        else:
            values = 0.1 * values + (1 if name.endswith(("weight", "scale", "gamma")) else 0)
        tensors[name] = values.to(dtype)
    return tensors


def sd3(
    width: int = 128, blocks: int = 3, *, dual: int = 0, norm: bool = False, text: int = 64, pooled: int = 96
) -> Shapes:
    """SD3; dual: so many blocks with a second attention, norm: normalised queries and keys, as in SD3.5."""
    shapes: Shapes = {"pos_embed": (1, 16 * 16, width)}
    shapes |= linear("x_embedder.proj", width, 16, 2, 2) | linear("context_embedder", width, text)
    shapes |= mlp("t_embedder.mlp", "0", "2", 256, width, width) | mlp(
        "y_embedder.mlp", "0", "2", pooled, width, width
    )
    for number in range(blocks):
        name = f"joint_blocks.{number}"
        twice = number < dual
        shapes |= linear(f"{name}.x_block.adaLN_modulation.1", (9 if twice else 6) * width, width)
        shapes |= mlp(f"{name}.x_block.mlp", "fc1", "fc2", width, 4 * width, width)
        for attention in ("attn", "attn2") if twice else ("attn",):
            shapes |= _sd3_attention(f"{name}.x_block.{attention}", width, norm, last=False)
        last = number == blocks - 1
        shapes |= linear(f"{name}.context_block.adaLN_modulation.1", (2 if last else 6) * width, width)
        shapes |= _sd3_attention(f"{name}.context_block.attn", width, norm, last=last)
        if not last:
            shapes |= mlp(f"{name}.context_block.mlp", "fc1", "fc2", width, 4 * width, width)
    shapes |= linear("final_layer.adaLN_modulation.1", 2 * width, width)
    return shapes | linear("final_layer.linear", 64, width)


def _sd3_attention(name: str, width: int, norm: bool, *, last: bool) -> Shapes:
    shapes = linear(f"{name}.qkv", 3 * width, width) | ({} if last else linear(f"{name}.proj", width, width))
    return shapes | ({f"{name}.ln_{part}.weight": (64,) for part in "qk"} if norm else {})


def flux(
    width: int = 64,
    double: int = 2,
    single: int = 2,
    *,
    channels: int = 16,
    guided: bool = True,
    text: int = 48,
    pooled: int = 40,
) -> Shapes:
    """Flux.1 with heads of 32; channels: of the input, 96 for Fill, 32 for Canny and Depth."""
    shapes = linear("img_in", width, 4 * channels) | linear("txt_in", width, text)
    for name, size in (("time_in", 256), ("vector_in", pooled), *([("guidance_in", 256)] if guided else [])):
        shapes |= mlp(name, "in_layer", "out_layer", size, width, width)
    shapes |= flux_blocks(width, double, single)
    for number in range(double):
        for stream in ("img", "txt"):
            shapes |= linear(f"double_blocks.{number}.{stream}_mod.lin", 6 * width, width)
    for number in range(single):
        shapes |= linear(f"single_blocks.{number}.modulation.lin", 3 * width, width)
    return shapes | linear("final_layer.adaLN_modulation.1", 2 * width, width)


def flux_blocks(width: int, double: int, single: int, head: int = 32) -> Shapes:
    """What Flux and Chroma have alike."""
    shapes = linear("final_layer.linear", 64, width)
    for number in range(double):
        for stream in ("img", "txt"):
            name = f"double_blocks.{number}.{stream}"
            shapes |= linear(f"{name}_attn.qkv", 3 * width, width) | linear(f"{name}_attn.proj", width, width)
            shapes |= {f"{name}_attn.norm.{part}_norm.scale": (head,) for part in ("query", "key")}
            shapes |= mlp(f"{name}_mlp", "0", "2", width, 4 * width, width)
    for number in range(single):
        name = f"single_blocks.{number}"
        shapes |= linear(f"{name}.linear1", 7 * width, width) | linear(f"{name}.linear2", width, 5 * width)
        shapes |= {f"{name}.norm.{part}_norm.scale": (head,) for part in ("query", "key")}
    return shapes


def qwen_image(width: int = 64, blocks: int = 2, *, text: int = 48) -> Shapes:
    """Qwen-Image with heads of 32."""
    shapes = linear("img_in", width, 64) | linear("txt_in", width, text) | {"txt_norm.weight": (text,)}
    shapes |= mlp("time_text_embed.timestep_embedder", "linear_1", "linear_2", 256, width, width)
    for number in range(blocks):
        name = f"transformer_blocks.{number}"
        for part in ("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"):
            shapes |= linear(f"{name}.attn.{part}", width, width)
        shapes |= {f"{name}.attn.norm_{part}.weight": (32,) for part in ("q", "k", "added_q", "added_k")}
        for stream in ("img", "txt"):
            shapes |= mlp(f"{name}.{stream}_mlp.net", "0.proj", "2", width, 4 * width, width)
            shapes |= linear(f"{name}.{stream}_mod.1", 6 * width, width)
    return shapes | linear("norm_out.linear", 2 * width, width) | linear("proj_out", 64, width)


def wan(
    width: int = 128, blocks: int = 2, *, channels: int = 16, out: int = 16, image: int = 0, text: int = 48
) -> Shapes:
    """Wan; channels: of the input, 36 for image to video; image: the width of CLIP vision, 0 without."""
    shapes = linear("patch_embedding", width, channels, 1, 2, 2)
    shapes |= mlp("text_embedding", "0", "2", text, width, width) | mlp(
        "time_embedding", "0", "2", 256, width, width
    )
    shapes |= linear("time_projection.1", 6 * width, width)
    for number in range(blocks):
        name = f"blocks.{number}"
        for attention in ("self_attn", "cross_attn"):
            for part in "qkvo":
                shapes |= linear(f"{name}.{attention}.{part}", width, width)
            shapes |= {f"{name}.{attention}.norm_{part}.weight": (width,) for part in "qk"}
        if image:
            for part in ("k_img", "v_img"):
                shapes |= linear(f"{name}.cross_attn.{part}", width, width)
            shapes |= {f"{name}.cross_attn.norm_k_img.weight": (width,)}
        shapes |= mlp(f"{name}.ffn", "0", "2", width, 2 * width, width) | linear(f"{name}.norm3", width)
        shapes |= {f"{name}.modulation": (1, 6, width)}
    if image:
        shapes |= linear("img_emb.proj.0", image) | linear("img_emb.proj.1", image, image)
        shapes |= linear("img_emb.proj.3", width, image) | linear("img_emb.proj.4", width)
    return shapes | {"head.modulation": (1, 2, width)} | linear("head.head", 4 * out, width)


def wan_camera(width: int = 128, blocks: int = 1, *, pixels: int = 8) -> Shapes:
    """What Wan Fun Camera has beside; pixels: per cell of the latent."""
    shapes = linear("control_adapter.conv", width, 24 * pixels**2, 2, 2)
    for number in range(blocks):
        for part in ("conv1", "conv2"):
            shapes |= linear(f"control_adapter.residual_blocks.{number}.{part}", width, width, 3, 3)
    return shapes


def wan_vace(width: int = 128, blocks: int = 1) -> Shapes:
    """What Wan VACE has beside."""
    own = wan(width, blocks)
    shapes = {f"vace_{name}": shape for name, shape in own.items() if name.startswith("blocks.")}
    shapes |= linear("vace_patch_embedding", width, 96, 1, 2, 2) | linear(
        "vace_blocks.0.before_proj", width, width
    )
    for number in range(blocks):
        shapes |= linear(f"vace_blocks.{number}.after_proj", width, width)
    return shapes


def linear(name: str, *shape: int) -> Shapes:
    """A linear layer or convolution with a bias; a norm when only one size is given."""
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def mlp(name: str, first: str, second: str, into: int, inner: int, out: int) -> Shapes:
    """Two linear layers by their names."""
    return linear(f"{name}.{first}", inner, into) | linear(f"{name}.{second}", out, inner)
