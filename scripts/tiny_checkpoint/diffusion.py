"""Joint training of UNet and text tower on the latents of the pictures."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from random import Random

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import autoencoder, data
from .loop import Run, batch_indices, generator
from .models import TextTower, make_unet

BATCH, LARGE_BATCH = 64, 16
STEPS = 4_150
STAGE = 2
LARGE_FROM, LARGE_EVERY, LARGE_UP_TO = 0.77, 2, 700
EMPHASIS = 3


class Diffusion(nn.Module):
    """The UNet and the text tower over the tokens that captions use."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.unet = make_unet()
        self.text = TextTower(vocabulary)


class Captions:
    """Captions drawn for pictures, as rows of a table of distinct ones in compact token numbers."""

    def __init__(self, entries: tuple[data.Entry, ...]) -> None:
        self.entries = entries
        found = {token for text in data.all_captions(entries) for token in data.tokens(text)}
        self.used = sorted(found)
        self._compact = {token: index for index, token in enumerate(self.used)}
        self.row = cache(self._row)

    def _row(self, text: str) -> Tensor:
        return torch.tensor([self._compact[token] for token in data.tokens(text)])

    def draw(self, index: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Distinct captions (U, 77) and, for each picture, its row among them (B,)."""
        random = Random(f"{STAGE}:{step}")
        texts = [data.caption(self.entries[int(i)], random) for i in index]
        distinct = sorted(set(texts))
        place = {text: at for at, text in enumerate(distinct)}
        return torch.stack([self.row(text) for text in distinct]), torch.tensor([place[text] for text in texts])


def train(folder: Path, steps: int = STEPS) -> None:
    """Train, or go on training, up to `steps`; in the last quarter half of them see 128 px pictures."""
    torch.manual_seed(STAGE)
    pictures = data.load(folder / "data.pt")
    captions = Captions(pictures.entries)
    model = Diffusion(len(captions.used))
    model.unet.to(memory_format=torch.channels_last)
    run = Run("diffusion", folder, model, _groups(model), decay=0.997)
    small, large, _ = latents(folder, pictures)
    weights = torch.tensor([EMPHASIS if entry.emphasised else 1 for entry in pictures.entries])
    alphas = signal_shares()

    def loss_of(step: int) -> dict[str, Tensor]:
        is_large = step >= LARGE_FROM * steps and step % LARGE_EVERY == 0
        index = batch_indices(step, BATCH, weights)[: LARGE_BATCH if is_large else BATCH]
        ids, rows = captions.draw(index, step)
        if is_large:
            shown = enlarged(small[index], large[index], step)
            return {"loss": _loss(model, large[index], shown, ids, rows, alphas[:LARGE_UP_TO], step)}
        return {"loss": _loss(model, small[index], small[index], ids, rows, alphas, step)}

    run.train(steps, loss_of)


def _groups(model: Diffusion) -> list[dict]:
    table = [model.text.embeddings["token_embedding"].weight]
    rest = [parameter for parameter in model.text.parameters() if parameter is not table[0]]
    return [
        {"params": model.unet.parameters(), "lr": 1e-3, "weight_decay": 1e-2},
        {"params": rest, "lr": 1e-3, "weight_decay": 0.0},
        {"params": table, "lr": 3e-3, "weight_decay": 0.0},
    ]


def enlarged(small: Tensor, large: Tensor, step: int) -> Tensor:
    """What a second pass starts from: for half of the pictures the large latents, for half enlarged small ones."""
    mode = ("nearest-exact", "bilinear")[step // LARGE_EVERY % 2]
    up = F.interpolate(small, scale_factor=2, mode=mode)
    return torch.cat([large[::2], up[1::2]])[_interleaved(len(small))]


def _interleaved(count: int) -> Tensor:
    """Positions that undo the splitting into even and odd ones."""
    order = torch.cat([torch.arange(0, count, 2), torch.arange(1, count, 2)])
    return order.argsort()


def _loss(
    model: Diffusion, wanted: Tensor, shown: Tensor, ids: Tensor, rows: Tensor, alphas: Tensor, step: int
) -> Tensor:
    """The weighted error of the noise which, taken from noisy `shown` latents, leaves the `wanted` ones."""
    g = generator(STAGE, step)
    times = torch.randint(0, len(alphas), (len(wanted),), generator=g)
    noise = torch.randn(wanted.shape, generator=g)
    alpha = alphas[times].view(-1, 1, 1, 1)
    noisy = alpha.sqrt() * shown + (1 - alpha).sqrt() * noise
    target = noise + (alpha / (1 - alpha)).sqrt().clamp(max=1) * (shown - wanted)
    states = model.text(ids)[rows]
    x = noisy.contiguous(memory_format=torch.channels_last)
    guess = model.unet(x, times, encoder_hidden_states=states, return_dict=False)[0]
    return (weight(alpha) * (guess - target).square()).mean()


def weight(alpha: Tensor) -> Tensor:
    """Min-SNR weight (gamma 5) of the noise error, raised where noise prevails: there the caption decides."""
    ratio = alpha / (1 - alpha)
    return ratio.clamp(max=5) / ratio * ratio.clamp(max=1) ** -0.3


def signal_shares() -> Tensor:
    """Cumulated alphas of SD1.x's "scaled linear" schedule, (1000,)."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, 0).float()


def latents(folder: Path, pictures: data.DataSet) -> tuple[Tensor, Tensor, float]:
    """Scaled latents of all pictures at 64 and at 128 px, and the scale that gives the former unit deviation."""
    model = autoencoder.averaged(folder)
    with torch.inference_mode():
        small, large = (
            torch.cat([model.taesd_encoder(part) for part in pictures.on_white(size).split(32)])
            for size in (64, data.LARGE)
        )
    scale = round(1 / small.std().item(), 4)
    return small.clone() * scale, large.clone() * scale, scale


def averaged(folder: Path) -> tuple[Diffusion, Captions]:
    """The networks with averaged weights, as exported, and the captions that tell their tokens."""
    captions = Captions(data.load(folder / "data.pt").entries)
    model = Diffusion(len(captions.used))
    model.load_state_dict(torch.load(folder / "diffusion.pt", weights_only=True)["ema"])
    return model.eval().requires_grad_(False), captions
