"""Controls during a sampling run: pictures in the right size, ranges as noise levels, residuals added up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graphengine.node.api import ModelError
from graphengine_nodes.diffusion.model.control_network import ControlNetwork, Features, StrengthType
from graphengine_nodes.diffusion.model.model import ControlSource, Job, LatentFormat, NetworkCall, Residuals
from graphengine_nodes.diffusion.model.model_sampling import ModelSampling
from graphengine_nodes.diffusion.weights.broken_weights import check_result
from graphengine_nodes.image.scaling import resize

if TYPE_CHECKING:
    from .control import Control


@dataclass(frozen=True, slots=True, eq=False)
class ControlChain:
    """Controls made ready for a run (a `ControlSource`), the first one first; their residuals are added."""

    links: tuple[Link, ...]
    first: ControlSource | None = None

    def prepared(self, job: Job, sampling: ModelSampling) -> ControlSource:
        """Itself."""
        return self

    def applies(self, sigma: float) -> bool:
        """Whether one of them works at this noise level."""
        before = self.first is not None and self.first.applies(sigma)
        return before or any(link.applies(sigma) for link in self.links)

    def residuals(self, x: Tensor, sigma: Tensor, call: NetworkCall) -> Residuals | None:
        """The sum of what they add at this noise level."""
        level = float(sigma[0])
        total = (
            self.first.residuals(x, sigma, call) if self.first is not None and self.first.applies(level) else None
        )
        for link in self.links:
            if link.applies(level):
                added = link.residuals(call)
                total = added if total is None else total.plus(added)
        return total


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """One control of a chain during a run. What its network read is kept by the size of the latent."""

    control: Control
    network: ControlNetwork
    sigma_start: float
    sigma_end: float
    features: dict[tuple[int, int], Features] = field(default_factory=dict)

    def applies(self, sigma: float) -> bool:
        """Whether it works at this noise level."""
        return self.sigma_end <= sigma <= self.sigma_start

    def residuals(self, call: NetworkCall) -> Residuals:
        """What it adds, with its strength."""
        height, width = call.x.shape[-2:]
        if (height, width) not in self.features:
            self.features[height, width] = self._read(width, height)
        groups = len(call.options.get("cond_or_uncond", ())) or 1
        features = tuple(for_batch(value, len(call.x), groups) for value in self.features[height, width])
        added = self.network.residuals(features, call, self.control.extra_args)
        self._check([value for part in (added.input, added.middle, added.output) for value in part])
        return Residuals(*(self._scaled(part) for part in (added.input, added.middle, added.output)))

    @torch.no_grad()
    def _read(self, width: int, height: int) -> Features:
        control, component = self.control, self.network.component
        across, down = self.network.picture_size(width, height)
        picture = fit_channels(self._hint(), self.network)
        picture = resize(picture.float(), across, down, control.upscale_algorithm, "center")
        if self.network.latent_format is not None:
            picture = self._encoded(picture, self.network.latent_format)
        features = self.network.read(picture.to(component.device, component.dtype), control.extra_args)
        self._check(features)
        if not all(value.isfinite().all() for value in features):
            raise ModelError(
                f"ControlNet file {self.network.file!r} makes values that are not finite of its picture",
                hint="its weights are damaged, or the picture holds such values",
            )
        return features

    def _check(self, values: Sequence[Tensor | None]) -> None:
        """Raises ModelError when broken weights have made a number of them none."""
        sums = [value.sum() for value in values if value is not None]
        check_result(torch.stack(sums), self.network.component, self.network.file)

    def _hint(self) -> Tensor:
        if self.control.cond_hint_original is None:  # taken away after `prepared`
            raise ValueError(f"ControlNet {self.network.file!r} was given no picture")
        return self.control.cond_hint_original

    def _encoded(self, picture: Tensor, latent_format: LatentFormat) -> Tensor:
        """The picture as a latent on the network's scale, with its masks as further channels."""
        if self.control.vae is None:  # taken away after `prepared`
            raise ValueError(f"ControlNet {self.network.file!r} was given no VAE")
        latent = latent_format.process_in(self.control.vae.encode(picture.movedim(1, -1)))
        parts = [latent]
        for mask in self.control.extra_concat_orig:
            size = latent.shape[-1], latent.shape[-2]
            parts.append(for_batch(resize(mask, *size, self.control.upscale_algorithm, "center"), len(latent), 1))
        return torch.cat([part.expand(len(latent), *part.shape[1:]) for part in parts], dim=1)

    def _scaled(self, residuals: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
        control, count = self.control, len(residuals)
        grows = control.strength_type is StrengthType.LINEAR_UP
        strengths = [control.strength ** (count - place) if grows else control.strength for place in range(count)]
        if control.global_average_pooling:
            residuals = [
                None if value is None else value.mean(dim=(2, 3), keepdim=True).expand_as(value)
                for value in residuals
            ]
        return tuple(
            None if value is None else value * strength
            for value, strength in zip(residuals, strengths, strict=True)
        )


def for_batch(values: Tensor, batch: int, groups: int) -> Tensor:
    """One entry per sample of a batch of equal groups: several pictures repeated in turn in each group.

    A single one stays alone: it counts for all.
    """
    if len(values) == 1:
        return values
    each = max(1, batch // groups)
    turn = torch.arange(each, device=values.device) % len(values)
    return values[turn.repeat(groups)]


def fit_channels(picture: Tensor, network: ControlNetwork) -> Tensor:
    """The picture (N, C, H, W) with as many channels as the network sees: alpha is dropped, grey repeated.

    A network that sees one channel is shown the mean of the colours.

    Raises:
        ValueError: it has no size, or channels that cannot be fitted.
    """
    if picture.ndim != 4 or not picture.numel():
        raise ValueError(f"ControlNet {network.file!r} was given a picture of shape {list(picture.shape)}")
    given, wanted = picture.shape[1], network.channels
    if given == wanted:
        return picture
    if wanted == 1:
        return picture.mean(dim=1, keepdim=True)
    if given == 1:
        return picture.expand(-1, wanted, -1, -1)
    if given > wanted:
        return picture[:, :wanted]
    raise ValueError(f"ControlNet {network.file!r} sees {wanted} channels, the picture has {given}")
