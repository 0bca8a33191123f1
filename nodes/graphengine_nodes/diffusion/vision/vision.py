"""The CLIP_VISION value: pictures → what an image encoder sees in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, interpolate

from graphengine.node.api import GraphEngineError, ModelError
from graphengine_nodes.diffusion.weights.broken_weights import check_result
from graphengine_nodes.diffusion.weights.build import quiet
from graphengine_nodes.diffusion.weights.weights import Component

from .layout import VisionConfig


@dataclass(eq=False)
class VisionOutput:
    """The CLIP_VISION_OUTPUT value, float32 on the CPU; each can be asked for by attribute or by name.

    last_hidden_state: (B, N, D), of every square of the pictures, for CLIP after one of the whole picture.
    penultimate_hidden_states: the same one layer earlier. image_embeds: (B, P) for CLIP; for SigLIP its states.
    mm_projected: (B, N, Q), from an encoder with LLaVA's projector. image_sizes: (C, H, W) of each scaled picture.
    """

    last_hidden_state: Tensor | None = None
    penultimate_hidden_states: Tensor | None = None
    image_embeds: Tensor | None = None
    mm_projected: Tensor | None = None
    image_sizes: list[tuple[int, ...]] | None = None

    # Any: what packs ask for and put there under names of their own.
    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self, name, value)


@dataclass(frozen=True, slots=True, eq=False)
class ClipVision:
    """The CLIP_VISION value; file is the name of its file, for errors."""

    component: Component
    config: VisionConfig
    file: str = ""

    @property
    def image_size(self) -> int:
        """The side of the square that pictures are scaled to."""
        return self.config.image_size

    @property
    def image_mean(self) -> tuple[float, float, float]:
        """What the colours of a picture are lessened by."""
        return self.config.mean

    @property
    def image_std(self) -> tuple[float, float, float]:
        """What they are divided by then."""
        return self.config.deviation

    @torch.no_grad()
    def encode_image(self, image: Tensor, crop: bool = True) -> VisionOutput:
        """What the encoder sees in IMAGE (B, H, W, C) in 0..1, cropped to a square or squeezed into one.

        Raises:
            GraphEngineError: the picture has another shape.
            ModelError: the weights of the encoder are broken.
        """
        check_image(image)
        pixels = preprocess(image.float(), self.image_size, self.image_mean, self.image_std, crop=crop)
        tower: Any = self.component.ready()
        last, penultimate, embeds, projected = tower(pixels.to(self.component.device, self.component.dtype))
        check_result(embeds, self.component, self.file)
        return VisionOutput(
            last_hidden_state=last.float().cpu(),
            penultimate_hidden_states=penultimate.float().cpu(),
            image_embeds=embeds.float().cpu(),
            mm_projected=None if projected is None else projected.float().cpu(),
            image_sizes=[tuple(pixels.shape[1:])] * len(pixels),
        )


def require_vision(vision: ClipVision | None) -> ClipVision:
    """The CLIP_VISION given to a node.

    Raises:
        ModelError: the checkpoint had none.
    """
    if vision is None:
        raise ModelError(
            "the checkpoint holds no image encoder, so there is no CLIP_VISION",
            hint="load one with the node CLIPVisionLoader and connect it here",
        )
    return vision


def check_image(image: Tensor) -> None:
    """Raises GraphEngineError unless the picture is (B, H, W, 3 or more), with something in it."""
    if image.ndim != 4 or image.shape[-1] < 3 or not image.numel():
        raise GraphEngineError(f"an image encoder sees pictures of shape (B, H, W, 3), not {list(image.shape)}")


def preprocess(
    image: Tensor, size: int, mean: Sequence[float], deviation: Sequence[float], *, crop: bool = True
) -> Tensor:
    """IMAGE (B, H, W, C) in 0..1 as an encoder takes it: (B, 3, size, size), scaled, in whole 255ths, normalised.

    Pictures are scaled bicubically with antialiasing, unless they have the size. With `crop` the middle square of
    the scaled picture is taken, else it is squeezed into a square.
    """
    pixels = image[..., :3].movedim(-1, 1)
    height, width = pixels.shape[-2:]
    if (height, width) != (size, size):
        scale = size / min(height, width)
        wanted = (round(scale * height), round(scale * width)) if crop else (size, size)
        pixels = interpolate(pixels, size=wanted, mode="bicubic", antialias=True)
        top, left = ((side - size) // 2 for side in pixels.shape[-2:])
        pixels = pixels[..., top : top + size, left : left + size]
    pixels = (255.0 * pixels).clamp(0, 255).round() / 255.0
    middle, scale_of = (torch.tensor(values, device=pixels.device).view(3, 1, 1) for values in (mean, deviation))
    return (pixels - middle) / scale_of


class VisionTower(nn.Module):
    """An image encoder of these sizes with its projections."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.siglip = config.siglip
        self.vision_model = _siglip(config) if config.siglip else _clip(config)
        self.visual_projection = _projection(config)
        self.multi_modal_projector = (
            None if config.projector is None else Projector(config.width, config.projector)
        )

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """The states of the last layer and of the one before, the embedding, and the projected states if any."""
        output = self.vision_model(pixel_values=pixels, output_hidden_states=True)
        last, penultimate = output.last_hidden_state, output.hidden_states[-2]
        embeds = last if self.siglip else output.pooler_output
        if self.visual_projection is not None:
            embeds = self.visual_projection(embeds)
        projector = self.multi_modal_projector
        return last, penultimate, embeds, None if projector is None else projector(penultimate)


class Projector(nn.Module):
    """LLaVA's map from states of squares (B, 1 + N, D) to vectors of a language model (B, N, Q)."""

    def __init__(self, width: int, wanted: int) -> None:
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(width, wanted), nn.Linear(wanted, wanted)

    def forward(self, states: Tensor) -> Tensor:
        """The vectors."""
        vectors: Tensor = self.linear_2(gelu(self.linear_1(states[:, 1:])))
        return vectors


class _Transposed(nn.Module):
    """A linear map whose matrix is stored as (inputs, outputs)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight


def _projection(config: VisionConfig) -> nn.Module | None:
    if config.projection is None:
        return None
    if config.transposed:
        return _Transposed(config.width, config.projection)
    return nn.Linear(config.width, config.projection, bias=False)


def _sizes(config: VisionConfig) -> dict[str, Any]:  # Any: options of transformers are of many types
    return {
        "hidden_size": config.width,
        "intermediate_size": config.inner_width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "image_size": config.image_size,
        "patch_size": config.patch,
        "hidden_act": config.activation,
        "attn_implementation": "sdpa",
    }


def _clip(config: VisionConfig) -> Any:
    with quiet():
        from transformers import CLIPVisionConfig, CLIPVisionModel  # heavy: seconds to import

    return CLIPVisionModel(CLIPVisionConfig(**_sizes(config)))


def _siglip(config: VisionConfig) -> Any:
    with quiet():
        from transformers import SiglipVisionConfig, SiglipVisionModel  # heavy: seconds to import

    return SiglipVisionModel(SiglipVisionConfig(**_sizes(config), vision_use_head=False))
