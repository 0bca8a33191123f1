"""The STYLE_MODEL value: what an image encoder saw, as further tokens of a text conditioning.

Two kinds are known: Flux Redux, two linear layers over the states of SigLIP, and the style adapter of T2I-Adapter
(Mou et al. 2023), a small transformer over the states of CLIP.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from graphengine.node.api import GraphEngineError, ModelError
from graphengine_nodes.diffusion.model.model import Conditioning
from graphengine_nodes.diffusion.vision.vision import VisionOutput
from graphengine_nodes.diffusion.weights.build import assign_weights, quiet
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint
from graphengine_nodes.diffusion.weights.weights import Component, plain_sources

_HEADS = 8
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class StyleModel:
    """The STYLE_MODEL value. width: that of the states that it reads."""

    file: str
    component: Component
    width: int

    @torch.no_grad()
    def get_cond(self, output: VisionOutput) -> Tensor:
        """Tokens (B, T, D) for what the encoder saw; float32 on the CPU.

        Raises:
            GraphEngineError: the image encoder is not the one that the model was made for.
        """
        states = output.last_hidden_state
        if states is None or states.shape[-1] != self.width:
            given = "none" if states is None else f"states of width {states.shape[-1]}"
            raise GraphEngineError(
                f"style model {self.file!r} reads states of width {self.width}, the CLIP_VISION gives {given}",
                hint="Redux needs SigLIP (sigclip_vision_patch14_384), the style adapter of SD1.x CLIP's ViT-L",
            )
        module = self.component.ready()
        tokens: Tensor = module(states.to(self.component.device, self.component.dtype))
        return tokens.float().cpu()


class Redux(nn.Module):
    """Flux Redux: states (B, N, W) → text states (B, N, D)."""

    def __init__(self, width: int, inner: int, text: int) -> None:
        super().__init__()
        self.redux_up, self.redux_down = nn.Linear(width, inner), nn.Linear(inner, text)

    def forward(self, states: Tensor) -> Tensor:
        """The text states."""
        tokens: Tensor = self.redux_down(silu(self.redux_up(states)))
        return tokens


class QuickGELU(nn.Module):
    """x sigmoid(1.702 x), an approximation of the GELU; Hendrycks and Gimpel (2016)."""

    def forward(self, x: Tensor) -> Tensor:
        """Shaped like x."""
        return x * torch.sigmoid(1.702 * x)


class StyleAdapter(nn.Module):
    """The style adapter of T2I-Adapter: states (B, N, W) → text states (B, T, D)."""

    def __init__(self, width: int, tokens: int, layers: int, text: int) -> None:
        super().__init__()
        with quiet():
            from diffusers.models.controlnets.controlnet_union import (  # heavy: seconds to import
                ResidualAttentionBlock,
            )

        self.style_embedding = nn.Parameter(torch.empty(1, tokens, width))
        blocks: list[Any] = [ResidualAttentionBlock(width, _HEADS) for _ in range(layers)]
        for block in blocks:
            block.mlp.gelu = QuickGELU()
        self.transformer_layes = nn.ModuleList(blocks)  # the name is that in the files
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.empty(width, text))

    def forward(self, states: Tensor) -> Tensor:
        """The text states: what becomes of the learnt tokens that follow the states."""
        learnt = self.style_embedding.expand(len(states), -1, -1)
        x = self.ln_pre(torch.cat([states, learnt], dim=1)).transpose(0, 1)  # attention is over dimension 0
        for block in self.transformer_layes:
            x = block(x)
        tokens: Tensor = self.ln_post(x.transpose(0, 1)[:, -learnt.shape[1] :]) @ self.proj
        return tokens


def load_style_model(checkpoint: Checkpoint, device: str) -> StyleModel:
    """The STYLE_MODEL of a file.

    Raises:
        ModelError: the file holds something else, or is incomplete.
    """
    file, part = checkpoint.path.name, dict(checkpoint.entries)
    shapes = {name: info.shape for name, info in part.items()}
    width = _width(file, shapes)
    names = {name: name for name in part}
    module = assign_weights("a style model", checkpoint, part, names, lambda: _module(shapes))
    return StyleModel(file, Component(module, checkpoint, device=device, sources=plain_sources(names)), width)


def _width(file: str, shapes: Shapes) -> int:
    for name, dimensions in (("redux_up.weight", 2), ("style_embedding", 3)):
        shape = shapes.get(name, ())
        if len(shape) == dimensions and shape[-1] and shape[-1] % _HEADS == 0:
            return shape[-1]
    raise ModelError(
        f"file {file!r} holds no style model of a kind and size that is known here",
        hint="Flux Redux and the style adapter of T2I-Adapter are supported",
    )


def _module(shapes: Shapes) -> nn.Module:
    with torch.device("meta"):
        if "redux_up.weight" in shapes:
            inner, width = shapes["redux_up.weight"]
            text, *_ = (*shapes.get("redux_down.weight", ()), 1)  # a missing one is named later
            return Redux(width, inner, text)
        _, tokens, width = shapes["style_embedding"]
        layers = {found[1] for name in shapes if (found := re.match(r"transformer_layes\.(\d+)\.", name))}
        *_, text = (1, *shapes.get("proj", ()))
        return StyleAdapter(width, tokens, len(layers), text)


def with_style(
    conditioning: Conditioning, style: StyleModel, output: VisionOutput, strength: float, strength_type: str
) -> Conditioning:
    """The conditioning with the tokens of the pictures behind its own.

    strength_type: "multiply" scales the new tokens, "attn_bias" adds log(strength) to the attention that the
    others pay to them, as the option "attention_mask".
    """
    tokens = style.get_cond(output).flatten(0, 1)[None]
    bias = 0.0
    if strength_type == "multiply":
        tokens = tokens * strength
    else:
        bias = math.log(strength) if strength > 0 else -math.inf
    return [_with_tokens(states, options, tokens, bias) for states, options in conditioning]


# Any: the options of a conditioning are whatever nodes put there.
def _with_tokens(
    states: Tensor, options: Mapping[str, Any], tokens: Tensor, bias: float
) -> tuple[Tensor, Mapping[str, Any]]:
    if tokens.shape[-1] != states.shape[-1]:
        raise GraphEngineError(
            f"the style model gives tokens of width {tokens.shape[-1]}, the conditioning has {states.shape[-1]}",
            hint="it was made for another family of models",
        )
    tokens = tokens.to(states)
    joined = torch.cat([states, tokens.expand(len(states), -1, -1)], dim=1)
    if bias == 0.0 and options.get("attention_mask") is None:
        return joined, dict(options)
    size = options.get("attention_mask_img_shape", (1, 1))
    mask = _widened(options.get("attention_mask"), states, tokens.shape[1], size[0] * size[1], bias)
    return joined, {**options, "attention_mask": mask, "attention_mask_img_shape": size}


def _widened(given: Tensor | None, states: Tensor, added: int, squares: int, bias: float) -> Tensor:
    """The biases (B, N, N) of attention between text, new tokens and squares of the picture, in this order."""
    batch, text = states.shape[:2]
    if given is None:
        given = torch.zeros(batch, text + squares, text + squares, dtype=torch.float16)
    if given.dtype == torch.bool:
        given = given.to(torch.float16).log()
    size = text + squares + added
    kept = torch.tensor([*range(text), *range(text + added, size)])
    mask = torch.zeros(batch, size, size, dtype=torch.float16)
    mask[:, kept[:, None], kept] = given.to("cpu", torch.float16)
    mask[:, kept, text : text + added] = bias
    return mask.to(states.device)
