"""Training of the autoencoder: whole pictures, crops of larger ones, some on coloured backgrounds."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from . import data
from .loop import Run, batch_indices, generator
from .models import TinyAutoencoder

BATCH = 16
STEPS = 5_200
ENCODER_FROZEN_AFTER = 0.62
STAGE = 1


def train(folder: Path, steps: int = STEPS) -> None:
    """Train, or go on training, up to `steps`; after 62 % of them the encoder stays as it is."""
    torch.manual_seed(STAGE)
    pictures = data.load(folder / "data.pt")
    model = TinyAutoencoder().to(memory_format=torch.channels_last)
    groups = [{"params": model.parameters(), "lr": 2e-3, "weight_decay": 1e-4}]
    run = Run("autoencoder", folder, model, groups, decay=0.998)
    weights = torch.tensor([2 if entry.emphasised else 1 for entry in pictures.entries])

    def loss_of(step: int) -> dict[str, Tensor]:
        frozen = step >= ENCODER_FROZEN_AFTER * steps
        if frozen and step % 50 == 0:
            _use_average_encoder(run)
        g = generator(STAGE, step)
        x = views(pictures, batch_indices(step, BATCH, weights), g, 0.15 if frozen else 0.3)
        return losses(model, x, g, frozen)

    run.train(steps, loss_of)
    run.log(psnr=round(psnr(averaged(folder), pictures.on_white(64)), 2))


def _use_average_encoder(run: Run) -> None:
    """From the freeze on, the encoder is the moving average of itself and no longer learns."""
    encoder = run.model.taesd_encoder
    prefix = "taesd_encoder."
    encoder.load_state_dict({k.removeprefix(prefix): v for k, v in run.ema.items() if k.startswith(prefix)})
    encoder.requires_grad_(False)
    for parameter in encoder.parameters():
        parameter.grad = None


def views(pictures: data.DataSet, index: Tensor, g: torch.Generator, changed: float) -> Tensor:
    """One 64x64 view of each picture: the plain one, or with a chance shifted, cropped from 128 px, recoloured."""
    chance = torch.rand(len(index), 4, generator=g)
    colours = torch.rand(len(index), 3, generator=g).where(chance[:, :1] < changed / 3, torch.ones(()))
    large = pictures.on(colours, index)
    shifts = torch.randint(-6, 7, (len(index), 2), generator=g).tolist()
    corners = torch.randint(0, 9, (len(index), 2), generator=g).tolist()
    result = []
    for picture, roll, shift, corner in zip(large, chance, shifts, corners, strict=True):
        flipped = picture.flip(-1) if roll[1] < changed / 2 else picture
        if roll[2] < changed:
            top, left = corner[0] * 8, corner[1] * 8
            result.append(flipped[:, top : top + 64, left : left + 64])
        elif roll[3] < changed:
            result.append(data.shrink(flipped.roll(tuple(shift), (1, 2)), 2))
        else:
            result.append(data.shrink(flipped, 2))
    return torch.stack(result).contiguous(memory_format=torch.channels_last)


def losses(model: TinyAutoencoder, x: Tensor, g: torch.Generator, frozen: bool) -> dict[str, Tensor]:
    """Absolute, squared, edge and coarse errors of the pictures decoded from slightly noisy latents."""
    with torch.autocast("cpu", torch.bfloat16):
        with torch.set_grad_enabled(not frozen):
            latent = model.taesd_encoder(x).float()
        spread = 0.1 * torch.rand(len(x), 1, 1, 1, generator=g)
        noisy = latent + spread * torch.randn(latent.shape, generator=g)
        y = model.taesd_decoder(noisy).float()
    error = y - x
    squared = error.square().mean()
    edges = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    halved, quartered = F.avg_pool2d(error, 2), F.avg_pool2d(error, 4)
    coarse = halved.abs().mean() + quartered.abs().mean() + 20 * quartered.square().mean()
    spread_of_latents = latent.square().mean()
    total = error.abs().mean() + 4 * squared + edges + 0.5 * coarse + 2e-3 * spread_of_latents
    return {"loss": total, "mse": squared.detach(), "latent": spread_of_latents.detach()}


def averaged(folder: Path) -> TinyAutoencoder:
    """The autoencoder with averaged weights, as exported."""
    model = TinyAutoencoder()
    model.load_state_dict(torch.load(folder / "autoencoder.pt", weights_only=True)["ema"])
    return model.eval().requires_grad_(False)


def psnr(model: TinyAutoencoder, pictures: Tensor) -> float:
    """Peak signal-to-noise ratio in dB over all given pictures, decoded from clean latents."""
    with torch.inference_mode():
        errors = [
            (model.taesd_decoder(model.taesd_encoder(part)).clamp(0, 1) - part).square().mean((1, 2, 3))
            for part in pictures.split(32)
        ]
    return -10 * math.log10(torch.cat(errors).mean().item())
