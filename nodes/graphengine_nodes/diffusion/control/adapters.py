"""T2I-Adapters (Mou et al. 2023): small networks that see the picture alone.

Their features are added to the state of the UNet at the last residual block of each level, so they cost nothing
per step. The full and the light one of SD1.x and the full one of SDXL are known, in the original layout and in
that of diffusers.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from graphengine.node.api import ModelError
from graphengine_nodes.diffusion.model.control_network import Features
from graphengine_nodes.diffusion.model.model import LatentFormat, NetworkCall, Residuals
from graphengine_nodes.diffusion.weights.build import assign_weights, module_shapes, quiet
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint, TensorInfo
from graphengine_nodes.diffusion.weights.detect import Shapes
from graphengine_nodes.diffusion.weights.weights import Component

from .networks import check_widths

if TYPE_CHECKING:
    from graphengine_nodes.diffusion.model.model import Network

_DOWNSCALE = 8
_LEVELS = 4
_SDXL_DOWNSCALE = 16
_SDXL_INPUTS = (256, 768)  # 1 or 3 channels of squares of 16 x 16 pixels
# The input blocks after which the features are added: the last residual block of each level. SDXL's adapter sees
# squares of twice the side: its first level follows the UNet's first downsampler, its last one the middle block.
_PLACES = (2, 5, 8, 11)
_SDXL_PLACES = (3, 5, 8)


@dataclass(frozen=True, slots=True)
class AdapterConfig:
    """Sizes of a T2I-Adapter. kind: diffusers' name for it. downscale: the side of the squares that it sees."""

    kind: str
    channels: int
    widths: tuple[int, ...]
    blocks: int
    downscale: int


def is_adapter(names: Collection[str]) -> bool:
    """Whether names are those of a T2I-Adapter."""
    return any(
        re.match(r"(adapter\.)?body\.0\.(in_conv|block1|resnets\.0\.block1)\.weight$", name) for name in names
    )


def adapter_names(names: Collection[str], blocks: int) -> dict[str, str]:
    """Names of an adapter file → names in diffusers' T2IAdapter; blocks: residual blocks per level.

    The original layout of the full adapter numbers its blocks through all levels.
    """
    through = any(re.match(r"body\.\d+\.block1\.", name) for name in names)
    return {name: f"adapter.{_name(name.removeprefix('adapter.'), blocks if through else 0)}" for name in names}


def _name(name: str, blocks: int) -> str:
    if blocks and (found := re.fullmatch(r"body\.(\d+)\.(.+)", name)):
        level, block = divmod(int(found[1]), blocks)
        place = f"resnets.{block}." if found[2].startswith("block") else ""
        return f"body.{level}.{place}{found[2]}"
    return re.sub(r"^body\.(\d+)\.body\.(\d+)\.", r"body.\1.resnets.\2.", name)


