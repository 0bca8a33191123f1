"""Tiny files that are applied to a model of a family: LoRAs, ControlNets, hypernetworks and the like."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from tests.nodes.diffusion import (
    control_cases,
    test_diffsynth,
    test_hypernetworks,
    test_upscale,
    tiny_cascade,
    tiny_dit,
)

from .checkpoints import GLIGEN_TEXT
from .encoders import CLIP_G, CLIP_L, T5

_MOST_PAIRS = 24


def lora(path: Path, model: Path) -> None:
    """A LoRA of rank 2 for some layers of a model's file, under the names of kohya."""
    with safe_open(model, framework="pt") as file:
        names = list(file.keys())
        shapes = {name: file.get_slice(name).get_shape() for name in names}
    layers = [name for name, shape in shapes.items() if len(shape) == 2 and name.endswith("attn.to_q.weight")]
    wide = [name for name, shape in shapes.items() if len(shape) == 2 and name.startswith(tiny_dit.PREFIX)]
    generator, tensors = torch.Generator().manual_seed(2), {}
    for name in (layers or wide or list(shapes))[:_MOST_PAIRS]:
        rows, columns = shapes[name]
        stem = "lora_unet_" + name.removeprefix(tiny_dit.PREFIX).removesuffix(".weight").replace(".", "_")
        tensors[f"{stem}.lora_up.weight"] = torch.randn(rows, 2, generator=generator) * 0.01
        tensors[f"{stem}.lora_down.weight"] = torch.randn(2, columns, generator=generator) * 0.1
        tensors[f"{stem}.alpha"] = torch.tensor(2.0)
    save_file(tensors, path)


def control(path: Path) -> None:
    """A ControlNet of SD1 in its authors' layout."""
    save_file(control_cases.weights(control_cases.control_shapes(context=CLIP_L)), path)


def control_of_sd3(path: Path) -> None:
    """A ControlNet of SD3 in the layout of diffusers."""
    sizes = {
        "sample_size": 16,
        "pos_embed_max_size": 16,
        "num_layers": 2,
        "num_attention_heads": 2,
        "joint_attention_dim": T5,
        "caption_projection_dim": 128,
        "pooled_projection_dim": CLIP_L + CLIP_G,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # importing diffusers warns of other libraries' old names
        from diffusers import SD3ControlNetModel
    save_file(_random(SD3ControlNetModel(**sizes)), path)


def control_of_cascade(path: Path) -> None:
    """A ControlNet of Stable Cascade's stage C."""
    save_file(tiny_cascade.control().state_dict(), path)


def adapter(path: Path) -> None:
    """A T2I adapter of SD1."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # importing diffusers warns of other libraries' old names
        from diffusers import T2IAdapter
    channels = list(control_cases.WIDTHS)
    save_file(_random(T2IAdapter(in_channels=3, channels=channels, adapter_type="full_adapter")), path)


def gligen(path: Path) -> None:
    """GLIGEN for SD1 with text states 768 wide."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # importing diffusers warns of other libraries' old names
        from diffusers import UNet2DConditionModel

        from tests.nodes.diffusion.test_gligen import in_authors_names

        sizes: dict[str, Any] = {**control_cases.SIZES, "cross_attention_dim": GLIGEN_TEXT}
        ups = ("UpBlock2D", *["CrossAttnUpBlock2D"] * 3)
        unet = UNet2DConditionModel(**sizes, up_block_types=ups, attention_type="gated")
    save_file(in_authors_names(_random(unet)), path)


def hypernetwork(path: Path) -> None:
    """A hypernetwork for text states as wide as those of CLIP-L."""
    save_file(test_hypernetworks.tensors(CLIP_L, 32), path)


def diffsynth(path: Path) -> None:
    """A ControlNet of DiffSynth for Qwen-Image, its states 64 wide."""
    tiny_dit.write(path, test_diffsynth.shapes())


def embedding(path: Path) -> None:
    """A textual inversion of two tokens for CLIP-L."""
    save_file({"emb_params": torch.randn(2, CLIP_L, generator=torch.Generator().manual_seed(4)) * 0.1}, path)


def _random(module: nn.Module) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(6)
    return {
        name: torch.randn(value.shape, generator=generator) * 0.05
        + (1 if "norm" in name and value.ndim < 2 else 0)
        for name, value in module.state_dict().items()
    }


def _upscaler(scale: int) -> Callable[[Path], object]:
    state = test_upscale.rrdb(unshuffle=4 // scale)
    return lambda path: save_file(state, path)


UPSCALERS: tuple[tuple[str, Callable[[Path], object]], ...] = ((r"x2|2x", _upscaler(2)), (r"", _upscaler(4)))
"""Patterns of names of upscale models and their makers."""

CONTROLS: tuple[tuple[str, Callable[[Path], object]], ...] = (
    (r"t2i_?adapter", adapter),
    (r"sd3", control_of_sd3),
    (r"cascade", control_of_cascade),
    (r"", control),
)
"""Patterns of names of ControlNets and adapters and their makers."""
