#!/usr/bin/env python3
"""What a step of the SD1.5-size UNet costs: ours, with packed weights and without, against diffusers' bare module.

    python benchmarks/unet_step.py [--latents 16,32,64] [--batch 2] [--rounds 5] [--threads 1]

The weights are random, the module is the same for all: 860 million parameters in float32. Each round calls the
four in turn, so that what else the machine does meets all of them; the figures are CPU seconds, smallest of the
rounds, and the ratios of those to the bare call.

    bare            the module's own forward
    ours            the walk over the module's layers, with the hooks for patches, weights as they are
    ours, packed    the same with the weights in oneDNN's order: what graphengine runs
    channels_last   the module's own forward with weights and input in that memory format
"""

import argparse
import copy
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "nodes")]


def unet() -> nn.Module:
    """The UNet of SD1.5 with random weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from diffusers import UNet2DConditionModel
    with torch.device("meta"):
        module: nn.Module = UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8)
    module = module.to_empty(device="cpu").requires_grad_(False).eval()
    generator = torch.Generator().manual_seed(0)
    for name, weight in module.named_parameters():
        if weight.ndim > 1:
            weight.normal_(0.0, weight[0].numel() ** -0.5, generator=generator)
        else:
            weight.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
    return module


def ways(module: nn.Module) -> dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]]:
    """The four ways to call it: x (B, 4, H, W), timestep (B,), context (B, 77, 768) → (B, 4, H, W)."""
    from graphengine_nodes.diffusion.model.model import NetworkCall
    from graphengine_nodes.diffusion.unet import unet
    from graphengine_nodes.diffusion.weights import packing

    packed, last = copy.deepcopy(module), copy.deepcopy(module).to(memory_format=torch.channels_last)
    packing.pack(packed, lambda name: lambda parameter: None)

    def bare(x: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        result: Tensor = module(x, timestep, context, return_dict=False)[0]
        return result

    def channels_last(x: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        result: Tensor = last(x.to(memory_format=torch.channels_last), timestep, context, return_dict=False)[0]
        return result

    return {
        "bare": bare,
        "ours": lambda x, timestep, context: unet.run(module, NetworkCall(x, timestep, context)),
        "ours, packed": lambda x, timestep, context: unet.run(packed, NetworkCall(x, timestep, context)),
        "channels_last": channels_last,
    }


@torch.no_grad()
def measure(module: nn.Module, sizes: list[int], batch: int, rounds: int) -> None:
    """Print a line per latent size and way."""
    known = ways(module)
    print(f"{'latent':>8} {'way':<16}{'CPU s':>8}{'ratio':>8}{'largest difference / largest value':>36}")
    for size in sizes:
        generator = torch.Generator().manual_seed(1)
        x, context = (
            torch.randn(shape, generator=generator) for shape in ((batch, 4, size, size), (batch, 77, 768))
        )
        timestep = torch.full((batch,), 500.0)
        for _ in range(3):  # weights that were packed for another size are packed anew at the third call
            results = {name: way(x, timestep, context) for name, way in known.items()}
        best = dict.fromkeys(known, float("inf"))
        for _ in range(rounds):
            for name, way in known.items():
                start = time.process_time()
                way(x, timestep, context)
                best[name] = min(best[name], time.process_time() - start)
        for name, seconds in best.items():
            off = float((results[name] - results["bare"]).abs().max() / results["bare"].abs().max())
            print(
                f"{size:>5}x{size:<3}{name:<16}{seconds:>8.2f}{seconds / best['bare']:>8.3f}{off:>36.1e}",
                flush=True,
            )


def main() -> None:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latents", default="16,32,64")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    measure(unet(), [int(size) for size in given.latents.split(",")], given.batch, given.rounds)


if __name__ == "__main__":
    main()
