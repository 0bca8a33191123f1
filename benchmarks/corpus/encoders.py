"""Tiny text encoders and image encoders in the layouts of their files."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.nodes.diffusion import tiny_dit, tiny_models, tiny_text
from tests.nodes.diffusion.ldm_layout import Shapes
from tests.nodes.diffusion.test_control_nodes import visual_tower

CLIP_L, CLIP_G, T5, LANGUAGE = 64, 128, 256, 64
"""Widths of the text encoders; T5 is not narrower than both CLIP towers side by side."""

SEEN = 32
"""Width of the states of image encoders."""

_LLAMA_WORDS = 128256
_VISION: dict[str, Any] = {
    "hidden_size": SEEN,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 16,
    "image_size": 28,
    "patch_size": 14,
}

open_vision: Callable[..., dict[str, Tensor]] = partial(visual_tower)
"""CLIP's vision tower in the layout of OpenCLIP; arguments: prefix, width of its states or of what it gives."""


def clip_vision(path: Path, given: int) -> None:
    """CLIP's vision tower in the layout of transformers; given: the width of what it gives for a picture."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # importing transformers warns of other libraries' old names
        from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection
    config = CLIPVisionConfig(**_VISION, projection_dim=given, hidden_act="quick_gelu")
    _write(path, CLIPVisionModelWithProjection(config))


def siglip(path: Path) -> None:
    """SigLIP's vision tower."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # importing transformers warns of other libraries' old names
        from transformers import SiglipVisionConfig, SiglipVisionModel
    config = SiglipVisionConfig(**_VISION, vision_use_head=False, hidden_act="gelu_pytorch_tanh")
    _write(path, SiglipVisionModel(config))


def _write(path: Path, module: Any) -> None:
    generator, state = torch.Generator().manual_seed(5), {}
    for name, value in module.named_parameters():
        inside = "" if name.startswith(("vision_model.", "visual_projection.")) else "vision_model."
        state[inside + name] = torch.randn(value.shape, generator=generator) * 0.2
    save_file(state, path)


def redux(path: Path) -> None:
    """Flux Redux: what SigLIP sees becomes text states."""
    sizes = {"up.weight": (96, SEEN), "up.bias": (96,), "down.weight": (T5, 96), "down.bias": (T5,)}
    tiny_dit.write(path, {f"redux_{name}": shape for name, shape in sizes.items()})


def _text(shapes: Shapes) -> Callable[[Path], object]:
    return lambda path: tiny_dit.write(path, shapes)


TEXT_ENCODERS: tuple[tuple[str, Callable[[Path], object]], ...] = (
    (r"clip_g", tiny_models.clip_g_file),
    (r"clip_h", tiny_models.clip_h_file),
    (r"clip_?l", tiny_models.clip_l_file),
    (r"umt5", _text(tiny_text.t5(LANGUAGE, words=tiny_text.UMT5_WORDS, own_positions=True))),
    (r"oldt5|t5.*old", _text(tiny_text.t5(T5, gated=False))),
    (r"t5", _text(tiny_text.t5(T5))),
    (r"qwen_?2\.?5_vl", _text(tiny_text.language_model(bias=True) | tiny_text.qwen_vision())),
    (r"qwen_?3", _text(tiny_text.language_model(norms=True))),
    (r"llama|llava", _text(tiny_text.language_model(words=_LLAMA_WORDS))),
    (r"gemma", _text(tiny_text.gemma2(words=tiny_text.T5_WORDS))),
    (r"", tiny_models.clip_l_file),
)
"""Patterns of names of text encoders and their makers; the first that is found counts."""

IMAGE_ENCODERS: tuple[tuple[str, Callable[[Path], object]], ...] = (
    (r"siglip|sigclip", siglip),
    (r"_g\b|bigg", partial(clip_vision, given=CLIP_G)),
    (r"", partial(clip_vision, given=CLIP_L)),
)
"""Patterns of names of image encoders and their makers."""
