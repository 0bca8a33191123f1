"""Guides of LTX-Video from 0.9.5 on: pictures at chosen times, as latent frames behind those of the video.

A conditioning's option "keyframe_idxs", (1, 3, tokens), holds frame, row and column of each cell of the guides, in
frames and pixels of the video. Which frames stand for which time is as in Lightricks' own pipeline (LTX-Video,
Apache-2.0: `prepare_conditioning`) and in diffusers' LTXConditionPipeline.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from graphengine.node.api import GraphEngineError
from graphengine_nodes.diffusion.dit.ltx_video import FRAMES, PIXELS, causal_places
from graphengine_nodes.diffusion.model.model import Conditioning, Latent
from graphengine_nodes.diffusion.model.regions import resize_noise_mask
from graphengine_nodes.diffusion.vae.autoencoder import VAE, Check, never_stop
from graphengine_nodes.image.scaling import resize

from .video_conditioning import encoded_video, ltx_size

_OPTION = "keyframe_idxs"
_PREFIX = 2  # latent frames of a guide that stand behind the video; the rest replaces the video's own


class Guided(NamedTuple):
    """Conditionings that tell of guides, and the latent that holds them."""

    positive: Conditioning
    negative: Conditioning
    latent: Latent


def add_guide(
    positive: Conditioning,
    negative: Conditioning,
    vae: VAE,
    latent: Latent,
    pictures: Tensor,
    frame: int,
    strength: float,
    check: Check = never_stop,
) -> Guided:
    """Both with one more guide: pictures (N, H, W, 3), cut to 8 n + 1, shown from a frame of the video on.

    frame: from the end where it is negative; for several pictures, rounded down to a multiple of 8. strength: how
    much of them is kept, 0..1. The first two latent frames of a guide are appended to the latent, the others take
    the place of the video's.

    Raises:
        GraphEngineError: the latent is no video, or the guide is longer than what is left of it.
    """
    samples = _video(latent).clone()
    height, width = samples.shape[-2:]
    own = samples.shape[2] - guide_frames(positive, latent)
    encoded = _encoded(vae, pictures, height, width, check)
    start = _start(frame, own, encoded.shape[2])
    mask = _mask(latent)
    rest = encoded[:, :, _PREFIX:]
    first = start // FRAMES + _PREFIX
    if rest.shape[2]:
        samples[:, :, first : first + rest.shape[2]] = rest
        mask[:, :, first : first + rest.shape[2]] = 1.0 - strength
    shown = encoded[:, :, :_PREFIX].expand(len(samples), -1, -1, -1, -1)
    kept = torch.full((len(mask), 1, *shown.shape[2:]), 1.0 - strength)
    places = causal_places(shown.shape[2:])
    places[0] += start
    grown: Latent = {
        **latent,
        "samples": torch.cat([samples, shown], dim=2),
        "noise_mask": torch.cat([mask, kept], dim=2),
    }
    return Guided(_told(positive, places.flatten(1)), _told(negative, places.flatten(1)), grown)


def crop_guides(positive: Conditioning, negative: Conditioning, latent: Latent) -> Guided:
    """Both without guides: their frames are cut from the end of the latent and of its noise mask.

    Raises:
        GraphEngineError: the latent is no video, or not the one that the guides were added to.
    """
    count = guide_frames(positive, latent)
    if not count:
        return Guided(positive, negative, latent)
    cut: Latent = {
        **latent,
        "samples": latent["samples"][:, :, :-count],
        "noise_mask": _mask(latent)[:, :, :-count],
    }
    return Guided(_untold(positive), _untold(negative), cut)


def guide_frames(conditioning: Conditioning, latent: Latent) -> int:
    """How many of the latent's frames are guides that the conditioning tells of.

    Raises:
        GraphEngineError: the latent is no video, or of another size than the one that the guides were added to.
    """
    frames, height, width = _video(latent).shape[2:]
    told = (options.get(_OPTION) for _, options in conditioning)
    tokens = max((int(places.shape[-1]) for places in told if places is not None), default=0)
    count, rest = divmod(tokens, height * width)
    if rest or count >= frames:
        raise GraphEngineError(
            f"the conditioning tells of guides with {tokens} cells, which do not fit the latent of {frames} "
            f"frames of {height} x {width} cells",
            hint="connect the latent that comes with the conditioning from the node LTXVAddGuide",
        )
    return count


def _video(latent: Latent) -> Tensor:
    samples = latent["samples"]
    if samples.ndim != 5 or not samples.numel():
        raise GraphEngineError(
            f"input 'latent' has the shape {list(samples.shape)}; guides are for videos, (B, 128, T, H, W)",
            hint="make it with the node EmptyLTXVLatentVideo",
        )
    return samples


def _mask(latent: Latent) -> Tensor:
    """The noise mask of a video, (B, 1, T, H, W), a new one; ones without one."""
    samples, mask = latent["samples"], latent.get("noise_mask")
    shape = (len(samples), 1, *samples.shape[2:])
    return torch.ones(shape) if mask is None else resize_noise_mask(mask, samples.shape).expand(shape).clone()


def _encoded(vae: VAE, pictures: Tensor, height: int, width: int, check: Check) -> Tensor:
    """The latent frames (1, C, t, height, width) of pictures."""
    if not len(pictures):
        raise GraphEngineError("input 'image' holds no picture")
    count = (len(pictures) - 1) // FRAMES * FRAMES + 1
    channels_first = pictures[:count, ..., :3].movedim(-1, 1)
    fitted = resize(channels_first, width * PIXELS, height * PIXELS, "bilinear", "center").movedim(1, -1)
    return encoded_video(vae, ltx_size(width * PIXELS, height * PIXELS, count), fitted, check)


def _start(frame: int, own: int, frames: int) -> int:
    """The frame of the video where a guide of so many latent frames begins; own: latent frames of the video."""
    length = (own - 1) * FRAMES + 1
    start = max(length + frame, 0) if frame < 0 else frame
    if frames > 1:
        start = start // FRAMES * FRAMES
    if start // FRAMES + frames > own or start >= length:
        raise GraphEngineError(
            f"a guide of {(frames - 1) * FRAMES + 1} frames at frame_idx {frame} goes beyond the video of "
            f"{length} frames",
            hint="let it begin earlier, or give it fewer pictures",
        )
    return start


def _told(conditioning: Conditioning, places: Tensor) -> Conditioning:
    """The conditioning with the places (3, tokens) of one more guide."""
    result: Conditioning = []
    for context, options in conditioning:
        before = options.get(_OPTION)
        after = places[None] if before is None else torch.cat([before, places[None]], dim=2)
        result.append((context, {**options, _OPTION: after}))
    return result


def _untold(conditioning: Conditioning) -> Conditioning:
    return [
        (context, {name: value for name, value in options.items() if name != _OPTION})
        for context, options in conditioning
    ]
