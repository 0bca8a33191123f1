#!/usr/bin/env python3
"""Decoding in tiles against decoding whole: how far they differ, and the memory that each takes.

    python benchmarks/tiled_decode.py [--checkpoint FILE] [--device cpu] [--width 64]

Without `--checkpoint` a VAE of SD1.5's layout and random weights is made first, whose widest layers have 4 times
`--width` channels (128 is SD1.5's own). Memory is measured in a process of its own for each line: on a CPU, Linux
only, what the resident set grew by at its peak; on a CUDA device what torch allocated at its peak.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
WHOLE = 0
#: Pixels of the picture and of a tile; a tile of 0 decodes whole.
CASES = ((256, WHOLE), (512, WHOLE), (1024, WHOLE), (512, 128), (1024, 128), (1024, 256), (1024, 512))


def make_vae(path: Path, width: int) -> None:
    """Write the random VAE."""
    sys.path.insert(0, str(ROOT))  # the layout is shared with the tests, which are not installed
    from tests.nodes.diffusion import ldm_layout

    widths = (width, 2 * width, 4 * width, 4 * width)
    shapes = {ldm_layout.VAE + name: shape for name, shape in ldm_layout.kl(widths, 2).items()}
    ldm_layout.write(path, shapes)


def measure(path: Path, device: str, pixels: int, tile: int) -> None:
    """Print megabytes at the peak and seconds of one decode."""
    import torch

    from graphengine_nodes.diffusion.vae.vae import load_vae_file
    from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

    vae = load_vae_file(open_checkpoint(path), device)
    vae.decode(torch.zeros(1, vae.latent_channels, 2, 2))  # the weights are cast
    latent = torch.randn(
        1, vae.latent_channels, pixels // 8, pixels // 8, generator=torch.Generator().manual_seed(0)
    )
    before = _reset(device)
    start = time.perf_counter()
    if tile == WHOLE:
        vae.decode(latent)
    else:
        vae.decode_tiled(latent, tile_x=tile // 8, tile_y=tile // 8, overlap=tile // 32)
    print(f"{_peak(device) - before:.1f} {time.perf_counter() - start:.2f}")


def _reset(device: str) -> float:
    """Forget the peak so far; gives the megabytes that are in use."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated() / 2**20
    Path("/proc/self/clear_refs").write_text("5")  # see proc(5)
    return _status("VmRSS")


def _peak(device: str) -> float:
    if device.startswith("cuda"):
        import torch

        return torch.cuda.max_memory_allocated() / 2**20
    return _status("VmHWM")


def _status(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def compare(path: Path, device: str, pixels: int) -> None:
    """Print how far tiles of half the picture differ from the whole, in levels of 255."""
    import torch

    from graphengine_nodes.diffusion.vae.vae import load_vae_file
    from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

    vae = load_vae_file(open_checkpoint(path), device)
    latent = torch.randn(
        1, vae.latent_channels, pixels // 8, pixels // 8, generator=torch.Generator().manual_seed(0)
    )
    whole = vae.decode(latent)
    for tile in (pixels // 2, pixels // 4):
        tiled = vae.decode_tiled(latent, tile_x=tile // 8, tile_y=tile // 8, overlap=tile // 32)
        difference = (tiled - whole).abs() * 255
        seams = (tiled.diff(dim=2).abs().amax() / whole.diff(dim=2).abs().amax()).item()
        print(
            f"{pixels}x{pixels} in tiles of {tile}: largest difference {difference.max():.2f} of 255 levels, "
            f"mean {difference.mean():.3f}; largest step between neighbours {seams:.2f} of that of the whole"
        )


def main() -> None:
    """Make the VAE, compare, and print the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--case", nargs=2, type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        measure(given.checkpoint, given.device, *given.case)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = given.checkpoint or Path(folder) / "vae.safetensors"
        if given.checkpoint is None:
            make_vae(path, given.width)
        compare(path, given.device, 512)
        print(f"{'picture':>9}{'tile':>7}{'MB at peak':>12}{'seconds':>9}")
        for pixels, tile in CASES:
            command = [sys.executable, __file__, "--checkpoint", str(path), "--device", given.device]
            command += ["--case", str(pixels), str(tile)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            memory, seconds = done.stdout.split()
            print(f"{pixels:>9}{tile or 'whole':>7}{memory:>12}{seconds:>9}", flush=True)


if __name__ == "__main__":
    main()