def _blocks(names: Collection[str]) -> int:
    """Residual blocks per level."""
    for pattern in (r"(?:adapter\.)?body\.0\.resnets\.(\d+)\.", r"body\.0\.body\.(\d+)\."):
        found = {match[1] for name in names if (match := re.match(pattern, name))}
        if found:
            return len(found)
    numbers = {match[1] for name in names if (match := re.match(r"body\.(\d+)\.block1\.", name))}
    return max(1, len(numbers) // _LEVELS)


def _config(file: str, shapes: Shapes, blocks: int) -> AdapterConfig:
    """Sizes from the shapes by names in T2IAdapter.

    Raises:
        ModelError: the shapes fit no adapter.
    """
    light = "adapter.conv_in.weight" not in shapes
    first = shapes.get("adapter.body.0.in_conv.weight" if light else "adapter.conv_in.weight", ())
    last = "out_conv" if light else "resnets.0.block1"
    found = [shapes.get(f"adapter.body.{level}.{last}.weight", ())[:1] for level in range(_LEVELS)]
    widths = tuple(width for shape in found for width in shape)
    if len(first) != 4 or len(widths) != _LEVELS:
        raise ModelError(f"T2I-Adapter file {file!r} is incomplete or has an unsupported layout")
    sdxl = not light and first[1] in _SDXL_INPUTS
    kind = "light_adapter" if light else "full_adapter_xl" if sdxl else "full_adapter"
    downscale = _SDXL_DOWNSCALE if sdxl else _DOWNSCALE
    return AdapterConfig(kind, first[1] // downscale**2, widths, blocks, downscale)


@dataclass(frozen=True, slots=True, eq=False)
class AdapterControl:
    """A T2I-Adapter (a `ControlNetwork`)."""

    file: str
    config: AdapterConfig
    component: Component
    latent_format: LatentFormat | None = None

    @property
    def channels(self) -> int:
        """How many channels its picture has: 3, or 1 for lines and depth."""
        return self.config.channels

    def fitted(self, network: Network | None) -> AdapterControl:
        """Itself.

        Raises:
            ModelError: it was made for a UNet of other sizes.
        """
        widths = self.config.widths
        check_widths(self.file, widths[:-1] if self.config.kind == "full_adapter_xl" else widths, network)
        return self

    def picture_size(self, width: int, height: int) -> tuple[int, int]:
        """Eight times the size of the latent, rounded up to whole squares."""
        square = self.config.downscale
        across, down = (-(-size * _DOWNSCALE // square) * square for size in (width, height))
        return across, down

    @torch.no_grad()
    def read(self, picture: Tensor, settings: Mapping[str, Any]) -> Features:
        """The features (N, D, h, w) of each level."""
        module: Any = self.component.ready()
        return tuple(module(picture))

    def residuals(self, features: Features, call: NetworkCall, settings: Mapping[str, Any]) -> Residuals:
        """What it adds to the state after input blocks, and for SDXL after the middle."""
        values = [value.float() for value in features]
        if self.config.kind != "full_adapter_xl":
            return Residuals(input=_at(_PLACES, values))
        return Residuals(input=_at(_SDXL_PLACES, values), middle=(values[-1],))


def _at(places: tuple[int, ...], values: list[Tensor]) -> tuple[Tensor | None, ...]:
    found = dict(zip(places, values, strict=False))
    return tuple(found.get(place) for place in range(places[-1] + 1))


def load_adapter(checkpoint: Checkpoint, part: Mapping[str, TensorInfo], device: str) -> AdapterControl:
    """The T2I-Adapter of a file.

    Raises:
        ModelError: it is incomplete or of an unknown size.
    """
    file = checkpoint.path.name
    blocks = _blocks(part)
    names = adapter_names(part, blocks)
    config = _config(file, module_shapes(part, names), blocks)
    module = assign_weights("a T2I-Adapter", checkpoint, part, names, lambda: adapter_module(config))
    return AdapterControl(file, config, Component(module, checkpoint, device=device))


def adapter_module(config: AdapterConfig) -> nn.Module:
    """The network of these sizes, on the meta device: (B, C, H, W) → one tensor of features per level."""
    with quiet():
        from diffusers import T2IAdapter  # heavy: seconds to import

    widths = list(config.widths[:-1] if config.kind == "light_adapter" else config.widths)
    with torch.device("meta"):
        module: nn.Module = T2IAdapter(
            in_channels=config.channels,
            channels=widths,
            num_res_blocks=config.blocks,
            downscale_factor=config.downscale,
            adapter_type=config.kind,
        )
    for layer in list(module.modules()):
        if isinstance(getattr(layer, "downsample", None), nn.AvgPool2d):
            layer.downsample = _Halved()
    return module


class _Halved(nn.Module):
    """Means of 2 x 2 cells; an odd side gets zeros around it first, as the UNet's own sizes round up."""

    def forward(self, x: Tensor) -> Tensor:
        padding = (x.shape[-2] % 2, x.shape[-1] % 2)
        return nn.functional.avg_pool2d(x, 2, padding=padding)
