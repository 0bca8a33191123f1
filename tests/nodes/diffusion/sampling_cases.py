"""What the sampling tests share: reference cases, and small models with known answers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from graphengine_nodes.diffusion.model.model import DiffusionModel, LatentFormat, NetworkCall, PlainNetwork
from graphengine_nodes.diffusion.model.model_sampling import DiscreteSampling, FlowSampling, ModelSampling
from graphengine_nodes.diffusion.sampling.sampling import Guided

ASSETS = Path(__file__).parent / "assets"

MODEL_SAMPLINGS: Mapping[str, ModelSampling] = {
    "eps": DiscreteSampling.linear(),
    "eps_zsnr": DiscreteSampling.linear("v", zero_terminal_snr=True),
    "flow_shift1": FlowSampling.shifted(1.0),
    "flow_shift3": FlowSampling.shifted(3.0),
    "flux_shift1.15": FlowSampling.exponentially_shifted(1.15),
}


def reference_cases(name: str) -> list[dict[str, Any]]:
    """The cases of an asset: reference outputs, float32, made on a CPU."""
    cases: list[dict[str, Any]] = json.loads((ASSETS / f"{name}.json").read_text())["cases"]
    return cases


@dataclass
class AnalyticDenoiser:
    """The model of the reference outputs: cond = 0.8 tanh(x / sqrt(1 + sigma^2) + channel / 10), guided at cfg."""

    sampling: ModelSampling
    cfg: float
    calls: int = 0

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.guided(x, sigma).denoised

    def guided(self, x: Tensor, sigma: Tensor) -> Guided:
        self.calls += 1
        channel = torch.arange(x.shape[1]).reshape(1, -1, 1, 1)
        cond = 0.8 * torch.tanh(x / torch.sqrt(1 + sigma * sigma) + 0.1 * channel)
        uncond = 0.9 * cond - 0.05 * torch.cos(x)
        return Guided(uncond + self.cfg * (cond - uncond), uncond)


@dataclass
class GaussianDenoiser:
    """The ideal denoiser of latents that are N(mean, deviation^2): every sampler has a closed-form answer."""

    mean: float = 0.5
    deviation: float = 0.8
    sampling: ModelSampling = field(default_factory=DiscreteSampling.linear)

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        variance = self.deviation**2
        return (variance * x + sigma**2 * self.mean) / (variance + sigma**2)

    def guided(self, x: Tensor, sigma: Tensor) -> Guided:
        denoised = self(x, sigma)
        return Guided(denoised, denoised)

    def flow(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Where the probability-flow ODE carries x from sigma to 0."""
        shrink: Tensor = self.deviation / (self.deviation**2 + sigma**2).sqrt()
        return self.mean + (x - self.mean) * shrink


@dataclass
class RecordingNetwork:
    """The function of a network whose noise prediction follows the text; notes what it was asked.

    The prediction is tanh(x) times the mean of the text's states.
    """

    seen: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list)  # (x, timestep, context) of each call

    def __call__(self, call: NetworkCall) -> Tensor:
        self.seen.append((call.x, call.timestep, call.context))
        return torch.tanh(call.x) * call.context.mean(dim=(1, 2)).reshape(-1, *[1] * (call.x.ndim - 1))


def tiny_model(network: RecordingNetwork | None = None, sampling: ModelSampling | None = None) -> DiffusionModel:
    return DiffusionModel(
        PlainNetwork(network or RecordingNetwork()), sampling or MODEL_SAMPLINGS["eps"], LatentFormat()
    )


def text(value: float, tokens: int = 3, **options: Any) -> tuple[Tensor, dict[str, Any]]:
    """One entry of a CONDITIONING whose states are all this value."""
    return torch.full((1, tokens, 2), value), options
