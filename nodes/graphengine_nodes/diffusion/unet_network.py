"""The UNets of Stable Diffusion as networks: what they are told beside the latent, and how they are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor

from .model import Extras, Job, NetworkCall
from .weights import Component


@dataclass(frozen=True, slots=True, eq=False)
class UNetNetwork:
    """A UNet with its weights (a `Network`)."""

    family: str
    component: Component

    def with_component(self, component: Component) -> Self:
        """The same UNet with other weights."""
        return replace(self, component=component)

    def load(self) -> None:
        """Make the weights ready."""
        self.component.ready()

    def extras(self, options: Mapping[str, Any], job: Job) -> Extras:
        """Nothing: an SD1.x UNet is told its text states only."""
        return Extras()

    def __call__(self, call: NetworkCall) -> Tensor:
        """The prediction, shaped like call.x."""
        unet, dtype = self.component.ready(), self.component.dtype
        with torch.no_grad():
            result: Tensor = unet(call.x.to(dtype), call.timestep, call.context.to(dtype), return_dict=False)[0]
        return result.to(call.x.dtype)
