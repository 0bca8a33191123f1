#!/usr/bin/env python3
"""How far the samplers and schedules are from reference numbers.

    python benchmarks/sampling_agreement.py --reference DIR

DIR holds `samplers.json` and `schedules.json`, what another implementation gave on a CPU in float32. The samplers
run on an analytic model, so that only they are tested. Printed are the largest difference of each sampler in each
setting over the largest value of the reference, the model calls where they differ, and for each schedule the
largest relative difference over all step counts. Limits: 1e-4 for samplers, 1e-6 for schedules; exit code 1 when
one is exceeded. In `samplers.json` the noise of the steps starts from the seed itself (see `ancestral_noise`).
"""

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from graphengine_nodes.diffusion.model.model_sampling import DiscreteSampling, FlowSampling, ModelSampling
from graphengine_nodes.diffusion.sampling.noise import ancestral_noise, brownian_noise
from graphengine_nodes.diffusion.sampling.samplers import SAMPLER_FUNCTIONS
from graphengine_nodes.diffusion.sampling.sampling import Guided, no_callback
from graphengine_nodes.diffusion.sampling.schedules import SCHEDULES, calculate_sigmas

SAMPLER_LIMIT = 1e-4
SCHEDULE_LIMIT = 1e-6


def model_samplings() -> dict[str, ModelSampling]:
    """The kinds of model, by the names that the reference has for them."""
    return {
        "eps": DiscreteSampling.linear(),
        "eps_zsnr": DiscreteSampling.linear("v", zero_terminal_snr=True),
        "flow_shift1": FlowSampling.shifted(1.0),
        "flow_shift3": FlowSampling.shifted(3.0),
        "flux_shift1.15": FlowSampling.exponentially_shifted(1.15),
    }


@dataclass
class AnalyticDenoiser:
    """The model of the reference: cond = 0.8 tanh(x / sqrt(1 + sigma^2) + channel / 10), guided at cfg."""

    sampling: ModelSampling
    cfg: float
    calls: int = 0

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """The denoised latent."""
        return self.guided(x, sigma).denoised

    def guided(self, x: Tensor, sigma: Tensor) -> Guided:
        """The denoised latent and the unconditional prediction."""
        self.calls += 1
        channel = torch.arange(x.shape[1]).reshape(1, -1, 1, 1)
        cond = 0.8 * torch.tanh(x / torch.sqrt(1 + sigma * sigma) + 0.1 * channel)
        uncond = 0.9 * cond - 0.05 * torch.cos(x)
        return Guided(uncond + self.cfg * (cond - uncond), uncond)


def sampler_difference(name: str, case: Mapping[str, Any], sampling: ModelSampling) -> tuple[float, int]:
    """The largest difference over the largest value of the reference, and the calls more than its own."""
    sigmas = torch.tensor(case["sigmas"])
    x = torch.tensor(case["x_init"]).reshape(case["shape"])
    expected = torch.tensor(case["samplers"][name]["out"]).reshape(case["shape"])
    sampler = SAMPLER_FUNCTIONS[name]
    noise = (
        brownian_noise(x, case["seed"], sigmas)
        if sampler.noise == "brownian"
        else ancestral_noise(x, case["seed"], seed_offset=0)
    )
    model = AnalyticDenoiser(sampling, case["cfg"])
    sampled = sampler.function(model, x, sigmas, callback=no_callback, noise_sampler=noise)
    difference = float((sampled - expected).abs().max() / expected.abs().max())
    return difference, model.calls - case["samplers"][name]["calls"]


def schedule_difference(case: Mapping[str, Any], sampling: ModelSampling) -> float:
    """The largest relative difference of a sigma; infinite when there are more or fewer."""
    expected = torch.tensor(case["sigmas"])
    sigmas = calculate_sigmas(sampling, case["scheduler"], case["steps"])
    if sigmas.shape != expected.shape:
        return float("inf")
    known = ~expected.isnan()  # the reference divides 0 by 0 for one step of kl_optimal
    return float(((sigmas - expected).abs() / expected.abs().clamp(min=1e-6))[known].max())


def report_samplers(cases: list[Mapping[str, Any]], kinds: Mapping[str, ModelSampling]) -> float:
    """Print the table of samplers; the largest difference."""
    heads = [f"{case['model_sampling']} {case['scheduler']} {case['steps']}" for case in cases]
    print(f"{'sampler':32}" + "".join(f"{head:>24}" for head in heads))
    worst = 0.0
    for name in SAMPLER_FUNCTIONS:
        cells = []
        for case in cases:
            difference, calls = sampler_difference(name, case, kinds[case["model_sampling"]])
            worst = max(worst, difference if difference == difference else float("inf"))
            cells.append(f"{difference:.1e}" + (f" ({calls:+d} calls)" if calls else ""))
        print(f"{name:32}" + "".join(f"{cell:>24}" for cell in cells))
    return worst


def report_schedules(cases: list[Mapping[str, Any]], kinds: Mapping[str, ModelSampling]) -> float:
    """Print the table of schedules over all step counts; the largest difference."""
    steps = sorted({case["steps"] for case in cases})
    print(
        f"\n{'scheduler (steps ' + ', '.join(map(str, steps)) + ')':32}" + "".join(f"{kind:>16}" for kind in kinds)
    )
    worst = 0.0
    for name in SCHEDULES:
        cells = []
        for kind, sampling in kinds.items():
            found = [c for c in cases if c["scheduler"] == name and c["model_sampling"] == kind]
            difference = max((schedule_difference(case, sampling) for case in found), default=float("nan"))
            worst = max(worst, difference if difference == difference else float("inf"))
            cells.append(f"{difference:.1e}")
        print(f"{name:32}" + "".join(f"{cell:>16}" for cell in cells))
    return worst


def main() -> int:
    """Print both tables; 1 when a difference is above its limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reference", type=Path, required=True, help="folder of samplers.json and schedules.json")
    reference = parser.parse_args().reference
    kinds = model_samplings()
    samplers = report_samplers(json.loads((reference / "samplers.json").read_text()), kinds)
    schedules = report_schedules(json.loads((reference / "schedules.json").read_text()), kinds)
    print(f"\nlargest: samplers {samplers:.1e} (limit {SAMPLER_LIMIT:g}), "
          f"schedules {schedules:.1e} (limit {SCHEDULE_LIMIT:g})")  # fmt: skip
    return int(samplers > SAMPLER_LIMIT or schedules > SCHEDULE_LIMIT)


if __name__ == "__main__":
    sys.exit(main())
