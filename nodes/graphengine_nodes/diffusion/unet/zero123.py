"""Zero123 (Liu et al. 2023): an SD1.x UNet that is told a picture and a camera in place of a text.

Its checkpoints hold a linear layer, `cc_projection`, which makes text states of the embedding of CLIP with the
four numbers of the camera behind it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from torch import Tensor
from torch.nn.functional import linear

from graphengine.node.api import ModelError
from graphengine_nodes.diffusion.model.model import DiffusionModel, Extras, Job, Network, NetworkCall
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint
from graphengine_nodes.diffusion.weights.weights import Component

_WEIGHT, _BIAS = "cc_projection.weight", "cc_projection.bias"


@dataclass(frozen=True, slots=True, eq=False)
class CameraNetwork:
    """A network that is given text states, or what the layer makes text states of (a `Network`).

    weight: (W, W + 4), bias: (W,); float32.
    """

    inner: Network
    weight: Tensor
    bias: Tensor

    @property
    def family(self) -> str:
        """That of the UNet."""
        return self.inner.family

    @property
    def component(self) -> Component:
        """That of the UNet."""
        return self.inner.component

    def with_component(self, component: Component) -> Self:
        """The same network with other weights of the UNet."""
        return replace(self, inner=self.inner.with_component(component))

    def load(self) -> None:
        """Make the UNet ready."""
        self.inner.load()

    def extras(self, options: Mapping[str, Any], job: Job) -> Extras:
        """What the UNet takes beside the text states."""
        return self.inner.extras(options, job)

    def __call__(self, call: NetworkCall) -> Tensor:
        """The prediction, shaped like call.x."""
        context = call.context
        if context.shape[-1] == self.weight.shape[1]:
            weight, bias = self.weight.to(context), self.bias.to(context)
            call = replace(call, context=linear(context, weight, bias))
        return self.inner(call)


def with_camera(model: DiffusionModel, checkpoint: Checkpoint) -> DiffusionModel:
    """The model with the layer of its checkpoint; unchanged when it has none.

    Raises:
        ModelError: the layer is incomplete.
    """
    if _WEIGHT not in checkpoint.entries:
        return model
    weight, bias = (checkpoint.entries.get(name) for name in (_WEIGHT, _BIAS))
    if weight is None or bias is None or weight.shape[:1] != bias.shape or len(weight.shape) != 2:
        raise ModelError(f"model file {checkpoint.path.name!r} holds an incomplete layer 'cc_projection'")
    tensors = [checkpoint.tensor(info).float().clone() for info in (weight, bias)]
    return replace(model, network=CameraNetwork(model.network, *tensors))
