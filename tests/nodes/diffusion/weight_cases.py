"""What the tests of changed weights share: small models whose parameters have given names and shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from graphengine_nodes.diffusion.model.model import DiffusionModel, Extras, Job, LatentFormat, NetworkCall
from graphengine_nodes.diffusion.model.model_sampling import DiscreteSampling
from graphengine_nodes.diffusion.text.text_encode import TextEncoder
from graphengine_nodes.diffusion.weights.build import assign_weights
from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint
from graphengine_nodes.diffusion.weights.weights import Component, Place, plain_sources

Shapes = Mapping[str, tuple[int, ...]]


def tree(shapes: Shapes) -> nn.Module:
    """A module without weights whose parameters have these names and shapes."""
    root = nn.Module()
    for name, shape in shapes.items():
        *path, last = name.split(".")
        owner = root
        for part in path:
            if not hasattr(owner, part):
                owner.add_module(part, nn.Module())
            owner = owner.get_submodule(part)
        owner.register_parameter(last, nn.Parameter(torch.empty(shape, device="meta")))
    return root


def component(
    folder: Path,
    shapes: Shapes,
    sources: Mapping[str, Sequence[Place]] | None = None,
    *,
    dtype: torch.dtype = torch.float32,
    seed: int = 7,
    stored: torch.dtype | None = None,
) -> Component:
    """A component of random weights from a file in the folder; its file names are the parameters' if not given."""
    names = {name: name for name in shapes}
    file = folder / f"{'-'.join(shapes)[:60]}-{seed}.safetensors"
    generator = torch.Generator().manual_seed(seed)
    save_file({name: torch.randn(shape, generator=generator).to(dtype) for name, shape in shapes.items()}, file)
    checkpoint = open_checkpoint(file)
    module = assign_weights("a model", checkpoint, dict(checkpoint.entries), names, lambda: tree(shapes))
    places = plain_sources(names) if sources is None else sources
    return Component(module, checkpoint, device="cpu", sources=places, stored=stored)


@dataclass(frozen=True)
class WeightsOfNetwork:
    """A network that has weights and gives what it is asked with."""

    family: str
    component: Component

    def with_component(self, component: Component) -> Self:
        return replace(self, component=component)

    def load(self) -> None:
        self.component.ready()

    def extras(self, options: Mapping[str, Any], job: Job) -> Extras:
        return Extras()

    def __call__(self, call: NetworkCall) -> Tensor:
        return call.x


def model(weights: Component, family: str = "sd1") -> DiffusionModel:
    """A MODEL with these weights."""
    return DiffusionModel(WeightsOfNetwork(family, weights), DiscreteSampling.linear(), LatentFormat())


@dataclass(frozen=True)
class WeightsOfTower:
    """A text tower that has weights and nothing else."""

    component: Component

    def with_component(self, component: Component) -> Self:
        return replace(self, component=component)


def clip(**towers: Component) -> TextEncoder:
    """A CLIP with these towers."""
    made: dict[str, Any] = {name: WeightsOfTower(weights) for name, weights in towers.items()}
    return TextEncoder(made)


def random(*shape: int, seed: int = 0) -> Tensor:
    """Normal numbers of this shape, the same at each call."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def ready_weights(weights: Component) -> dict[str, Tensor]:
    """The parameters as the network computes with them, by name."""
    return dict(weights.ready().named_parameters())


__all__ = ["clip", "component", "model", "random", "ready_weights", "tree"]
