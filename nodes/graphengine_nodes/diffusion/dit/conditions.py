"""What conditionings hold, as inputs of a transformer: pooled texts, guidance, pictures beside the latent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from graphengine_nodes.diffusion.model.model import Job, NetworkCall
from graphengine_nodes.diffusion.model.regions import resize_mask

DEFAULT_GUIDANCE = 3.5
_PIXELS = 8

Options = Mapping[str, Any]  # whatever node packs put there


def pooled(options: Options, job: Job, width: int, title: str) -> Tensor:
    """The pooled text state (1, width); zeros when the conditioning has none.

    Raises:
        ValueError: it has another width.
    """
    state = options.get("pooled_output")
    if state is None:
        return torch.zeros(1, width, device=job.device)
    if state.shape[-1] != width:
        raise ValueError(
            f"the conditioning's pooled_output has the width {state.shape[-1]}, but {title} takes {width}: "
            "encode the prompt with the text encoders of this model"
        )
    result: Tensor = state.to(job.device, torch.float32)
    return result


def guidance(options: Options, job: Job, default: float = DEFAULT_GUIDANCE) -> Tensor:
    """The strength that distilled models are told, (1,)."""
    value = options.get("guidance", default)
    return torch.tensor([float(default if value is None else value)], device=job.device)


def text_mask(options: Options, job: Job) -> dict[str, Tensor]:
    """Which tokens of the text count, (1, T), as "text_mask"; nothing where all do."""
    mask = options.get("attention_mask")
    return {} if mask is None else {"text_mask": mask.to(job.device, torch.float32)}


def given_text_mask(call: NetworkCall) -> Tensor:
    """The mask of `text_mask` in a call, (B, T); ones without it."""
    mask = call.extra.get("text_mask")
    return torch.ones_like(call.context[..., 0]) if mask is None else mask


def beside(options: Options, job: Job, count: int = 1) -> Tensor:
    """The latent that is shown beside x, on the model's scale and at its size; a latent of zeros without one.

    count: how many latents are shown, one behind the other along the channels.

    Raises:
        ValueError: the conditioning holds another number of them.
    """
    image, channels = options.get("concat_latent_image"), job.latent_format.channels
    if image is None:
        image = torch.zeros(1, channels * count, *job.shape[2:], device=job.device)
    if image.shape[1] != channels * count:
        raise ValueError(
            f"the conditioning shows {image.shape[1]} channels beside the latent, but the model takes "
            f"{channels * count}: encode the pictures with the VAE of the model, in the node that is made for it"
        )
    parts = image.to(job.device, torch.float32).split(channels, dim=1)
    return fitted(torch.cat([job.latent_format.process_in(part) for part in parts], dim=1), job.shape)


def pixel_mask(options: Options, job: Job) -> Tensor:
    """The mask of what is painted anew, (1, 64, H, W): the 8 x 8 pixels of each cell; all of it without one."""
    height, width = job.shape[-2:]
    mask = options.get("concat_mask")
    if mask is None:
        return torch.ones(1, _PIXELS**2, height, width, device=job.device)
    mask = resize_mask(mask.to(job.device), (len(mask), 1, height * _PIXELS, width * _PIXELS)).round()
    cells = mask.reshape(len(mask), height, _PIXELS, width, _PIXELS).permute(0, 2, 4, 1, 3)
    return cells.reshape(len(mask), _PIXELS**2, height, width)


def video_mask(options: Options, job: Job, channels: int) -> Tensor:
    """Which frames of the latent beside x are given: 1 where they are, (1, channels, T, H, W); none by default.

    A conditioning's mask says the opposite, 1 where a frame is made: (B, 1 or channels, t, H, W); frames that it
    does not speak of are made.
    """
    frames, height, width = job.shape[-3:]
    mask = options.get("concat_mask")
    if mask is None:
        return torch.zeros(1, channels, frames, height, width, device=job.device)
    given = fitted(1.0 - mask.to(job.device, torch.float32), job.shape)[:, :, :frames]
    if given.shape[1] != channels:
        given = given.mean(dim=1, keepdim=True).expand(-1, channels, -1, -1, -1)
    return pad(given, (0, 0, 0, 0, 0, frames - given.shape[2]))


def kept_frames(job: Job) -> dict[str, Tensor]:
    """For models that are told which frames are kept: the noise mask (B, 1, T, H, W), a spatial input."""
    return {} if job.mask is None else {"denoise_mask": job.mask.expand(-1, 1, *job.shape[2:])}


def frame_times(call: NetworkCall) -> Tensor:
    """The time of each frame, (B, T): 0 where the mask of `kept_frames` keeps it; (B,) without such a mask."""
    mask = call.extra.get("denoise_mask")
    return call.timestep if mask is None else mask.mean(dim=(1, 3, 4)) * call.timestep[:, None]


def references(options: Options, job: Job, method: str) -> dict[str, Tensor]:
    """The latents that the network looks at, by names that say how they are placed: "reference_latents.offset.0".

    method: what is taken when the conditioning does not name one.
    """
    latents: Sequence[Tensor] = options.get("reference_latents") or ()
    method = options.get("reference_latents_method") or method
    return {
        f"reference_latents.{method}.{number}": job.latent_format.process_in(latent.to(job.device, torch.float32))
        for number, latent in enumerate(latents)
    }


def given_references(extra: Mapping[str, Tensor]) -> tuple[str, list[Tensor]]:
    """The method and the latents of `references`, in order, from the extras of a call."""
    names = [name.split(".") for name in extra if name.startswith("reference_latents.")]
    ordered = sorted(names, key=lambda parts: int(parts[2]))
    return (ordered[0][1] if ordered else ""), [extra[".".join(parts)] for parts in ordered]


def fitted(x: Tensor, shape: Sequence[int]) -> Tensor:
    """x (B, C, …, H, W) interpolated bilinearly to the height and width of a shape."""
    height, width = shape[-2:]
    if tuple(x.shape[-2:]) == (height, width):
        return x
    flat = x if x.ndim == 4 else x.movedim(2, 1).flatten(0, 1)
    flat = interpolate(flat, size=(height, width), mode="bilinear")
    return flat if x.ndim == 4 else flat.reshape(x.shape[0], x.shape[2], *flat.shape[1:]).movedim(1, 2)
