"""The pictures of docs/image-to-image.md, made by running the example workflows.

    python scripts/make_image_to_image_pictures.py [--out docs/images/image-to-image] [--only NAME …]

Needs graphengine to be installed. Runs img2img_explained.json once and img2img.json in sweeps; takes some minutes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/image-to-image.md"
WORKFLOWS = ROOT / "workflows"
EXPLAINED = WORKFLOWS / "img2img_explained.json"
IMG2IMG = WORKFLOWS / "img2img.json"
SMALLER = ("--set", "ImageScaleBy.scale_by=1.5")
SWEEPS = {
    "steps": (IMG2IMG, *SMALLER, "--sweep", "steps=1,2,3,5,10,20"),
    "samplers": (
        *(IMG2IMG, *SMALLER, "--sweep", "sampler_name=euler,heun,euler_ancestral,dpmpp_2m,dpmpp_2m_sde,lcm"),
        *("--sweep", "steps=3,6,20"),
    ),
    "cfg": (IMG2IMG, *SMALLER, "--sweep", "cfg=0,1,2.5,5,10,20"),
    "seed_and_denoise": (
        IMG2IMG,
        *SMALLER,
        "--sweep",
        "seed=1..3",
        "--sweep",
        "denoise=0.02,0.05,0.1,0.15,0.2,0.7",
    ),
    "schedulers": (
        *(IMG2IMG, *SMALLER, "--set", "KSampler.steps=6"),
        *("--sweep", "scheduler=karras,normal,simple,exponential,sgm_uniform,beta"),
    ),
    "posterior_temperature": (
        *(EXPLAINED, "--target", "Save decoded sample", "--sweep", "Posterior.temperature=0,1,2,4,8,16"),
    ),
    "prior_temperature": (
        *(EXPLAINED, "--target", "Save samples", "--sweep", "Small VAE, samples.temperature=0,0.5,1,2"),
    ),
    "contrast_temperature": (
        *(EXPLAINED, "--target", "Save contrastive loss", "--sweep", "Contrastive loss.temperature=0.05,0.2,1,5"),
    ),
}
"""What `graphengine run` is given for each contact sheet."""
STACKED = frozenset({"prior_temperature"})
"""Sweeps whose pictures are strips, to be put below each other."""


def main() -> None:
    """Write the pictures that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs/images/image-to-image")
    parser.add_argument("--only", nargs="+", choices=["explained", *SWEEPS], default=["explained", *SWEEPS])
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for wanted in arguments.only:
            if wanted == "explained":
                _explained(folder, arguments.out)
            else:
                _sweep(wanted, folder, arguments.out)


def _explained(folder: Path, out: Path) -> None:
    """The pictures that the workflow saves and the page shows."""
    shown = PAGE.read_text()
    _run(folder, [EXPLAINED, "--output", folder / "output"])
    for picture in sorted((folder / "output" / EXPLAINED.stem).glob("*.png")):
        name = f"{picture.stem.removesuffix('_00001_')}.png"
        if f"/{name})" in shown:
            _keep(picture, out / name)


def _sweep(name: str, folder: Path, out: Path) -> None:
    """The contact sheet of a sweep, or its strips in one picture."""
    _run(folder, [*SWEEPS[name], "--output-dir", folder / name])
    if name in STACKED:
        _stack(sorted((folder / name).glob("[0-9]*.png")), folder / name / "sheet.png")
    _keep(folder / name / "sheet.png", out / f"{name}.png")


def _stack(pictures: Sequence[Path], place: Path) -> None:
    """Pictures of one width below each other."""
    parts = [Image.open(picture).convert("RGB") for picture in pictures]
    sheet = Image.new("RGB", (max(part.width for part in parts), sum(part.height for part in parts)), "white")
    top = 0
    for part in parts:
        sheet.paste(part, (0, top))
        top += part.height
    sheet.save(place)


def _run(folder: Path, arguments: Sequence[str | Path]) -> None:
    command = [sys.executable, "-m", "graphengine.cli", "run", *map(str, arguments), "--quiet"]
    subprocess.run([*command, "--cache", str(folder / "cache")], cwd=folder, check=True)


def _keep(picture: Path, place: Path) -> None:
    """A copy without the workflow inside, with the 256 colours that suit it best."""
    with Image.open(picture) as opened:
        opened.convert("RGB").quantize(256, kmeans=2).save(place, optimize=True)
    print(f"{place.name}: {place.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
