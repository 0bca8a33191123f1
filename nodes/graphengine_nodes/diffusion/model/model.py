"""The MODEL and LATENT values that the diffusion nodes hand to each other, and what a network is asked."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NotRequired, Protocol, Self, TypedDict

import torch
from torch import Tensor

from graphengine.node.api import ModelError

from .combining import CLASSIFIER_FREE, Guidance
from .latent_colours import Factors, latent_colours
from .model_sampling import ModelSampling
from .patching import PackMethods

if TYPE_CHECKING:
    from graphengine_nodes.diffusion.weights.weights import Change, Component


@dataclass(frozen=True, slots=True, eq=False)
class Residuals:
    """What ControlNets and adapters add to the states of a network; None where they add nothing.

    input: to the state after each input block, in the numbering of LDM's UNet. middle: to the state after the
    middle block. output: entry i to the skip connection that input block i left; in a transformer, to the state
    after block i.
    """

    input: tuple[Tensor | None, ...] = ()
    middle: tuple[Tensor | None, ...] = ()
    output: tuple[Tensor | None, ...] = ()

    def plus(self, other: Residuals) -> Residuals:
        """The sum of both, entry by entry."""
        return Residuals(
            _sum(self.input, other.input), _sum(self.middle, other.middle), _sum(self.output, other.output)
        )


def _sum(first: Sequence[Tensor | None], second: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
    return tuple(b if a is None else a if b is None else a + b for a, b in zip_longest(first, second))


@dataclass(frozen=True, slots=True, eq=False)
class NetworkCall:
    """What a network is asked, batch first, on the model's device.

    x: (B, C, H, W), or (B, C, T, H, W) for video; float32, scaled by `ModelSampling.scale_input`. timestep: (B,)
    float32. context: text states (B, T, D). extra: more inputs by name, as the network's own `extras` made
    them, one entry per sample. options: ComfyUI's "transformer_options": "patches" and "patches_replace" of node
    packs, "sigmas" (B,), "cond_or_uncond" (which side each part of the batch belongs to), "sample_sigmas" (those
    of the run), "memory" (a table that patches keep things in for the length of a run).
    """

    x: Tensor
    timestep: Tensor
    context: Tensor
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    control: Residuals | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LatentFormat:
    """How a VAE's latents (LATENT between nodes) become what the network was trained on; the default is SD1.

    dimensions: 2 for pictures (B, C, H, W), 3 for videos (B, C, T, H, W).
    """

    scale_factor: float = 0.18215
    shift_factor: float = 0.0
    channels: int = 4
    downscale: int = 8
    dimensions: int = 2

    def process_in(self, latent: Tensor) -> Tensor:
        """VAE scale to model scale, any shape."""
        return (latent - self.shift_factor) * self.scale_factor

    def process_out(self, latent: Tensor) -> Tensor:
        """Model scale to VAE scale, any shape."""
        return latent / self.scale_factor + self.shift_factor

    # The names that packs of ComfyUI ask for.

    @property
    def latent_channels(self) -> int:
        """How many channels a latent has."""
        return self.channels

    @property
    def latent_dimensions(self) -> int:
        """How many axes a latent has beside batch and channels."""
        return self.dimensions

    @property
    def latent_rgb_factors(self) -> Factors | None:
        """Red, green and blue of each channel, on the model's scale; None where they are not known."""
        colours = latent_colours(self.channels, self.scale_factor)
        return None if colours is None else colours.factors

    @property
    def latent_rgb_factors_bias(self) -> None:
        """What is added to red, green and blue: nothing."""
        return None

    @property
    def taesd_decoder_name(self) -> str | None:
        """How the file of the tiny decoder begins; None where there is none."""
        colours = latent_colours(self.channels, self.scale_factor)
        return None if colours is None else colours.decoder


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """The sampling run that a conditioning is made ready for.

    shape: that of the latent, (B, C, H, W) or (B, C, T, H, W). noise and latent have it too, on the model's scale
    and device; mask is the latent's noise mask, (B, 1, H, W) for pictures. side: "positive", "negative" or another
    name that the guider has for the conditioning. network: the one that is sampled, which ControlNets must fit.
    controls: the ControlNets that are ready already. seed: that of the noise.
    """

    shape: tuple[int, ...]
    device: torch.device | str = "cpu"
    side: str = "positive"
    latent_format: LatentFormat = field(default_factory=LatentFormat)
    noise: Tensor | None = None
    latent: Tensor | None = None
    mask: Tensor | None = None
    network: Network | None = None
    controls: dict[int, ControlSource] = field(default_factory=dict)
    seed: int = 0

    def control(self, source: ControlSource, sampling: ModelSampling) -> ControlSource:
        """The source made ready, once for all conditionings that hold it, so that they share a batch."""
        # by identity: the conditionings keep the sources alive for as long as the run lasts
        if id(source) not in self.controls:
            self.controls[id(source)] = source.prepared(self, sampling)
        return self.controls[id(source)]


@dataclass(frozen=True, slots=True, eq=False)
class Extras:
    """What a network wants to know of a conditioning beside its text states.

    values: (1 or B, …) each, the same for every part of the picture. spatial: (1 or B, …, H, W) in the size of the
    latent; a conditioning with an area is asked with that part of them.
    """

    values: Mapping[str, Tensor] = field(default_factory=dict)
    spatial: Mapping[str, Tensor] = field(default_factory=dict)


