"""Posteriors, errors and bounds as numbers, tables and pictures."""

from __future__ import annotations

import math

from PIL import Image
from torch import Tensor

from graphengine.node.api import GraphEngineError

from . import tables
from .canvas import to_image
from .gaussians import gaussian_log_likelihood, kl_of_each_number, mean_squared_error, peak_signal_to_noise
from .posterior import Bound, Posterior
from .strips import Cell, sheet

_MOST_SHOWN = 8


def posterior_table(given: Posterior) -> tuple[float, str]:
    """The KL divergence in nats per picture, and the moments of each channel."""
    origin = "the encoder's own" if given.learned else "stated by fixed_deviation: the encoder gives none"
    deviation = (given.log_variance / 2).exp()
    divergence = kl_of_each_number(given.mean, given.log_variance)
    rows = [
        [
            str(channel),
            f"{given.mean[:, channel].mean():.4f}",
            f"{given.mean[:, channel].std(correction=0):.4f}",
            f"{deviation[:, channel].mean():.4f}",
            f"{divergence[:, channel].sum() / len(divergence):.1f}",
        ]
        for channel in range(given.mean.shape[1])
    ]
    heads = ("channel", "mean of mu", "spread of mu", "mean of sigma", "KL (nats)")
    total = float(divergence.sum() / len(divergence))
    text = tables.as_text(heads, rows)
    return total, f"variance: {origin}\n{text}\nKL per picture: {total:.1f} nats"


def reconstruction_views(
    original: Tensor, reconstruction: Tensor, deviation: float
) -> tuple[float, float, float, str, Tensor]:
    """MSE, PSNR in dB and log-likelihood in nats, means over the pictures; a table; IMAGE of the first pictures.

    Raises:
        GraphEngineError: the pictures do not fit each other.
    """
    x, y = _alike(original, reconstruction)
    squared = mean_squared_error(x, y)
    likelihood = gaussian_log_likelihood(x, y, deviation)
    rows = [
        [str(number + 1), f"{error:.6f}", f"{ratio:.2f}", f"{logarithm:.1f}"]
        for number, (error, ratio, logarithm) in enumerate(
            zip(squared.tolist(), peak_signal_to_noise(squared).tolist(), likelihood.tolist(), strict=True)
        )
    ]
    table = tables.as_text(("picture", "MSE", "PSNR (dB)", "log N(x; y, s^2)"), rows)
    mean = squared.mean()
    picture = to_image(_differences(x, y, [row[2] for row in rows]))
    return float(mean), float(peak_signal_to_noise(mean)), float(likelihood.mean()), table, picture


def _differences(x: Tensor, y: Tensor, ratios: list[str]) -> Image.Image:
    difference = (x - y).abs()
    largest = max(float(difference.max()), 1e-6)
    shown = range(min(len(x), _MOST_SHOWN))
    rows = [
        [Cell(x[i], ("original",)) for i in shown],
        [Cell(y[i], ("reconstruction", f"PSNR {ratios[i]} dB")) for i in shown],
        [Cell(difference[i] / largest, ("|difference|", f"white = {largest:.2f}")) for i in shown],
    ]
    if len(x) == 1:
        rows = [[row[0] for row in rows]]
    return sheet("Reconstruction error", rows, shown=128)


def _alike(original: Tensor, reconstruction: Tensor) -> tuple[Tensor, Tensor]:
    """Both as (B, H, W, 3), the original cropped in the middle as a VAE crops it."""
    x, y = original[..., :3].float(), reconstruction[..., :3].float()
    spare = [have - want for have, want in zip(x.shape[1:3], y.shape[1:3], strict=True)]
    if len(x) != len(y) or min(spare) < 0 or x.shape[-1] != y.shape[-1]:
        raise GraphEngineError(
            f"original has the shape {list(original.shape)} and reconstruction {list(reconstruction.shape)}; they "
            "must be as many pictures of one size",
            hint="compare pictures with what a VAE made of the same pictures",
        )
    top, left = spare[0] // 2, spare[1] // 2
    return x[:, top : top + y.shape[1], left : left + y.shape[2]], y


def kl_views(mean: Tensor, log_variance: Tensor) -> tuple[float, str, Tensor]:
    """The KL divergence in nats per picture; a line for each channel; IMAGE of the first picture's cells.

    Raises:
        GraphEngineError: mean and log-variance differ in shape.
    """
    if mean.shape != log_variance.shape:
        raise GraphEngineError(
            f"mean has the shape {list(mean.shape)} and log_variance {list(log_variance.shape)}",
            hint="connect both outputs of one ExplainVAEPosterior",
        )
    terms = kl_of_each_number(mean.float(), log_variance.float())
    total = float(terms.sum() / len(terms))
    by_channel = terms.flatten(2).sum(dim=2).mean(dim=0).tolist()
    rows = [
        [str(channel), f"{value:.2f}", f"{value / total:.1%}" if total else "-"]
        for channel, value in enumerate(by_channel)
    ]
    table = tables.as_text(("channel", "KL (nats)", "share"), rows)
    cells = terms[0].flatten(0, -3).sum(dim=0)
    strongest = max(float(cells.max()), 1e-9)
    title = f"KL of each latent cell: {total:.1f} nats in all, white = {strongest:.1f}"
    picture = sheet(title, [[Cell((cells / strongest)[..., None])]], shown=320)
    return total, table, to_image(picture)


def bound_views(both: Bound, pixels: Tensor, *, learned: bool) -> tuple[str, Tensor]:
    """The terms of the bound of each picture as a table, text and IMAGE. pixels: (B, H, W, 3)."""
    numbers = pixels[0, ..., :3].numel()
    rows = [
        [str(i + 1), f"{fit:.1f}", f"{kl:.1f}", f"{fit - kl:.1f}", f"{_bits(fit - kl, numbers):.3f}"]
        for i, (fit, kl) in enumerate(zip(both.log_likelihood.tolist(), both.kl.tolist(), strict=True))
    ]
    if len(rows) > 1:
        fit, kl = (float(term.mean()) for term in both)
        rows.append(["mean", f"{fit:.1f}", f"{kl:.1f}", f"{fit - kl:.1f}", f"{_bits(fit - kl, numbers):.3f}"])
    heads = ("picture", "E log p(x|z)", "KL(q || N(0,I))", "ELBO (nats)", "bits of 8")
    title = "Evidence lower bound" if learned else "Evidence lower bound, posterior variance stated by hand"
    return tables.as_text(heads, rows), to_image(tables.as_picture(title, heads, rows[:40]))


def _bits(elbo: float, numbers: int) -> float:
    """Bits per number of a picture with 8-bit values: a level is 1/256 wide in 0..1, hence the 8."""
    return 8 - elbo / numbers / math.log(2)
