#!/usr/bin/env python3
"""What loading a full-size SD1.5 checkpoint costs: time, the first sampler step, peak memory.

    python benchmarks/checkpoint_load.py [--checkpoint FILE] [--pixels 128] [--device cpu]

Without `--checkpoint` a file of random weights is made first, 1,066 million parameters in float16, 2.1 GB, and
deleted afterwards. The measured part runs in a process of its own. Memory is the resident set, which counts pages
of the file only while they are mapped in. The file is read once before, so that it lies in the page cache if it
fits there.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).parent.parent
Result = TypeVar("Result")


class Table:
    """Prints a line per step: wall and CPU seconds, resident memory after it, and the peak so far."""

    def __init__(self) -> None:
        print(f"{'step':<44}{'wall s':>8}{'CPU s':>8}{'MB now':>9}{'MB peak':>9}")

    def step(self, name: str, work: Callable[[], Result]) -> Result:
        """Do the work and print what it cost."""
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{name:<44}{wall:>8.2f}{cpu:>8.2f}{_resident():>9.0f}{peak:>9.0f}", flush=True)
        return result


def _resident() -> float:
    """Megabytes in memory now; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0.0)


def make_checkpoint(path: Path) -> None:
    """Write the random checkpoint."""
    sys.path.insert(0, str(ROOT))  # the layout is shared with the tests, which are not installed
    from tests.nodes.diffusion import ldm_layout

    ldm_layout.write(path, ldm_layout.sd15())


def measure(path: Path, pixels: int, device: str) -> None:
    """Load, encode a prompt, sample one step with guidance and decode, step by step."""
    table = Table()
    table.step("import torch, diffusers, transformers", _import_libraries)

    import torch

    from graphengine_nodes.diffusion.families.families import load_clip, load_model
    from graphengine_nodes.diffusion.model.model import Conditioning
    from graphengine_nodes.diffusion.sampling import ksampler
    from graphengine_nodes.diffusion.text.text_encode import require_clip
    from graphengine_nodes.diffusion.vae.vae import load_vae, require_vae
    from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

    checkpoint = table.step("open: read and check the header", lambda: open_checkpoint(path))
    model = table.step("load the UNet (mapped)", lambda: load_model(checkpoint, device))
    clip = require_clip(table.step("load CLIP (mapped)", lambda: load_clip(checkpoint, device)))
    vae = require_vae(table.step("load the VAE (mapped)", lambda: load_vae(checkpoint, device)))
    encoded = table.step("first prompt (CLIP is cast)", lambda: clip.encode("a photo of a (red:1.2) cat"))
    table.step("second prompt", lambda: clip.encode("blurry"))
    table.step("first use of the UNet (it is cast)", model.network.load)
    condition: Conditioning = encoded.conditioning()

    def one_step() -> torch.Tensor:
        empty = torch.zeros(1, 4, pixels // 8, pixels // 8)
        return ksampler.sample(
            model,
            seed=1,
            steps=1,
            cfg=7.0,
            sampler_name="euler",
            scheduler="normal",
            positive=condition,
            negative=condition,
            latent={"samples": empty},
        )["samples"]

    size = f"{pixels}x{pixels}, guidance 7"
    latent = table.step(f"first sampler step, {size}", one_step)
    table.step(f"second sampler step, {size}", one_step)
    table.step("first decode (the decoder is cast)", lambda: vae.decode(latent))


def _import_libraries() -> None:
    import diffusers
    import transformers

    # Both import lazily: naming the classes is what costs.
    _ = diffusers.UNet2DConditionModel, diffusers.AutoencoderKL, transformers.CLIPTextModel


def _read_whole(path: Path) -> float:
    begun = time.perf_counter()
    with path.open("rb") as file:
        while file.read(1 << 24):
            pass
    return time.perf_counter() - begun


def main() -> None:
    """Make the file when none is given, then measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, metavar="FILE")
    parser.add_argument("--pixels", type=int, default=128, help="width and height of the picture")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--part", choices=["make", "measure"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part == "make":
        make_checkpoint(args.checkpoint)
        return
    if args.part == "measure":
        measure(args.checkpoint, args.pixels, args.device)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = args.checkpoint or Path(folder) / "sd15_random.safetensors"
        # In processes of their own: the peak of memory is inherited from the process that starts another.
        command = [sys.executable, __file__, "--checkpoint", str(path), "--device", args.device]
        if args.checkpoint is None:
            subprocess.run([*command, "--part", "make"], check=True)
        seconds = _read_whole(path)
        print(f"{path.stat().st_size / 1e9:.2f} GB, file read {seconds:.1f} s", flush=True)
        subprocess.run([*command, "--part", "measure", "--pixels", str(args.pixels)], check=True)


if __name__ == "__main__":
    main()
