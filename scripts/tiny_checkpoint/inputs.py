"""The input pictures of the example workflows, made from the pictures the checkpoint was trained on."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image

from . import data

NAME = "red apple"


def write(dataset: data.DataSet, folder: Path) -> None:
    """A red apple on white, and the same with a transparent right half: the part to paint anew."""
    at = next(index for index, entry in enumerate(dataset.entries) if entry.name == NAME)
    picture = dataset.on_white(64)[at].permute(1, 2, 0).mul(255).round().to(torch.uint8)
    alpha = torch.full((64, 64, 1), 255, dtype=torch.uint8)
    alpha[:, 32:] = 0
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture.numpy(), "RGB").save(folder / "apple.png")
    Image.fromarray(torch.cat([picture, alpha], 2).numpy(), "RGBA").save(folder / "apple_mask.png")
