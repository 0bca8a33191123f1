"""Noise levels, guidance and steps as charts, tables and strips of pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from PIL import Image
from torch import Tensor

from graphengine_nodes.diffusion.model.model import DiffusionModel, Latent
from graphengine_nodes.diffusion.model.model_sampling import ModelSampling
from graphengine_nodes.diffusion.sampling.custom_sampling import check_sigmas
from graphengine_nodes.diffusion.sampling.noise import prepare_noise
from graphengine_nodes.diffusion.vae.vae import VAE

from . import noise_levels, tables
from .axes import Axis
from .canvas import beside, to_image
from .charts import Band, Chart, Series, draw
from .guidance_parts import Parts, Strengths, pictures_of, strengths
from .noise_levels import Level, Schedule
from .step_records import Recorded, StepRecord, distances, spread
from .strips import Cell, in_rows, sheet

_PANEL = (400, 330)
_MOST_ROWS = 40
_COLUMNS, _STEP_COLUMNS = 8, 10


def _decoded(vae: VAE, samples: Tensor, check: Callable[[], None]) -> Tensor:
    """A picture (H, W, 3) in 0..1 of each latent; of a video, its first frame."""
    decoded = vae.decode(samples, check)
    return decoded if decoded.ndim == 4 else decoded[:, 0]


# Noise levels


def noise_level_views(
    sampling: ModelSampling,
    sampler_name: str,
    scheduler: str,
    steps: int,
    denoise: float,
    sigmas: Tensor | None,
) -> tuple[Tensor, Tensor, str, Tensor, float]:
    """Chart and table as IMAGE, the table as text, the sigmas of the run (N,), and the first of them (0 of none).

    Raises:
        ValueError: an unknown sampler or scheduler, sigmas that are no noise levels.
    """
    if sigmas is not None and len(sigmas):
        check_sigmas(sigmas, sampling, may_end_in_noise=True)
        whole = Schedule(noise_levels.describe(sampling, sigmas), 0)
        title = f"{len(sigmas)} given noise levels"
    else:
        whole = noise_levels.schedule(sampling, sampler_name, scheduler, steps, denoise)
        title = f"{sampler_name}, {scheduler}, {steps} steps, denoise {denoise:g}"
    rows = noise_levels.rows(whole.levels, whole.first)
    text = tables.as_text(noise_levels.COLUMNS, rows)
    shown = [rows[number] for number in spread(len(rows), _MOST_ROWS)]
    picture = tables.as_picture(title, noise_levels.COLUMNS, shown)
    used = torch.tensor([level.sigma for level in whole.used])
    first = float(used[0]) if len(used) else 0.0
    return _level_chart(whole), to_image(picture), text, used, first


def _level_chart(whole: Schedule) -> Tensor:
    """Sigma, the shares of signal and noise, and their ratio, over the levels of the schedule."""
    x = [float(number) for number in range(len(whole.levels))]
    bands = [Band("this run", float(whole.first), x[-1])] if whole.first else []
    axis = Axis("step of the whole schedule", whole=True)
    weights = [
        Series("signal", x, [level.alpha_bar**0.5 for level in whole.levels]),
        Series("noise", x, [(1 - level.alpha_bar) ** 0.5 for level in whole.levels]),
    ]
    sigma = [Series("sigma", x, [level.sigma for level in whole.levels])]
    ratio = [Series("SNR", x, [_decibels(level) for level in whole.levels])]
    charts = (
        Chart("Noise level", axis, Axis("sigma", log=True), sigma, bands),
        Chart(
            "Weights in x", axis, Axis("sqrt(alpha_bar), sqrt(1 - alpha_bar)", limits=(0.0, 1.04)), weights, bands
        ),
        Chart("Signal to noise", axis, Axis("SNR (dB)"), ratio, bands),
    )
    return to_image(beside(draw(chart, *_PANEL) for chart in charts))


def _decibels(level: Level) -> float:
    return 10 * math.log10(level.snr) if 0 < level.snr < math.inf else math.nan


def forward_views(
    model: DiffusionModel,
    vae: VAE,
    latent: Latent,
    sigmas: Tensor,
    seed: int,
    pictures: int,
    check: Callable[[], None],
) -> tuple[Tensor, Tensor, Latent]:
    """The first sample with the noise of some of the levels: a labelled strip, the pictures, their latents.

    Raises:
        ValueError: there are no sigmas, or they are no noise levels.
    """
    if not len(sigmas):
        raise ValueError("sigmas is empty: there is no noise level to show (denoise 0 leaves none)")
    check_sigmas(sigmas, model.sampling, may_end_in_noise=True)
    chosen = sigmas[spread(len(sigmas), pictures)]
    samples = latent["samples"].float()
    noised = noise_levels.noised(model, samples, prepare_noise(samples, seed), chosen)
    decoded = _decoded(vae, noised, check)
    cells = [
        Cell(pixels, _level_captions(level))
        for pixels, level in zip(decoded, noise_levels.describe(model.sampling, chosen), strict=True)
    ]
    title = "The forward process: a latent with the noise of each level, decoded"
    return to_image(sheet(title, in_rows(cells, _COLUMNS))), decoded, {"samples": noised}


def _level_captions(level: Level) -> tuple[str, str]:
    snr = "no noise" if level.snr == math.inf else f"SNR {noise_levels.decibels(level.snr)} dB"
    return f"sigma {level.sigma:.3g}", snr


# Guidance


def guidance_views(
    model: DiffusionModel,
    vae: VAE,
    parts: Sequence[Parts],
    cfg: float,
    pictures: int,
    check: Callable[[], None],
) -> tuple[Tensor, Tensor, str, float, float]:
    """A chart over sigma, some levels decoded, the table, the mean share of guidance and the mean angle.

    Raises:
        ValueError: there was no level above 0.
    """
    if not parts:
        raise ValueError("sigmas holds no noise level above 0, so there is nothing to predict")
    measured = [strengths(part, cfg) for part in parts]
    heads = ("sigma", "|cond|", "|uncond|", "|cond - uncond|", "angle (deg)", "|guided|", "share")
    rows = [
        [f"{m.sigma:.4f}", *(f"{value:.4f}" for value in (m.cond, m.uncond, m.difference)), f"{m.angle:.2f}",
         f"{m.guided:.4f}", f"{m.share:.1%}"]
        for m in measured
    ]  # fmt: skip
    shown = [parts[number] for number in spread(len(parts), pictures)]
    share, angle = (
        sum(values) / len(measured) for values in zip(*((m.share, m.angle) for m in measured), strict=True)
    )
    picture = to_image(_guidance_sheet(model, vae, shown, cfg, check))
    return _guidance_chart(measured, cfg), picture, tables.as_text(heads, rows), share, angle


def _guidance_chart(measured: Sequence[Strengths], cfg: float) -> Tensor:
    x = [m.sigma for m in measured]
    axis = Axis("sigma (the run goes from right to left)", log=True)
    norms = [
        Series("cond", x, [m.cond for m in measured]),
        Series("uncond", x, [m.uncond for m in measured]),
        Series("difference", x, [m.difference for m in measured]),
        Series("guided", x, [m.guided for m in measured]),
    ]
    charts = (
        Chart(f"Predicted noise, cfg {cfg:g}", axis, Axis("root mean square"), norms),
        Chart(
            "Angle of cond and uncond", axis, Axis("degrees"), [Series("angle", x, [m.angle for m in measured])]
        ),
        Chart(
            "Guidance in the guided noise",
            axis,
            Axis("|cfg - 1| |cond - uncond| / |guided|"),
            [Series("share", x, [m.share for m in measured])],
        ),
    )
    return to_image(beside(draw(chart, *_PANEL) for chart in charts))


def _guidance_sheet(
    model: DiffusionModel, vae: VAE, parts: Sequence[Parts], cfg: float, check: Callable[[], None]
) -> Image.Image:
    names = ("x, scaled", "negative alone", "positive alone", f"guided, cfg {cfg:g}")
    rows = []
    for part in parts:
        decoded = _decoded(vae, pictures_of(model, part), check)
        rows.append([Cell(pixels, (name,)) for pixels, name in zip(decoded, names, strict=True)])
    labels = [f"sigma {part.sigma:.3g}" for part in parts]
    return sheet("What each side takes for the clean picture", rows, row_labels=labels)


# Steps


def step_views(
    vae: VAE, recorded: Recorded, check: Callable[[], None]
) -> tuple[Latent, Tensor, Tensor, Tensor, Tensor, str]:
    """The latent; a labelled strip; denoised and noisy pictures; how the estimate settles, chart and table.

    Of a run without a step, the result alone is shown.
    """
    final = recorded.sampled.output
    result = _decoded(vae, final["samples"][:1], check)
    steps = recorded.steps
    if not steps:
        strip = to_image(sheet("No step was taken", [[Cell(result[0])]]))
        return final, strip, result, result, strip, "no step was taken"
    noisy = _decoded(vae, torch.cat([step.x for step in steps]), check)
    denoised = _decoded(vae, torch.cat([step.denoised for step in steps]), check)
    strip = to_image(_step_sheet(steps, noisy, denoised, result[0]))
    chart, table = _settling(steps, distances(steps, final["samples"]))
    return final, strip, denoised, noisy, chart, table


def _step_sheet(steps: Sequence[StepRecord], noisy: Tensor, denoised: Tensor, result: Tensor) -> Image.Image:
    """What the network was shown above what it took for the clean picture, and the result at the end."""
    names = [(f"step {step.index + 1}", f"sigma {step.sigma:.3g}") for step in steps]
    above = in_rows([Cell(pixels) for pixels in noisy], _STEP_COLUMNS)
    below = in_rows([Cell(*cell) for cell in zip(denoised, names, strict=True)], _STEP_COLUMNS)
    below[-1].append(Cell(result, ("result",)))
    rows = [row for pair in zip(above, below, strict=True) for row in pair]
    return sheet("Steps, decoded", rows, row_labels=("noisy x", "denoised") * len(above))


def _settling(steps: Sequence[StepRecord], away: Sequence[float]) -> tuple[Tensor, str]:
    """How far each estimate is from the result, as a chart and as a table."""
    chart = Chart(
        "How the denoised estimate settles",
        Axis("step", whole=True),
        Axis("RMS distance to the result (latent)"),
        [Series("denoised estimate", [float(step.index + 1) for step in steps], away)],
    )
    rows = [
        [str(step.index + 1), f"{step.sigma:.4f}", f"{distance:.4f}"]
        for step, distance in zip(steps, away, strict=True)
    ]
    return to_image(draw(chart)), tables.as_text(("step", "sigma", "distance to the result"), rows)
