"""What one family of diffusion transformers is: how its files are read, its module is built and called."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor, nn

from graphengine_nodes.diffusion.model.model import Extras, Job, LatentFormat, NetworkCall, Residuals
from graphengine_nodes.diffusion.model.model_sampling import ModelSampling
from graphengine_nodes.diffusion.weights.weights import Component

from .layout import Destination, Reader

Config = Mapping[str, Any]
"""Sizes of a module by the names that its class in diffusers gives them, hence values of any kind."""


class Architecture:
    """A family: stateless, one instance per family.

    `family` is the name by which networks, patches and adapters know it, `title` the one for messages.
    """

    family: str
    title: str

    def matches(self, names: Collection[str]) -> bool:
        """Whether a diffusion model with tensors of these names (without prefix) is of the family."""
        raise NotImplementedError

    def config(self, read: Reader) -> Config:
        """The sizes of the module.

        Raises:
            ModelError: a tensor is missing, or the sizes fit no model of the family.
        """
        raise NotImplementedError

    def destinations(self, read: Reader, config: Config) -> dict[str, tuple[Destination, ...]]:
        """Where each tensor of the file goes."""
        raise NotImplementedError

    #: Names of extras that stay float32 whatever the module computes in.
    exact: frozenset[str] = frozenset()

    #: Names of tensors that some files carry and the module has no use for.
    ignored = r"(?!)"

    def module(self, config: Config) -> nn.Module:
        """The module without weights, on the meta device; tables that no file holds have their values."""
        raise NotImplementedError

    def sampling(self, config: Config) -> ModelSampling:
        """The noise levels that the family was trained with."""
        raise NotImplementedError

    def latent_format(self, config: Config) -> LatentFormat:
        """The latents of its VAE."""
        raise NotImplementedError

    def shows_kept(self, config: Config) -> bool:
        """Whether the module is shown what a noise mask keeps without noise, and told a time for each cell."""
        return False

    def text_width(self, config: Config) -> int | None:
        """The width of the text states that it takes; None when there are several."""
        return None

    def extras(self, config: Config, options: Mapping[str, Any], job: Job) -> Extras:
        """What a conditioning's options become for the network."""
        return Extras()

    def forward(self, module: Any, config: Config, call: NetworkCall) -> Tensor:  # Any: of diffusers
        """The raw output, shaped like call.x; every tensor of the call has the dtype of the module."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, eq=False)
class TransformerNetwork:
    """The network of a MODEL whose family is a diffusion transformer."""

    architecture: Architecture
    config: Config
    component: Component

    @property
    def family(self) -> str:
        """The name of the family."""
        return self.architecture.family

    def __call__(self, call: NetworkCall) -> Tensor:
        """The raw output, shaped like call.x, float32."""
        self._check_text(call.context)
        module, dtype, exact = self.component.ready(), self.component.dtype, self.architecture.exact
        cast = replace(
            call,
            x=call.x.to(dtype),
            context=call.context.to(dtype),
            extra={n: value if n in exact else value.to(dtype) for n, value in call.extra.items()},
        )
        if call.control is not None:
            cast = replace(cast, control=_residuals(call.control, dtype))
        with torch.no_grad():
            return self.architecture.forward(module, self.config, cast).to(call.x.dtype)

    def _check_text(self, context: Tensor) -> None:
        width = self.architecture.text_width(self.config)
        if width is not None and context.shape[-1] != width:
            raise ValueError(
                f"the conditioning's text states have the width {context.shape[-1]}, but "
                f"{self.architecture.title} takes {width}: encode the prompt with the text encoders of this model"
            )

    def load(self) -> None:
        """Make the weights ready on the device."""
        self.component.ready()

    def extras(self, options: Mapping[str, Any], job: Job) -> Extras:
        """What a conditioning's options become for this network."""
        return self.architecture.extras(self.config, options, job)

    def with_component(self, component: Component) -> Self:
        """The same network with other weights."""
        return replace(self, component=component)


def _residuals(control: Residuals, dtype: torch.dtype) -> Residuals:
    given = tuple(None if residual is None else residual.to(dtype) for residual in control.output)
    return replace(control, output=given)
