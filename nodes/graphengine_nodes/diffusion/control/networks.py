"""The networks of ControlNets for the UNets of Stable Diffusion."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from graphengine.node.api import ModelError
from graphengine_nodes.diffusion.model.control_network import Features
from graphengine_nodes.diffusion.model.model import LatentFormat, NetworkCall, Residuals

from .layout import ControlConfig
from .modules import ControlModule

if TYPE_CHECKING:
    from graphengine_nodes.diffusion.model.model import Network
    from graphengine_nodes.diffusion.weights.weights import Component

_DOWNSCALE = 8
_CONTEXTS = {768: "SD1.x", 1024: "SD2.x", 1280: "the SDXL refiner", 2048: "SDXL", 4096: "SD3 or Flux"}
_KIND = "control_type"


# Any throughout: settings are what SetUnionControlNetType and node packs put there.
@dataclass(frozen=True, slots=True, eq=False)
class EncoderControl:
    """A ControlNet: a copy of the UNet's encoder that sees the picture too (a `ControlNetwork`)."""

    file: str
    config: ControlConfig
    component: Component
    latent_format: LatentFormat | None = None

    @property
    def channels(self) -> int:
        """How many channels its picture has: 3."""
        return self.config.hint_channels

    def fitted(self, network: Network | None) -> EncoderControl:
        """Itself.

        Raises:
            ModelError: it was made for a UNet of other sizes.
        """
        check_widths(self.file, self.config.widths, network)
        return self

    def picture_size(self, width: int, height: int) -> tuple[int, int]:
        """Eight times the size of the latent."""
        return width * _DOWNSCALE, height * _DOWNSCALE

    @torch.no_grad()
    def read(self, picture: Tensor, settings: Mapping[str, Any]) -> Features:
        """The picture (N, C, 8 h, 8 w) as the network adds it to its first state: one tensor (N, D, h, w)."""
        return (self._module().read_hint(picture, self._kinds(settings)),)

    @torch.no_grad()
    def residuals(self, features: Features, call: NetworkCall, settings: Mapping[str, Any]) -> Residuals:
        """What it adds to the skip connections and the middle of the UNet.

        Raises:
            ValueError: the latent, the text or the vector "y" has not the width that it reads.
        """
        context = call.extra.get("cross_attn_controlnet", call.context)
        y = call.extra.get("y") if self.config.label is not None else None
        self._check(call.x, context, y)
        dtype = self.component.dtype
        module = self._module()
        down, middle = module(
            call.x.to(dtype),
            call.timestep,
            context.to(dtype),
            features[0],
            module.vector(None if y is None else y.to(dtype), self._kinds(settings), features[0]),
        )
        return Residuals(middle=(middle.float(),), output=tuple(value.float() for value in down))

    def _module(self) -> ControlModule:
        module = self.component.ready()
        if not isinstance(module, ControlModule):
            raise TypeError(f"the network of a ControlNet is {type(module).__name__}")
        return module

    def _kinds(self, settings: Mapping[str, Any]) -> Sequence[int]:
        """The numbers of the kinds of picture that SetUnionControlNetType chose; none is "auto"."""
        union = self.config.union
        if union is None:
            return ()
        kinds = [int(kind) for kind in settings.get(_KIND, ())]
        if any(not 0 <= kind < union.types for kind in kinds):
            raise ValueError(
                f"ControlNet {self.file!r} knows {union.types} kinds of pictures; the one that "
                f"SetUnionControlNetType chose, number {kinds[0]}, is for a ProMax union ControlNet"
            )
        return kinds

    def _check(self, x: Tensor, context: Tensor, y: Tensor | None) -> None:
        config = self.config
        if config.context is not None and context.shape[-1] != config.context:
            given = context.shape[-1]
            raise ValueError(
                f"ControlNet {self.file!r} was made for {_family(config.context)}: it reads text states of width "
                f"{config.context}, the conditioning of this model has {given} ({_family(given)})"
            )
        if x.shape[1] != config.in_channels or x.ndim != 4:
            raise ValueError(
                f"ControlNet {self.file!r} works on latents with {config.in_channels} channels, "
                f"the model's have the shape {list(x.shape)}"
            )
        if config.label is not None and (y is None or y.shape[-1] != config.label):
            given_y = "none" if y is None else f"one of {y.shape[-1]}"
            raise ValueError(
                f"ControlNet {self.file!r} reads a vector of {config.label} numbers beside the text, "
                f"the model gives {given_y}: it was made for SDXL"
            )


def _family(context: int) -> str:
    return _CONTEXTS.get(context, f"a model whose text states have the width {context}")


def check_widths(file: str, widths: Sequence[int], network: Network | None) -> None:
    """Raises ModelError when the levels of the model's UNet have not these widths."""
    given = unet_widths(network)
    if given and tuple(given) != tuple(widths):
        raise ModelError(
            f"ControlNet {file!r} was made for a UNet with levels of the widths {list(widths)}; "
            f"the model's have {list(given)}",
            hint="choose a ControlNet of the model's family, or another model",
        )


def unet_widths(network: Network | None) -> tuple[int, ...]:
    """The widths of the levels of a MODEL's UNet; empty when that is not known."""
    if network is None:
        return ()
    try:
        shapes = network.component.shapes()
    except ModelError:  # a wrapper, which has no weights of its own
        return ()
    widths: list[int] = []
    while (shape := shapes.get(f"down_blocks.{len(widths)}.resnets.0.conv1.weight")) is not None:
        widths.append(shape[0])
    return tuple(widths)


@dataclass(slots=True, eq=False)
class BorrowedControl:
    """A ControlNet whose file states only how it differs from a model's UNet (a `FitsModel`).

    build makes the whole network from a model's weights; the last one made is kept.
    """

    file: str
    build: Callable[[Component], EncoderControl]
    _made: tuple[Component, EncoderControl] | None = field(default=None, repr=False)

    def fitted(self, network: Network | None) -> EncoderControl:
        """The network with this model's weights in it.

        Raises:
            ModelError: there is no model, or it has other weights than the file was made for.
        """
        if network is None:
            raise ModelError(
                f"ControlNet {self.file!r} states changes of a model's weights and was given no model"
            )
        component = network.component
        if self._made is None or self._made[0] is not component:
            self._made = (component, self.build(component))
        return self._made[1]
