"""Stable Cascade in the layout of its files, of small sizes: stages C, B and A, its VAE and its checkpoints."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from . import ldm_layout
from .diffusers_oracle import module
from .tiny_models import prefixed

TEXT, SEEN = 128, 64
"""Widths of CLIP-G's states and of what CLIP-L sees."""

RESIDUAL, TIME, ATTENTION = "SDCascadeResBlock", "SDCascadeTimestepBlock", "SDCascadeAttnBlock"
STAGE_C: dict[str, Any] = {
    "conditioning_dim": 32,
    "block_out_channels": (64, 64),
    "num_attention_heads": (1, 1),
    "down_num_layers_per_block": (1, 2),
    "up_num_layers_per_block": (2, 1),
    "clip_text_in_channels": TEXT,
    "clip_text_pooled_in_channels": TEXT,
    "clip_image_in_channels": SEEN,
    "switch_level": (False,),
}
STAGE_B: dict[str, Any] = {
    "in_channels": 4,
    "out_channels": 4,
    "patch_size": 2,
    "conditioning_dim": 32,
    "block_out_channels": (16, 64),
    "num_attention_heads": (-1, 1),
    "down_num_layers_per_block": (1, 2),
    "up_num_layers_per_block": (2, 1),
    "down_blocks_repeat_mappers": (1, 1),
    "up_blocks_repeat_mappers": (3, 2),
    "block_types_per_layer": ((RESIDUAL, TIME), (RESIDUAL, TIME, ATTENTION)),
    "clip_text_pooled_in_channels": TEXT,
    "effnet_in_channels": 16,
    "pixel_mapper_in_channels": 3,
    "timestep_conditioning_type": ("sca",),
}


def random(made: nn.Module, seed: int = 5) -> Any:
    """The module with weights of about equal effect, in evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in made.state_dict().items():
        if value.is_floating_point():
            one = 1.0 if name.endswith(("running_var", "norm.weight")) else 0.0
            scale = 0.1 if value.ndim < 2 or name.endswith(("gamma", "beta")) else value[0].numel() ** -0.5
            noise = torch.randn(value.shape, generator=generator) * scale
            value.copy_(noise.abs() + one if name.endswith("running_var") else noise + one)
    return made.eval().requires_grad_(False)


def stage_c(**sizes: Any) -> Any:
    """diffusers' network of stage C."""
    return random(module("StableCascadeUNet", None, **{**STAGE_C, **sizes}))


def stage_b(**sizes: Any) -> Any:
    """diffusers' network of stage B."""
    return random(module("StableCascadeUNet", None, **{**STAGE_B, **sizes}))


def in_authors_names(made: Any) -> dict[str, Tensor]:
    """A network of diffusers as its authors' files have it: queries, keys and values in one tensor."""
    given, named = made.state_dict(), {}
    for name, value in given.items():
        if found := re.fullmatch(r"(.+\.attention)\.to_q\.(weight|bias)", name):
            parts = [given[f"{found[1]}.to_{part}.{found[2]}"] for part in "qkv"]
            named[f"{found[1]}.attn.in_proj_{found[2]}"] = torch.cat(parts)
        elif ".attention.to_out.0." in name:
            named[name.replace(".to_out.0.", ".attn.out_proj.")] = value
        elif ".attention.to_" not in name:
            stage_b = name.startswith("clip_txt_pooled_mapper") and "clip_txt_mapper.weight" not in given
            named[name.replace("clip_txt_pooled_mapper", "clip_mapper") if stage_b else name] = value
    return {name: value.contiguous() for name, value in named.items()}


def stage_a() -> Any:
    """diffusers' stage A."""
    with torch.random.fork_rng():
        from diffusers.pipelines.deprecated.wuerstchen import PaellaVQModel

        return random(PaellaVQModel(embed_dim=32, bottleneck_blocks=2, num_vq_embeddings=8))


def stage_a_file(made: Any) -> dict[str, Tensor]:
    """Stage A as its authors' file has it."""
    return {
        name.replace("embedding.weight", "codebook.weight"): value for name, value in made.state_dict().items()
    }


