"""What a small autoencoder has learned, as numbers, tables and pictures."""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from graphengine.node.api import GraphEngineError

from . import mlp_vae, tables
from .axes import Axis
from .canvas import LARGE, MUTED, SMALL, Canvas, to_image, to_picture
from .charts import Chart, Series, draw
from .gaussians import reparameterised, standard_noise
from .mlp_vae import MLPVAE
from .mlp_vae_training import Trained, as_images, as_rows
from .step_records import spread
from .strips import Cell, in_rows, sheet

_MOST_SHOWN, _MOST_SAMPLES, _COLUMNS, _LINES = 8, 64, 8, 11
_POINTS = 200


def curve_views(trained: Trained) -> tuple[Tensor, float, str]:
    """The bound over the steps: IMAGE, the mean ELBO of the last tenth of them in nats, and a table."""
    named = {"ELBO": trained.elbo, "E log p(x|z)": trained.log_likelihood, "-KL": -trained.kl}
    smooth = {name: _smoothed(values) for name, values in named.items()}
    steps = [float(step) for step in smooth["ELBO"][0]]
    chart = Chart(
        "Training of a small VAE",
        Axis("step", whole=True),
        Axis("nats per picture"),
        [Series(name, steps, values.tolist()) for name, (_, values) in smooth.items()],
    )
    heads = ("step", "E log p(x|z)", "KL", "ELBO")
    rows = [
        [str(i + 1), f"{trained.log_likelihood[i]:.2f}", f"{trained.kl[i]:.2f}", f"{trained.elbo[i]:.2f}"]
        for i in spread(len(trained.kl), _LINES)
    ]
    last = trained.elbo[-max(1, len(trained.elbo) // 10) :].mean()
    return to_image(draw(chart)), float(last), tables.as_text(heads, rows)


def _smoothed(values: Tensor) -> tuple[Tensor, Tensor]:
    """At most 200 means over neighbouring steps, and the numbers of the steps in their middle."""
    window = -(-len(values) // _POINTS)
    parts = [values[start : start + window] for start in range(0, len(values), window)]
    middles = [window * number + (len(part) + 1) / 2 for number, part in enumerate(parts)]
    return torch.tensor(middles), torch.stack([part.mean() for part in parts])


def reconstruct_views(
    vae: MLPVAE, images: Tensor, importance_samples: int, seed: int
) -> tuple[Tensor, Tensor, float, float, str]:
    """Restored pictures (B, size, size, 3); some beside their originals; mean ELBO and log p(x); a table."""
    weights, size = vae["weights"], vae["size"]
    rows = as_rows(images, size)
    shape = (importance_samples, len(rows), mlp_vae.latents_of(weights))
    noise = standard_noise(shape, seed)
    both = mlp_vae.terms(weights, rows, noise[0])
    restored = as_images(mlp_vae.decode(weights, reparameterised(*mlp_vae.encode(weights, rows), noise[0])), size)
    evidence = mlp_vae.importance_log_likelihood(weights, rows, noise)
    columns = (both.log_likelihood, both.kl, both.elbo, evidence)
    lines = [[str(i + 1), *(f"{column[i]:.2f}" for column in columns)] for i in range(len(rows))]
    table = tables.as_text(("picture", "log p(x|z)", "KL", "ELBO", "log p(x) >="), lines)
    shown = range(min(len(rows), _MOST_SHOWN))
    originals = as_images(rows, size)
    picture = sheet(
        "Small VAE: originals and reconstructions",
        [
            [Cell(originals[i]) for i in shown],
            [Cell(restored[i], (f"ELBO {both.elbo[i]:.0f} nats",)) for i in shown],
        ],
        row_labels=("original", "restored"),
    )
    return restored, to_image(picture), float(both.elbo.mean()), float(evidence.mean()), table


def sample_views(vae: MLPVAE, count: int, temperature: float, seed: int) -> tuple[Tensor, Tensor]:
    """Decoder means (count, size, size, 3) for z = temperature * eps, and the first 64 as one labelled picture."""
    z = temperature * standard_noise((count, mlp_vae.latents_of(vae["weights"])), seed)
    samples = as_images(mlp_vae.decode(vae["weights"], z), vae["size"])
    cells = [
        Cell(pixels, (", ".join(f"{value:.2f}" for value in point[:2].tolist()),))
        for pixels, point in zip(samples[:_MOST_SAMPLES], z[:_MOST_SAMPLES], strict=True)
    ]
    title = f"Small VAE: samples from N(0, T^2 I), T = {temperature:g}"
    return samples, to_image(sheet(title, in_rows(cells, _COLUMNS)))


def grid_views(vae: MLPVAE, columns: int, rows: int) -> tuple[Tensor, Tensor]:
    """The plane of a 2-d latent space as one picture, and its pictures (rows * columns, size, size, 3).

    Raises:
        GraphEngineError: the latent space has another number of dimensions.
    """
    latents = mlp_vae.latents_of(vae["weights"])
    if latents != 2:
        raise GraphEngineError(
            f"the latent space has {latents} dimensions, a plane has 2",
            hint="train the small VAE with latents = 2, or look at it with ExplainMLPVAESample",
        )
    points = mlp_vae.latent_grid(columns, rows)
    pictures = as_images(mlp_vae.decode(vae["weights"], points), vae["size"])
    return to_image(_plane(pictures, points, columns, rows)), pictures


def _plane(pictures: Tensor, points: Tensor, columns: int, rows: int) -> Image.Image:
    """The pictures close together, with the coordinates of z at the left and below."""
    factor = max(1, 48 // pictures.shape[1])
    cell, left, top = pictures.shape[1] * factor, 76, 44
    canvas = Canvas(left + cell * columns + 16, top + cell * rows + 52)
    canvas.text((14, 12), "Decoder over the latent plane, quantiles of N(0, 1)", size=LARGE)
    large = F.interpolate(pictures.movedim(-1, 1), scale_factor=factor, mode="nearest").movedim(1, -1)
    for number, pixels in enumerate(large):
        canvas.picture(to_picture(pixels), (left + number % columns * cell, top + number // columns * cell))
    for column in range(columns):
        x = left + cell * (column + 0.5)
        canvas.text((x, top + cell * rows + 6), f"{points[column, 0]:.1f}", size=SMALL, colour=MUTED, anchor="ma")
    for row in range(rows):
        y = top + cell * (row + 0.5)
        canvas.text((left - 8, y), f"{points[row * columns, 1]:.1f}", size=SMALL, colour=MUTED, anchor="rm")
    canvas.text((left + cell * columns / 2, top + cell * rows + 24), "z1", anchor="ma")
    canvas.upright_text((22, top + cell * rows / 2), "z2")
    return canvas.finished()
