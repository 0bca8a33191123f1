"""ControlNets of Stable Cascade's stage C (Stability AI 2024): an EfficientNet that sees the picture once.

Its features are added to the state before eight of the residual blocks of stage C.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from graphengine.node.api import ModelError
from graphengine_nodes.diffusion.dit.layout import Reader
from graphengine_nodes.diffusion.dit.loading import load_component
from graphengine_nodes.diffusion.model.control_network import Features
from graphengine_nodes.diffusion.model.model import LatentFormat, NetworkCall, Residuals
from graphengine_nodes.diffusion.vision.efficient_net import efficient_net, without_counters
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint, TensorInfo
from graphengine_nodes.diffusion.weights.weights import Component

if TYPE_CHECKING:
    from graphengine_nodes.diffusion.model.model import Network

_PLACES = (0, 4, 8, 12, 51, 55, 59, 63)
"""The residual blocks before which the features are added, counted down and up through stage C."""

_PIXELS = 32
_FAMILY = "stable_cascade_c"
_SLOPE = 0.2


def is_cascade_control(names: Collection[str]) -> bool:
    """Whether names are those of a ControlNet of Stable Cascade."""
    return "backbone.0.0.weight" in names and "projections.0.0.weight" in names


class CascadeControlModule(nn.Module):
    """A picture (B, C, H, W) → features (B, width, H/32, W/32), one for each place."""

    def __init__(self, read: Reader) -> None:
        super().__init__()
        self.backbone = efficient_net(read, "backbone.")
        self.projections = nn.ModuleList(
            self._projection(read, f"projections.{number}") for number in read.numbers(r"projections\.(\d+)\.")
        )

    @staticmethod
    def _projection(read: Reader, name: str) -> nn.Module:
        inner, inputs = read.shape(f"{name}.0.weight", 4)[:2]
        width = read.shape(f"{name}.2.weight", 4)[0]
        first, last = nn.Conv2d(inputs, inner, 1, bias=False), nn.Conv2d(inner, width, 1, bias=False)
        return nn.Sequential(first, nn.LeakyReLU(_SLOPE), last)

    def forward(self, picture: Tensor) -> Features:
        """The features."""
        seen = self.backbone(picture)
        return tuple(projection(seen) for projection in self.projections)


@dataclass(frozen=True, slots=True, eq=False)
class CascadeControl:
    """A ControlNet of stage C (a `ControlNetwork`). width: of the states that it adds to."""

    file: str
    component: Component
    channels: int
    width: int
    latent_format: LatentFormat | None = None

    def fitted(self, network: Network | None) -> CascadeControl:
        """Itself.

        Raises:
            ModelError: it was made for another family, or for another width.
        """
        if network is None or network.family == "plain":
            return self
        if network.family != _FAMILY:
            raise ModelError(
                f"ControlNet {self.file!r} was made for stage C of Stable Cascade, "
                f"not for {network.family!r} models",
                hint="choose a ControlNet of the model's family, or another model",
            )
        width = network.component.shapes().get("down_blocks.0.0.depthwise.weight", (self.width,))[0]
        if width != self.width:
            raise ModelError(
                f"ControlNet {self.file!r} has states of width {self.width}, the model's have {width}",
                hint="it was made for a model of another size",
            )
        return self

    def picture_size(self, width: int, height: int) -> tuple[int, int]:
        """32 times the size of the latent."""
        return width * _PIXELS, height * _PIXELS

    @torch.no_grad()
    def read(self, picture: Tensor, settings: Mapping[str, Any]) -> Features:
        """The features (N, width, h, w) for each place."""
        module: Any = self.component.ready()
        features: Features = module(picture)
        return features

    def residuals(self, features: Features, call: NetworkCall, settings: Mapping[str, Any]) -> Residuals:
        """What it adds to the state before residual blocks."""
        found = dict(zip(_PLACES, (value.float() for value in features), strict=False))
        return Residuals(input=tuple(found.get(place) for place in range(_PLACES[-1] + 1)))


def load_cascade_control(checkpoint: Checkpoint, part: Mapping[str, TensorInfo], device: str) -> CascadeControl:
    """The ControlNet of a file.

    Raises:
        ModelError: it is incomplete or of another layout.
    """
    used = {name: part[name] for name in without_counters(part)}
    read = Reader(checkpoint.path.name, {name: info.shape for name, info in used.items()})
    places = {name: ((name, None),) for name in used}

    def make() -> nn.Module:
        with torch.device("meta"):
            return CascadeControlModule(read)

    component = load_component("a ControlNet of Stable Cascade", checkpoint, used, places, make, device)
    channels = read.shape("backbone.0.0.weight", 4)[1]
    return CascadeControl(checkpoint.path.name, component, channels, read.shape("projections.0.2.weight", 4)[0])
