"""The MODEL and LATENT values that the diffusion nodes hand to each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NotRequired, Protocol, TypedDict

from torch import Tensor

from .combining import CLASSIFIER_FREE, Guidance
from .model_sampling import ModelSampling


class ApplyModel(Protocol):
    """The network itself, without any of the mathematics around it."""

    def __call__(self, x: Tensor, timestep: Tensor, context: Tensor, extra: Mapping[str, Tensor]) -> Tensor:
        """The raw network output, shaped like x.

        x: (B, C, H, W) float32, already scaled by `ModelSampling.scale_input`. timestep: (B,) float32.
        context: (B, T, D) text states. extra: more inputs per sample by name, such as "pooled_output" (B, D);
        a network ignores those that it does not know.
        """


@dataclass(frozen=True, slots=True)
class LatentFormat:
    """How a VAE's latents (LATENT between nodes) become what the network was trained on; the default is SD1."""

    scale_factor: float = 0.18215
    shift_factor: float = 0.0
    channels: int = 4
    downscale: int = 8

    def process_in(self, latent: Tensor) -> Tensor:
        """VAE scale to model scale, any shape."""
        return (latent - self.shift_factor) * self.scale_factor

    def process_out(self, latent: Tensor) -> Tensor:
        """Model scale to VAE scale, any shape."""
        return latent / self.scale_factor + self.shift_factor


def _nothing_to_load() -> None:
    """The default `DiffusionModel.load`: the weights are ready."""


@dataclass(frozen=True, slots=True, eq=False)
class DiffusionModel:
    """The MODEL value: a network, its noise levels, its latent format, its device.

    `load` makes the weights ready on the device (cast, moved), is called once before each sampling run and
    must be cheap when there is nothing left to do. A patched model is a `dataclasses.replace` of this one.
    guidance: how the predictions for the positive and the negative conditioning become one.
    """

    apply: ApplyModel
    sampling: ModelSampling
    latent_format: LatentFormat
    device: str = "cpu"
    load: Callable[[], None] = _nothing_to_load
    guidance: Guidance = CLASSIFIER_FREE


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
