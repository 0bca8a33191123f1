"""The CONTROL_NET value: a network that steers sampling by a picture, with that picture and its reach.

A `Control` is set up in steps, by methods that change it and give it back, since node packs do so on a copy. Our
own nodes treat it as a value: `applied` gives a new one. For a sampling run a chain of them is made ready once
(`prepared`, a `ControlSource`): ranges become noise levels, and each picture is read once, not at every step.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

from graphengine.node.api import GraphEngineError
from graphengine_nodes.diffusion.model.control_network import FitsModel, StrengthType
from graphengine_nodes.diffusion.model.model import ControlSource, Job, NetworkCall, Residuals
from graphengine_nodes.diffusion.model.model_sampling import ModelSampling

from .chain import ControlChain, Link

if TYPE_CHECKING:
    from graphengine_nodes.diffusion.vae.autoencoder import VAE


# Any: settings are what SetUnionControlNetType and node packs put there.
@dataclass(eq=False)
class Control:
    """The CONTROL_NET value, and the option "control" of a conditioning (a `ControlSource`).

    The names are ComfyUI's. cond_hint_original: the picture (N, C, H, W) in 0..1. timestep_percent_range: when it
    works, in parts of the schedule. previous_controlnet: what is added besides. extra_args: settings such as
    "control_type". concat_mask: whether the network sees a mask beside an encoded picture, which is
    extra_concat_orig, (N, 1, H, W).
    """

    network: FitsModel
    cond_hint_original: Tensor | None = None
    strength: float = 1.0
    timestep_percent_range: tuple[float, float] = (0.0, 1.0)
    previous_controlnet: ControlSource | None = None
    vae: VAE | None = None
    extra_concat_orig: list[Tensor] = field(default_factory=list)
    extra_args: dict[str, Any] = field(default_factory=dict)
    global_average_pooling: bool = False
    strength_type: StrengthType = StrengthType.CONSTANT
    upscale_algorithm: str = "nearest-exact"
    concat_mask: bool = False

    def copy(self) -> Self:
        """The same value, weights shared, to be set up anew."""
        twin = copy.copy(self)
        twin.extra_args = dict(self.extra_args)
        twin.extra_concat_orig = list(self.extra_concat_orig)
        return twin

    def set_cond_hint(
        self,
        cond_hint: Tensor,
        strength: float = 1.0,
        timestep_percent_range: tuple[float, float] = (0.0, 1.0),
        vae: VAE | None = None,
        extra_concat: Sequence[Tensor] = (),
    ) -> Self:
        """Give it its picture (N, C, H, W) in 0..1, its strength and its range; itself."""
        self.cond_hint_original = cond_hint
        self.strength = strength
        self.timestep_percent_range = timestep_percent_range
        self.vae = vae
        self.extra_concat_orig = list(extra_concat)
        if self.concat_mask and not self.extra_concat_orig:
            self.extra_concat_orig.append(torch.ones(1, 1, 1, 1))  # all of the picture counts
        return self

    def set_previous_controlnet(self, controlnet: ControlSource | None) -> Self:
        """Set what is added besides; itself."""
        self.previous_controlnet = controlnet
        return self

    def set_extra_arg(self, argument: str, value: Any = None) -> None:
        """Change a setting."""
        self.extra_args[argument] = value

    def prepared(self, job: Job, sampling: ModelSampling) -> ControlSource:
        """The whole chain, made ready for a run.

        Raises:
            ModelError: a network does not fit the model.
            ValueError: a picture is missing, or two values are each other's predecessors.
        """
        links: list[Link] = []
        control: ControlSource | None = self
        while isinstance(control, Control):
            if any(link.control is control for link in links):
                raise ValueError(f"ControlNet {control.network.file!r} stands in its own chain of predecessors")
            links.append(control._link(job, sampling))
            control = control.previous_controlnet
        if control is not None and not hasattr(control, "prepared"):
            raise ValueError(
                f"the conditioning's control is {type(control).__name__}, which cannot be sampled with"
            )
        first = None if control is None else control.prepared(job, sampling)
        return ControlChain(tuple(reversed(links)), first)

    def _link(self, job: Job, sampling: ModelSampling) -> Link:
        network = self.network.fitted(job.network)
        if self.cond_hint_original is None:
            raise ValueError(f"ControlNet {network.file!r} was given no picture")
        if network.latent_format is not None and self.vae is None:
            raise ValueError(
                f"ControlNet {network.file!r} works on latents: connect a VAE to the node that applies it"
            )
        start, end = (sampling.percent_to_sigma(percent) for percent in self.timestep_percent_range)
        return Link(self, network, start, end)

    def applies(self, sigma: float) -> bool:
        """Not known before it is made ready."""
        raise GraphEngineError("a ControlNet must be made ready (`prepared`) before sampling")

    def residuals(self, x: Tensor, sigma: Tensor, call: NetworkCall) -> Residuals | None:
        """Not known before it is made ready."""
        raise GraphEngineError("a ControlNet must be made ready (`prepared`) before sampling")


class ControlNet(Control):
    """A CONTROL_NET with a copy of the model's own encoder; Zhang et al. (2023)."""


class T2IAdapter(Control):
    """A CONTROL_NET with a small network that sees the picture alone; Mou et al. (2023)."""


def applied(
    control: Control,
    picture: Tensor,
    strength: float,
    percent_range: tuple[float, float],
    *,
    vae: VAE | None = None,
    previous: ControlSource | None = None,
    extra_concat: Sequence[Tensor] = (),
) -> Control:
    """The control with a picture IMAGE (N, H, W, C) in 0..1, added to what `previous` adds."""
    ready = control.copy().set_cond_hint(picture.movedim(-1, 1), strength, percent_range, vae, extra_concat)
    return ready.set_previous_controlnet(previous)


def with_setting(control: Control, name: str, value: Any) -> Control:
    """The control with another setting."""
    changed = control.copy()
    changed.set_extra_arg(name, value)
    return changed
