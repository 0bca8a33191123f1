"""The MODEL_PATCH value: DiffSynth's ControlNets of Qwen-Image (ModelScope, 2025), one small layer per block.

Each block of the network is followed by a layer that sees its state and an encoded picture, and adds to the state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from graphengine.node.api import GraphEngineError, ModelError
from graphengine_nodes.diffusion.dit.latent_formats import WAN21
from graphengine_nodes.diffusion.dit.layout import Reader
from graphengine_nodes.diffusion.dit.loading import load_component
from graphengine_nodes.diffusion.dit.packing import PATCH, packed, padded
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint
from graphengine_nodes.diffusion.weights.weights import Component
from graphengine_nodes.image.scaling import resize

if TYPE_CHECKING:
    from graphengine_nodes.diffusion.model.model import DiffusionModel
    from graphengine_nodes.diffusion.vae.autoencoder import VAE

_EPSILON = 1e-6
_FAMILY = "qwen_image"


class ControlBlock(nn.Module):
    """(state, picture), both (B, T, D) → what is added to the state."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.x_rms, self.y_rms = nn.RMSNorm(width, eps=_EPSILON), nn.RMSNorm(width, eps=_EPSILON)
        self.input_proj, self.output_proj = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Two linear layers over the sum of both, each normalised."""
        added: Tensor = self.output_proj(nn.functional.gelu(self.input_proj(self.x_rms(x) + self.y_rms(y))))
        return added


class BlockwiseControl(nn.Module):
    """The layers of all blocks, and the one that makes the picture's tokens (B, T, inputs) as wide as states."""

    def __init__(self, inputs: int, width: int, blocks: int) -> None:
        super().__init__()
        self.img_in = nn.Linear(inputs, width)
        self.controlnet_blocks = nn.ModuleList(ControlBlock(width) for _ in range(blocks))


@dataclass(frozen=True, slots=True, eq=False)
class ModelPatch:
    """The MODEL_PATCH value. masked: whether it sees a mask beside the picture; width: of the states."""

    file: str
    component: Component
    blocks: int
    width: int
    masked: bool


def load_model_patch(checkpoint: Checkpoint, device: str) -> ModelPatch:
    """The MODEL_PATCH of a file.

    Raises:
        ModelError: the file holds something else, or is incomplete.
    """
    file = checkpoint.path.name
    if "controlnet_blocks.0.y_rms.weight" not in checkpoint.entries:
        raise ModelError(
            f"file {file!r} holds no patch of a model that is known here",
            hint="DiffSynth's ControlNets of Qwen-Image are supported",
        )
    read = Reader(file, {name: info.shape for name, info in checkpoint.entries.items()})
    width, inputs = read.shape("img_in.weight", 2)
    blocks = read.count(r"controlnet_blocks\.(\d+)\.")
    plain, masked = (PATCH**2 * (WAN21.channels + beside) for beside in (0, 1))
    if inputs not in (plain, masked):
        raise read.impossible(f"it sees {inputs} numbers per token; {plain} and, with a mask, {masked} are known")

    def make() -> nn.Module:
        with torch.device("meta"):
            return BlockwiseControl(inputs, width, blocks)

    places = {name: ((name, None),) for name in read.shapes}
    component = load_component("a ControlNet of DiffSynth", checkpoint, checkpoint.entries, places, make, device)
    return ModelPatch(file, component, blocks, width, inputs == masked)


@dataclass(slots=True, eq=False)
class _Steering:
    """What is done after each block of the network: a patch of the kind "double_block".

    image: (B, H, W, 3) in 0..1. mask: (B, 1, h, w), 1 where the picture is kept; None for all of it.
    """

    patch: ModelPatch
    vae: VAE
    image: Tensor
    strength: float
    mask: Tensor | None = None
    _seen: dict[tuple[int, ...], Tensor] = field(default_factory=dict)

    @torch.no_grad()
    def __call__(self, state: Mapping[str, Any]) -> dict[str, Any]:  # Any: states and options by name
        """The state with what the layer of the block adds to the picture's tokens."""
        number, picture = state["block_index"], state["img"]
        if number >= self.patch.blocks:
            return {**state}
        module: Any = self.patch.component.ready()
        seen = self._tokens(module, tuple(state["x"].shape[-2:]))
        own = picture[:, : seen.shape[1]]
        added = module.controlnet_blocks[number](own.to(seen), _for_batch(seen, len(own))) * self.strength
        return {**state, "img": torch.cat([own + added.to(own), picture[:, seen.shape[1] :]], dim=1)}

    def _tokens(self, module: Any, size: tuple[int, ...]) -> Tensor:
        """The picture as the layers see it, for a latent of this height and width; that of the last is kept."""
        if size not in self._seen:
            component = self.patch.component
            tokens = packed(padded(self._encoded(size))).to(component.device, component.dtype)
            self._seen.clear()
            self._seen[size] = module.img_in(tokens)
        return self._seen[size]

    def _encoded(self, size: tuple[int, ...]) -> Tensor:
        """The latent (B, 16, H, W) on the model's scale, with the mask behind it where the layers see one."""
        height, width = (cells * self.vae.downscale for cells in size)
        pixels = resize(self.image[..., :3].movedim(-1, 1), width, height, "area", "center").movedim(1, -1)
        latents = [self.vae.encode(picture[None]) for picture in pixels]  # one by one: a batch would be a video
        latent = torch.cat([WAN21.process_in(each).squeeze(2) for each in latents])
        if not self.patch.masked:
            return latent
        if self.mask is None:
            return torch.cat([latent, torch.ones_like(latent[:, :1])], dim=1)
        mask = resize(self.mask, latent.shape[-1], latent.shape[-2], "bilinear", "disabled")
        return torch.cat([latent, _for_batch(mask, len(latent))], dim=1)


def _for_batch(x: Tensor, count: int) -> Tensor:
    return x if len(x) == count else x[torch.arange(count, device=x.device) % len(x)]


def steered(
    model: DiffusionModel, patch: ModelPatch, vae: VAE, image: Tensor, strength: float, mask: Tensor | None = None
) -> DiffusionModel:
    """The MODEL with a picture (B, H, W, 3) that steers it; mask: (B, H, W), 1 where it is painted anew.

    Raises:
        ModelError: the model is no Qwen-Image model, or of another width.
        GraphEngineError: the VAE is another model's.
    """
    if model.network.family != _FAMILY:
        raise ModelError(
            f"patch {patch.file!r} was made for Qwen-Image, not for {model.network.family!r} models",
            hint="load a Qwen-Image model",
        )
    width = model.network.component.shapes().get("img_in.weight", (patch.width,))[0]
    if width != patch.width:
        raise ModelError(f"patch {patch.file!r} has states of width {patch.width}, the model's have {width}")
    if vae.latent_channels != WAN21.channels or vae.frames is None:
        raise GraphEngineError(
            f"this VAE makes latents of {vae.latent_channels} channels, which are none of Qwen-Image's",
            hint="load qwen_image_vae with the node VAELoader",
        )
    kept = None if mask is None else 1.0 - mask.reshape(-1, 1, *mask.shape[-2:])
    steering = _Steering(patch, vae, image, strength, kept)
    changed = model.clone()
    changed.set_model_patch(steering, "double_block")
    return changed
