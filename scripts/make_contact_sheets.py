"""Contact sheets of the tiny checkpoint, made with the built-in nodes' own functions.

    python scripts/make_contact_sheets.py [--out docs/images] [--checkpoint FILE]

Writes tiny_txt2img.png, forty prompts with three seeds each, and tiny_img2img.png, pictures turned into others at
four strengths.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "nodes")]

from graphengine_nodes.diffusion.families.families import load_checkpoint  # noqa: E402
from graphengine_nodes.diffusion.model.model import Conditioning, DiffusionModel, Latent  # noqa: E402
from graphengine_nodes.diffusion.sampling.ksampler import sample  # noqa: E402
from graphengine_nodes.diffusion.text.text_encode import TextEncoder, require_clip  # noqa: E402
from graphengine_nodes.diffusion.vae.vae import VAE, require_vae  # noqa: E402
from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint  # noqa: E402

CHECKPOINT = ROOT / "nodes/graphengine_nodes/models/checkpoints/graphengine_tiny.safetensors"
PROMPTS = (
    *("red apple", "banana", "strawberry", "watermelon", "avocado"),
    *("carrot", "pizza", "hamburger", "doughnut", "mushroom"),
    *("cat face", "dog face", "fox", "panda", "penguin"),
    *("frog", "octopus", "tulip", "sunflower", "cactus"),
    *("palm tree", "Christmas tree", "house", "car", "bus"),
    *("airplane", "rocket", "sailboat", "moon", "star"),
    *("rainbow", "umbrella", "snowman", "pumpkin", "heart"),
    *("balloon", "gift", "soccer ball", "basketball", "guitar"),
)
SEEDS = (1, 2, 3)
COLUMNS = 5
CHANGES = (("red apple", "green apple"), ("car", "bus"), ("soccer ball", "basketball"), ("cat face", "fox"))
STRENGTHS = (0.4, 0.55, 0.7, 0.85)
SHOWN, GAP, LABEL = 96, 12, 22


@dataclass(frozen=True, slots=True)
class Tiny:
    """The three parts of the checkpoint and the settings of the example workflows."""

    model: DiffusionModel
    clip: TextEncoder
    vae: VAE
    steps: int = 20
    cfg: float = 2.5

    def picture(self, prompt: str, seed: int, source: Tensor | None = None, denoise: float = 1.0) -> Tensor:
        """One picture, (1, 64, 64, 3) in 0..1: of noise, or of a source picture of that shape."""
        samples = torch.zeros(1, 4, 8, 8) if source is None else self.vae.encode(source)
        latent: Latent = {"samples": samples}
        result = sample(
            self.model,
            seed=seed,
            steps=self.steps,
            cfg=self.cfg,
            sampler_name="dpmpp_2m",
            scheduler="karras",
            positive=self._encode(prompt),
            negative=self._encode(""),
            latent=latent,
            denoise=denoise,
        )
        return self.vae.decode(result["samples"])

    def _encode(self, text: str) -> Conditioning:
        return self.clip.encode(text).conditioning()


def load(path: Path) -> Tiny:
    """The parts of a checkpoint file, on the CPU."""
    model, clip, vae = load_checkpoint(open_checkpoint(path), "cpu")
    return Tiny(model, require_clip(clip), require_vae(vae))


def txt2img(tiny: Tiny) -> Image.Image:
    """Every prompt with every seed."""
    cells = [(prompt, [tiny.picture(prompt, seed) for seed in SEEDS]) for prompt in PROMPTS]
    return _sheet(cells, COLUMNS)


def img2img(tiny: Tiny) -> Image.Image:
    """Pictures, each followed by what another prompt makes of it at rising strength."""
    cells = []
    for source, prompt in CHANGES:
        start = tiny.picture(source, SEEDS[0])
        changed = [tiny.picture(prompt, SEEDS[1], start, strength) for strength in STRENGTHS]
        strengths = ", ".join(str(strength) for strength in STRENGTHS)
        cells.append((f"{source}, then {prompt!r} at denoise {strengths}", [start, *changed]))
    return _sheet(cells, 1)


def _sheet(cells: list[tuple[str, list[Tensor]]], columns: int) -> Image.Image:
    wide = SHOWN * len(cells[0][1]) + GAP
    high = SHOWN + LABEL + GAP
    sheet = Image.new("RGB", (wide * columns + GAP, high * -(-len(cells) // columns) + GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for number, (label, pictures) in enumerate(cells):
        left, top = GAP + number % columns * wide, GAP + number // columns * high
        draw.text((left, top), label, fill="black", font=font)
        for at, picture in enumerate(pictures):
            sheet.paste(_image(picture), (left + at * SHOWN, top + LABEL))
    return sheet


def _image(picture: Tensor) -> Image.Image:
    pixels = picture[0].mul(255).round().to(torch.uint8).numpy()
    return Image.fromarray(np.ascontiguousarray(pixels)).resize((SHOWN, SHOWN), Image.Resampling.BICUBIC)


def main() -> None:
    """Write both sheets and say how long a picture took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs/images")
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    tiny = load(arguments.checkpoint)
    tiny.picture(PROMPTS[0], 0)
    wall, used = time.monotonic(), time.process_time()
    txt2img(tiny).save(arguments.out / "tiny_txt2img.png", optimize=True)
    wall, used = time.monotonic() - wall, time.process_time() - used
    count = len(PROMPTS) * len(SEEDS)
    print(f"{count} pictures, each {wall / count:.2f} s, {used / count:.2f} s of processor time")
    img2img(tiny).save(arguments.out / "tiny_img2img.png", optimize=True)


if __name__ == "__main__":
    main()
