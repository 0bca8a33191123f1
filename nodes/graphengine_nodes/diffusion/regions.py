"""A conditioning made ready for sampling: where, when and how strongly each text counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from .model import Conditioning, ControlSource, DiffusionModel, Job

_FEATHER = 8
_SMALLEST_BOUNDS = 8
_UNSUPPORTED = {
    "default": "default conditioning for the rest of the picture",
    "gligen": "GLIGEN text boxes",
    "hooks": "conditioning hooks",
}


class Area(NamedTuple):
    """A rectangle of a latent, in latent cells (8 pixels for SD1)."""

    height: int
    width: int
    y: int
    x: int


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """One text and its reach.

    context: (1, T, D). extra and spatial: what else the network is told, see `Extras`. mask: (B or 1, H, W) at the
    size of the latent, counts times its values. area: the part of the latent that the network is shown. The
    condition is in force while sigma_end <= sigma <= sigma_start.
    """

    context: Tensor
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    spatial: Mapping[str, Tensor] = field(default_factory=dict)
    control: ControlSource | None = None
    strength: float = 1.0
    area: Area | None = None
    mask: Tensor | None = None
    sigma_start: float = float("inf")
    sigma_end: float = 0.0

    def applies(self, sigma: float) -> bool:
        """Whether the condition is in force at this noise level."""
        return self.sigma_end <= sigma <= self.sigma_start

    def crop(self, x: Tensor) -> Tensor:
        """The part of x (…, H, W) that the condition is about: a view."""
        if self.area is None:
            return x
        height, width, top, left = self.area
        return x[..., top : top + height, left : left + width]

    def inputs(self) -> dict[str, Tensor]:
        """Everything that the network is told beside x and the text states, cut to the area."""
        return {**self.extra, **{name: self.crop(value) for name, value in self.spatial.items()}}

    def weight(self, x: Tensor) -> Tensor:
        """How much each cell of the cropped x counts, (B or 1, 1, …, h, w). An area without a mask fades out."""
        if self.mask is not None:
            mask = self.crop(self.mask)
            return mask.reshape(len(mask), *[1] * (x.ndim - 3), *mask.shape[-2:]) * self.strength
        cropped = self.crop(x)
        weight = torch.full_like(cropped[:1, :1], self.strength)
        if self.area is not None:
            weight *= _ramp(self.area.height, self.area.y, x.shape[-2], x.device)[:, None]
            weight *= _ramp(self.area.width, self.area.x, x.shape[-1], x.device)
        return weight


def _ramp(length: int, start: int, whole: int, device: torch.device) -> Tensor:
    """Weights along one edge of an area: rising from and falling to its ends that lie inside the picture."""
    weights = torch.ones(length, device=device)
    size = min(_FEATHER, length // 4)
    rise = torch.arange(1, size + 1, device=device) / max(size, 1)
    if start > 0:
        weights[:size] *= rise
    if start + length < whole:
        weights[length - size :] *= rise.flip(0)
    return weights


def prepare_conditions(conditioning: Conditioning, model: DiffusionModel, job: Job) -> list[Condition]:
    """The conditions of a CONDITIONING for a run of the model.

    Raises:
        ValueError: an option that would change the picture is not supported, or an area lies outside.
    """
    return [_prepare(context, options, model, job) for context, options in conditioning]


# Any: whatever node packs put there.
def _prepare(context: Tensor, options: Mapping[str, Any], model: DiffusionModel, job: Job) -> Condition:
    for name, what in _UNSUPPORTED.items():
        if options.get(name) is not None:
            raise ValueError(f"the conditioning holds {name!r}: {what} cannot be sampled yet")
    sampling, mask, area = model.sampling, options.get("mask"), options.get("area")
    if mask is not None:
        mask = resize_mask(mask, job.shape).squeeze(1).to(job.device)
        if options.get("set_area_to_bounds"):
            area = _bounds(mask)
        mask = mask * float(options.get("mask_strength", 1.0))
    start, end = options.get("start_percent"), options.get("end_percent")
    extras = model.network.extras(options, job)
    control: ControlSource | None = options.get("control")
    return Condition(
        context=context.to(job.device, torch.float32),
        extra=_on_device({**extras.values, **_text_of_control(options)}, job),
        spatial=_on_device(extras.spatial, job),
        control=None if control is None else job.control(control, sampling),
        strength=float(options.get("strength", 1.0)),
        area=None if area is None else _area(area, job.shape),
        mask=mask,
        sigma_start=float("inf") if start is None else sampling.percent_to_sigma(start),
        sigma_end=0.0 if end is None else sampling.percent_to_sigma(end),
    )


# Any: whatever node packs put there.
def _text_of_control(options: Mapping[str, Any]) -> dict[str, Tensor]:
    """The text states that a ControlNet reads in place of the network's own."""
    states = options.get("cross_attn_controlnet")
    return {} if states is None else {"cross_attn_controlnet": states}


def _on_device(values: Mapping[str, Tensor], job: Job) -> dict[str, Tensor]:
    return {name: value.to(job.device, torch.float32) for name, value in values.items()}


def resize_mask(mask: Tensor, shape: Sequence[int]) -> Tensor:
    """A mask (H, W), (N, H, W) or (N, 1, H, W) at the size of a latent (B, C, …, H, W): (B, 1, H, W), float32.

    Interpolated bilinearly; repeated or cut to the batch.
    """
    batch, (height, width) = shape[0], shape[-2:]
    mask = mask.float().reshape(-1, 1, *mask.shape[-2:])
    if mask.shape[-2:] != (height, width):
        mask = interpolate(mask, size=(height, width), mode="bilinear")
    if len(mask) != batch:
        mask = mask.repeat(-(-batch // len(mask)), 1, 1, 1)[:batch]
    return mask


def _area(area: Sequence[Any], shape: Sequence[int]) -> Area:
    """ComfyUI's area: (height, width, y, x) in cells, or ("percentage", …) in parts of the latent; clipped."""
    height, width = shape[-2:]
    if area[0] == "percentage":
        part_h, part_w, part_y, part_x = area[1:]
        area = (
            max(1, round(part_h * height)),
            max(1, round(part_w * width)),
            round(part_y * height),
            round(part_x * width),
        )
    area_h, area_w, y, x = (int(value) for value in area)
    if not (0 <= y < height and 0 <= x < width and area_h > 0 and area_w > 0):
        raise ValueError(
            f"the conditioning's area (height {area_h}, width {area_w}, y {y}, x {x}, in latent cells) "
            f"lies outside the latent of height {height} and width {width}"
        )
    return Area(min(area_h, height - y), min(area_w, width - x), y, x)


def _bounds(mask: Tensor) -> Area:
    """The rectangle around everything in the mask (N, H, W) that is not 0; at least 8 x 8 cells."""
    _, height, width = mask.shape
    covered = (mask != 0).any(dim=0)
    rows, columns = covered.any(dim=1).nonzero(), covered.any(dim=0).nonzero()
    if not len(rows):
        return Area(min(_SMALLEST_BOUNDS, height), min(_SMALLEST_BOUNDS, width), 0, 0)
    top, left = int(rows[0]), int(columns[0])
    return Area(
        max(_SMALLEST_BOUNDS, int(rows[-1]) - top + 1),
        max(_SMALLEST_BOUNDS, int(columns[-1]) - left + 1),
        top,
        left,
    )
