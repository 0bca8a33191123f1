"""A conditioning made ready for sampling: where, when and how strongly each text counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from .model import Conditioning, ControlSource, DiffusionModel, Job, NetworkCall

_FEATHER = 8
_SMALLEST_BOUNDS = 8
_VIDEO = 5  # dimensions of a latent with time
_WITH_TIME = 3  # sizes of an area with time
_UNSUPPORTED = {
    "hooks": "conditioning hooks",
}


class Area(NamedTuple):
    """A rectangle of a latent, in latent cells (8 pixels for SD1).

    For videos it is about `frames` latent frames from z on; None stands for the whole video.
    """

    height: int
    width: int
    y: int
    x: int
    frames: int | None = None
    z: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """One text and its reach.

    context: (1, T, D). extra and spatial: what else the network is told, see `Extras`. mask: (B or 1, H, W) at the
    size of the latent, counts times its values. area: the part of the latent that the network is shown. The
    condition is in force while sigma_end <= sigma <= sigma_start. default: it counts where the others leave room.
    change: what is done to each call of the network; conditions with another one are asked apart.
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
    default: bool = False
    change: Callable[[NetworkCall], NetworkCall] | None = None

    def applies(self, sigma: float) -> bool:
        """Whether the condition is in force at this noise level."""
        return self.sigma_end <= sigma <= self.sigma_start

    def crop(self, x: Tensor) -> Tensor:
        """The part of x (…, H, W) or (B, C, T, H, W) that the condition is about: a view."""
        if self.area is None:
            return x
        height, width, top, left, frames, start = self.area
        x = x[..., top : top + height, left : left + width]
        return x if frames is None or x.ndim < _VIDEO else x[:, :, start : start + frames]

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
            if self.area.frames is not None and x.ndim == _VIDEO:
                weight *= _ramp(self.area.frames, self.area.z, x.shape[2], x.device)[:, None, None]
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


def weighted(conditions: Sequence[Condition], x: Tensor, sigma: float) -> list[tuple[Condition, Tensor]]:
    """The conditions that are in force at sigma, each with how much its cells of x (B, C, …, H, W) count.

    Defaults count 1 less the weights of all others, at least 0; where nothing is left of that, they are not asked.
    """
    active = [condition for condition in conditions if condition.applies(sigma)]
    result = [(condition, condition.weight(x)) for condition in active if not condition.default]
    defaults = [condition for condition in active if condition.default]
    if not defaults:
        return result
    rest = torch.ones_like(x[:, :1])
    for condition, weight in result:
        condition.crop(rest).sub_(weight)
    rest.clamp_(min=0)
    return [*result, *((condition, condition.crop(rest)) for condition in defaults if rest.any())]


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
        change=_boxes(options, job),
        default=bool(options.get("default")),
    )


# Any: whatever node packs put there.
def _boxes(options: Mapping[str, Any], job: Job) -> Callable[[NetworkCall], NetworkCall] | None:
    """What GLIGEN's text boxes do to the calls of the network."""
    if options.get("gligen") is None:
        return None
    _, gligen, boxes = options["gligen"]
    change: Callable[[NetworkCall], NetworkCall] = gligen.bound(boxes, job.network)
    return change


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


def resize_noise_mask(mask: Tensor, shape: Sequence[int]) -> Tensor:
    """The noise mask of a LATENT at the size of its samples: (B, 1, H, W), or (B, 1, T, H, W) for videos, float32.

    For videos several masks (N, H, W) are those of its frames; they are interpolated in time too, as ComfyUI does.
    """
    if len(shape) < _VIDEO:
        return resize_mask(mask, shape)
    mask = mask.float() if mask.ndim == _VIDEO else mask.float().reshape(1, 1, -1, *mask.shape[-2:])
    if mask.shape[2:] != tuple(shape[2:]):
        mask = interpolate(mask, size=tuple(shape[2:]), mode="trilinear")
    return mask if len(mask) == shape[0] else mask.repeat(-(-shape[0] // len(mask)), 1, 1, 1, 1)[: shape[0]]


def _area(area: Sequence[Any], shape: Sequence[int]) -> Area:
    """ComfyUI's area: sizes, then places, each as ([time,] height, width), clipped.

    In cells, or, after "percentage", in parts of the latent. Without time it is about all frames; for a picture,
    time is left out.
    """
    relative, numbers = area[0] == "percentage", area[area[0] == "percentage" :]
    half = len(numbers) // 2
    sizes, places = list(numbers[:half]), list(numbers[half:])
    whole = shape[-half:] if half < len(shape) - 1 else [1, *shape[-2:]]
    if relative:
        sizes = [max(1, round(part * side)) for part, side in zip(sizes, whole, strict=True)]
        places = [round(part * side) for part, side in zip(places, whole, strict=True)]
    (height, width), (y, x) = (int(size) for size in sizes[-2:]), (int(place) for place in places[-2:])
    rows, columns = shape[-2:]
    if not (0 <= y < rows and 0 <= x < columns and height > 0 and width > 0):
        raise ValueError(
            f"the conditioning's area (height {height}, width {width}, y {y}, x {x}, in latent cells) "
            f"lies outside the latent of height {rows} and width {columns}"
        )
    plane = Area(min(height, rows - y), min(width, columns - x), y, x)
    if half < _WITH_TIME or len(shape) < _VIDEO:
        return plane
    frames, z = int(sizes[0]), int(places[0])
    if not (0 <= z < shape[2] and frames > 0):
        raise ValueError(
            f"the conditioning's area ({frames} latent frames from {z} on) lies outside the latent of {shape[2]} "
            "frames"
        )
    return plane._replace(frames=min(frames, shape[2] - z), z=z)


def _bounds(mask: Tensor) -> tuple[int, int, int, int]:
    """Height, width, y, x of the rectangle around what is not 0 in the mask (N, H, W); at least 8 x 8 cells."""
    _, height, width = mask.shape
    covered = (mask != 0).any(dim=0)
    rows, columns = covered.any(dim=1).nonzero(), covered.any(dim=0).nonzero()
    if not len(rows):
        return min(_SMALLEST_BOUNDS, height), min(_SMALLEST_BOUNDS, width), 0, 0
    top, left = int(rows[0]), int(columns[0])
    return (
        max(_SMALLEST_BOUNDS, int(rows[-1]) - top + 1),
        max(_SMALLEST_BOUNDS, int(columns[-1]) - left + 1),
        top,
        left,
    )
