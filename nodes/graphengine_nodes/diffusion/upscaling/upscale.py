"""The UPSCALE_MODEL value, and pictures enlarged by it in tiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from graphengine.node.api import GraphEngineError, ModelError
from graphengine_nodes.diffusion.vae.tiling import count_tiles, in_tiles, scaled
from graphengine_nodes.diffusion.weights.memory_limits import first_that_fits
from graphengine_nodes.diffusion.weights.tensor_files import State, read_tensors

from .files import make_network, other_architecture

_TILES = (512, 256, 128)
_OVERLAP = 32

Progress = Callable[[int, int], None]
"""Told how many of all tiles are done; it may raise to stop."""


@dataclass(frozen=True, slots=True, eq=False)
class UpscaleModel:
    """A network (B, channels, H, W) → (B, channels, scale H, scale W), values in 0..1; shaped as packs know it."""

    network: nn.Module
    scale: int
    architecture: str
    channels: int = 3

    def __call__(self, image: Tensor) -> Tensor:
        """The enlarged picture."""
        with torch.no_grad():
            result: Tensor = self.network(image)
        return result

    def to(self, device: torch.device | str) -> UpscaleModel:
        """This value, its weights moved to the device."""
        self.network.to(device)
        return self

    def cpu(self) -> UpscaleModel:
        """This value, its weights moved to the CPU."""
        return self.to("cpu")

    def eval(self) -> UpscaleModel:
        """This value, its network in evaluation mode."""
        self.network.eval()
        return self

    @property
    def model(self) -> nn.Module:
        """The network."""
        return self.network

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.network.parameters()).device


def load_upscale_model(path: Path) -> UpscaleModel:
    """The model of a file: ESRGAN and Real-ESRGAN in all layouts; others when spandrel can be imported.

    Raises:
        ModelError: the file is damaged, or of an architecture that is not known.
    """
    state = read_tensors(path)
    network = make_network(path.name, state)
    if network is None:
        return _by_spandrel(path.name, state)
    return UpscaleModel(network, network.scale, type(network).__name__, network.channels)


def _by_spandrel(file: str, state: State) -> UpscaleModel:
    """What spandrel (MIT) makes of the tensors; it is not a dependency, since it asks for torchvision."""
    seems = other_architecture(state)
    what = "of an unknown architecture" if seems is None else f"of the architecture {seems}"
    try:
        spandrel = import_module("spandrel")  # optional, and heavy
    except ImportError as error:
        raise ModelError(
            f"model file {file!r} is an upscaling model {what}, which is not built in",
            hint="use an ESRGAN or Real-ESRGAN model, or install spandrel with torchvision",
        ) from error
    # Any: spandrel is not installed where types are checked.
    try:
        described: Any = spandrel.ModelLoader().load_from_state_dict(state)
    except Exception as error:
        raise ModelError(f"model file {file!r} is refused by spandrel: {error}") from error
    if described.input_channels != described.output_channels:
        raise ModelError(f"model file {file!r} makes something else than larger pictures of pictures")
    name = str(getattr(described.architecture, "name", what))
    return UpscaleModel(_Described(described), int(described.scale), name, int(described.input_channels))


class _Described(nn.Module):
    """A model that spandrel read; it fills up sides that its network cannot take."""

    def __init__(self, described: Any) -> None:
        super().__init__()
        self.network: nn.Module = described.model
        self._call: Callable[[Tensor], Tensor] = described

    def forward(self, x: Tensor) -> Tensor:
        return self._call(x)


def upscale_pictures(model: UpscaleModel, pixels: Tensor, device: str, progress: Progress) -> Tensor:
    """Pictures (B, scale H, scale W, 3) in 0..1 of pictures (B, H, W, 3 or more); float32 on the CPU.

    Tiles of 512 pixels overlap by 32; where memory is short they are halved down to 128.

    Raises:
        GraphEngineError: the pictures do not fit the model, or are too large for the memory.
    """
    if pixels.ndim != 4 or not pixels.numel() or pixels.shape[-1] < model.channels:
        raise GraphEngineError(
            f"this upscaling model takes pictures of shape (B, H, W, {model.channels}), not {list(pixels.shape)}"
        )
    x = pixels[..., : model.channels].movedim(-1, 1)
    problem = (
        f"out of memory: the upscaling model cannot enlarge a picture of {x.shape[-1]}x{x.shape[-2]} "
        f"in tiles of {_TILES[-1]}x{_TILES[-1]}"
    )
    attempts = [partial(_in_tiles, model, x, size, device, progress) for size in _TILES]
    return first_that_fits(attempts, problem).movedim(1, -1)


def _in_tiles(model: UpscaleModel, x: Tensor, size: int, device: str, progress: Progress) -> Tensor:
    """(B, C, H, W) → (B, C, scale H, scale W) in 0..1."""
    axes = [scaled(size, _OVERLAP, model.scale)] * 2
    total = len(x) * count_tiles(x.shape[2:], [axes])
    done = 0

    def enlarge(tile: Tensor) -> Tensor:
        nonlocal done
        made = model(tile.to(device, torch.float32))
        done += 1
        progress(done, total)
        return made

    model.to(device)
    height, width = (side * model.scale for side in x.shape[2:])
    result = torch.empty(len(x), model.channels, height, width)
    for index in range(len(x)):
        sample = in_tiles(x[index : index + 1], enlarge, [axes], model.channels, lambda: None)
        result[index] = sample[0].clamp_(0, 1)
    return result