class Excited(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(width, inner, 1), nn.Conv2d(inner, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        scale: Tensor = torch.sigmoid(
            self.fc2(nn.functional.silu(self.fc1(nn.functional.adaptive_avg_pool2d(x, 1))))
        )
        return x * scale


class Detour(nn.Module):
    """x + block(x)."""

    def __init__(self, *layers: nn.Module, detour: bool = False) -> None:
        super().__init__()
        self.block, self.detour = nn.Sequential(*layers), detour

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.block(x)
        return x + made if self.detour else made


def layer(
    inputs: int, width: int, kernel: int, stride: int = 1, groups: int = 1, *, act: bool = True
) -> nn.Module:
    """Convolution, norm, SiLU."""
    conv = nn.Conv2d(inputs, width, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(width, eps=1e-3), *([nn.SiLU()] if act else []))


def efficient_net(channels: int = 3) -> nn.Sequential:
    """EfficientNetV2-S with narrow stages of one or two blocks, in the names of torchvision."""

    def fused(inputs: int, width: int, stride: int) -> nn.Module:
        layers = layer(inputs, 4 * inputs, 3, stride), layer(4 * inputs, width, 1, act=False)
        return Detour(*layers, detour=stride == 1 and inputs == width)

    def separate(inputs: int, width: int, stride: int) -> nn.Module:
        inner = 4 * inputs
        return Detour(
            layer(inputs, inner, 1),
            layer(inner, inner, 3, stride, inner),
            Excited(inner, 4),
            layer(inner, width, 1, act=False),
            detour=stride == 1 and inputs == width,
        )

    return nn.Sequential(
        layer(channels, 8, 3, 2),
        nn.Sequential(Detour(layer(8, 8, 3), detour=True)),
        nn.Sequential(fused(8, 12, 2), fused(12, 12, 1)),
        nn.Sequential(fused(12, 16, 2)),
        nn.Sequential(separate(16, 20, 2), separate(20, 20, 1)),
        nn.Sequential(separate(20, 24, 1)),
        nn.Sequential(separate(24, 24, 2)),
        layer(24, 40, 1),
    )


def effnet_encoder() -> Any:
    """The encoder that comes with stage C."""
    whole = nn.Module()
    whole.backbone = efficient_net()
    whole.mapper = nn.Sequential(nn.Conv2d(40, 16, 1, bias=False), nn.BatchNorm2d(16, affine=False))
    return random(whole)


def previewer() -> Any:
    """The decoder of previews that comes with stage C."""
    widths = (32, 16, 8, 8)
    layers: list[nn.Module] = [nn.Conv2d(16, 32, 1), nn.GELU(), nn.BatchNorm2d(32)]
    layers += [nn.Conv2d(32, 32, 3, padding=1), nn.GELU(), nn.BatchNorm2d(32)]
    for before, after in pairwise(widths):
        layers += [nn.ConvTranspose2d(before, after, 2, stride=2), nn.GELU(), nn.BatchNorm2d(after)]
        layers += [nn.Conv2d(after, after, 3, padding=1), nn.GELU(), nn.BatchNorm2d(after)]
    whole = nn.Module()
    whole.blocks = nn.Sequential(*layers, nn.Conv2d(8, 3, 1))
    return random(whole)


def control(channels: int = 3) -> Any:
    """A ControlNet of stage C as it is here, with two projections of the eight."""
    whole = nn.Module()
    whole.backbone = efficient_net(channels)
    layers = [nn.Conv2d(40, 40, 1, bias=False), nn.LeakyReLU(0.2), nn.Conv2d(40, 64, 1, bias=False)]
    more = [nn.Conv2d(40, 40, 1, bias=False), nn.LeakyReLU(0.2), nn.Conv2d(40, 64, 1, bias=False)]
    whole.projections = nn.ModuleList([nn.Sequential(*layers), nn.Sequential(*more)])
    return random(whole)


def clip_g() -> dict[str, Tensor]:
    """CLIP-G under the names of stage C's checkpoint."""
    shapes = prefixed("text_encoder.transformer.text_model.", ldm_layout.clip(TEXT, 2))
    return ldm_layout.random_weights({**shapes, "text_encoder.text_projection.weight": (TEXT, TEXT)})


def image_encoder() -> dict[str, Tensor]:
    """CLIP-L's vision tower under the names of stage C's checkpoint."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 16}
    config = CLIPVisionConfig(**sizes, image_size=28, patch_size=14, projection_dim=SEEN)
    state = random(CLIPVisionModelWithProjection(config)).state_dict()
    return {f"clip_l_vision.{name}": value for name, value in state.items() if "position_ids" not in name}


def stage_c_checkpoint(path: Path) -> Path:
    """The checkpoint of stage C: network, CLIP-G, CLIP-L's vision tower, encoder and preview decoder."""
    tensors = {f"model.diffusion_model.{name}": value for name, value in in_authors_names(stage_c()).items()}
    tensors |= {f"vae.encoder.{name}": value for name, value in effnet_encoder().state_dict().items()}
    tensors |= {f"vae.previewer.{name}": value for name, value in previewer().state_dict().items()}
    save_file({**tensors, **clip_g(), **image_encoder()}, path)
    return path


def stage_b_checkpoint(path: Path) -> Path:
    """The checkpoint of stage B: network and stage A."""
    tensors = {f"model.diffusion_model.{name}": value for name, value in in_authors_names(stage_b()).items()}
    save_file({**tensors, **{f"vae.{name}": value for name, value in stage_a_file(stage_a()).items()}}, path)
    return path