class Network(Protocol):
    """The network itself, without any of the mathematics around it, and its weights."""

    @property
    def family(self) -> str:
        """Its kind: "sd1", "sd2", "sdxl", "sdxl_refiner", "sd3", "flux", …"""

    @property
    def component(self) -> Component:
        """Its weights.

        Raises:
            ModelError: it has none that could be changed.
        """

    def with_component(self, component: Component) -> Self:
        """The same network with other weights."""

    def load(self) -> None:
        """Make the weights ready (cast, moved); cheap when there is nothing left to do."""

    def extras(self, options: Mapping[str, Any], job: Job) -> Extras:
        """What the options of a conditioning become; those that it has no use for are left out.

        Raises:
            ValueError: an option has an impossible value.
        """

    def __call__(self, call: NetworkCall) -> Tensor:
        """The raw network output, shaped like call.x."""


class ControlSource(Protocol):
    """The option "control" of a conditioning: a ControlNet with its picture, perhaps after others."""

    def prepared(self, job: Job, sampling: ModelSampling) -> ControlSource:
        """The same, made ready for a run: its picture in the right size, its range as noise levels."""

    def applies(self, sigma: float) -> bool:
        """Whether it has something to add at this noise level."""

    def residuals(self, x: Tensor, sigma: Tensor, call: NetworkCall) -> Residuals | None:
        """What it adds for the unscaled x (B, …) at sigma (B,); call is what the network will be asked."""


@dataclass(frozen=True, slots=True, eq=False)
class PlainNetwork:
    """A network that is a function without weights of its own: a wrapper, a formula, a test's double."""

    function: Callable[[NetworkCall], Tensor]
    family: str = "plain"

    @property
    def component(self) -> Component:
        """There is none."""
        raise ModelError("the network has no weights that could be changed")

    def with_component(self, component: Component) -> Self:
        """There is no place for it."""
        raise ModelError("the network has no weights that could be changed")

    def load(self) -> None:
        """Nothing to do."""

    def extras(self, options: Mapping[str, Any], job: Job) -> Extras:
        """The pooled text state (1, D), as "pooled_output"."""
        pooled = options.get("pooled_output")
        return Extras() if pooled is None else Extras({"pooled_output": pooled})

    def __call__(self, call: NetworkCall) -> Tensor:
        """What the function gives."""
        return self.function(call)


def _no_options() -> dict[str, Any]:
    return {"transformer_options": {}}


@dataclass(frozen=True, slots=True, eq=False)
class DiffusionModel(PackMethods):
    """The MODEL value: a network, its noise levels, its latent format, its device.

    guidance: how the predictions for the positive and the negative side become one. shows_kept: what a noise mask
    keeps is shown to the network without noise. model_options: what node packs add, under ComfyUI's names;
    "transformer_options" in it goes with each call of the network. A changed model is a `dataclasses.replace` of
    this one, or a `clone` whose options are then written to.
    """

    network: Network
    sampling: ModelSampling
    latent_format: LatentFormat
    device: str = "cpu"
    guidance: Guidance = CLASSIFIER_FREE
    shows_kept: bool = False
    model_options: dict[str, Any] = field(default_factory=_no_options)

    def clone(self) -> Self:
        """The same model with options of its own."""
        return replace(self, model_options=copied_options(self.model_options))

    def patched(self, changes: Mapping[str, Sequence[Change]]) -> Self:
        """The same model with changed weights, by parameter name; see `Component.patched`."""
        component = self.network.component.patched(changes)
        return replace(self.clone(), network=self.network.with_component(component))

    def call(
        self,
        x: Tensor,
        sigma: Tensor,
        context: Tensor,
        extra: Mapping[str, Tensor],
        options: Mapping[str, Any],
        *,
        control: Residuals | None = None,
    ) -> NetworkCall:
        """What the network is asked about the unscaled x (B, …) at sigma (B,)."""
        scaled, timestep = self.sampling.scale_input(sigma, x), self.sampling.timestep(sigma)
        return NetworkCall(scaled, timestep, context, extra, control, options)

    def output(
        self,
        x: Tensor,
        timestep: Tensor,
        context: Tensor,
        extra: Mapping[str, Tensor],
        options: Mapping[str, Any],
        *,
        control: Residuals | None = None,
    ) -> Tensor:
        """What the network itself gives for an x (B, …) that is scaled already, at timestep (B,)."""
        return self.network(NetworkCall(x, timestep, context, extra, control, options))

    def denoised(self, x: Tensor, sigma: Tensor, call: NetworkCall) -> Tensor:
        """The clean latent that the network's answer to the call stands for."""
        return self.sampling.denoised(sigma, self.network(call).float(), x)


def copied_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with tables and lists of their own, down to what they hold, which stays shared."""

    def copied(value: Any) -> Any:  # Any: whatever node packs put there
        if isinstance(value, dict):
            return {key: copied(part) for key, part in value.items()}
        return copy.copy(value) if isinstance(value, list) else value

    return {key: copied(value) for key, value in options.items()}


class Latent(TypedDict):
    """The LATENT value of ComfyUI, on the CPU and in the scale of the VAE.

    samples: (B, C, H/8, W/8) float32 for SD1. noise_mask: (H, W), (B, H, W) or (B, 1, H, W) in 0..1, in any
    resolution; 1 is where the latent is sampled anew. batch_index: the place of each sample in the batch that
    its noise is drawn for.
    """

    samples: Tensor
    noise_mask: NotRequired[Tensor]
    batch_index: NotRequired[list[int]]


Conditioning = list[tuple[Tensor, Mapping[str, Any]]]
"""The CONDITIONING value of ComfyUI: pairs (text states (1, T, D), options such as "pooled_output" or "area").

The options are Any since node packs put whatever they like there. Pairs may also be two-element lists.
"""
