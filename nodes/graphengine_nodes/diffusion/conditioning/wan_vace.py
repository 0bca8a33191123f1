"""The conditioning of Wan VACE: a video to follow, where it may change, and a picture to be like.

As diffusers' WanVACEPipeline prepares them; only that a reference picture is cropped to the size of the video.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from graphengine_nodes.diffusion.dit.latent_formats import WAN21
from graphengine_nodes.diffusion.model.model import Conditioning
from graphengine_nodes.diffusion.vae.autoencoder import VAE, Check
from graphengine_nodes.image.scaling import resize

from .conditioning import with_appended
from .video_conditioning import VideoSize, encoded_video

_GREY = 0.5


class Followed(NamedTuple):
    """What VACE is shown: latents (1, 32, T, H, W) and masks (1, 64, T, H, W).

    before: how many frames of them are those of the reference.
    """

    frames: Tensor
    masks: Tensor
    before: int


def followed(
    vae: VAE, size: VideoSize, video: Tensor | None, masks: Tensor | None, reference: Tensor | None, check: Check
) -> Followed:
    """A video to follow: pictures (N, H, W, 3), grey where they end, with masks (N, H, W), 1 where it may change.

    Latents are those of what stays, then those of what may change; grey elsewhere. A reference (N, H, W, 3) is a
    frame before the video, of which nothing may change.
    """
    pixels = size.grey()
    if video is not None:
        given = size.fitted(video)
        pixels[: len(given)] = given
    change = _fitted_masks(masks, size)
    hard = (change > _GREY).to(pixels.dtype)[..., None]
    parts = [(pixels - _GREY) * part + _GREY for part in (1.0 - hard, hard)]
    frames = torch.cat([encoded_video(vae, size, part, check) for part in parts], dim=1)
    cells = _cells(change, size)
    if reference is None:
        return Followed(frames, cells, 0)
    picture = encoded_video(vae, size, size.fitted(reference[:1]), check)
    before = torch.cat([picture, WAN21.process_out(torch.zeros_like(picture))], dim=1)
    unchanged = torch.zeros_like(cells[:, :, : picture.shape[2]])
    return Followed(torch.cat([before, frames], dim=2), torch.cat([unchanged, cells], dim=2), picture.shape[2])


def told_of(conditioning: Conditioning, shown: Followed, strength: float) -> Conditioning:
    """The conditioning with one more video to follow, in ComfyUI's options."""
    options: dict[str, list[Any]] = {
        "vace_frames": [shown.frames],
        "vace_mask": [shown.masks],
        "vace_strength": [strength],
    }
    for name, values in options.items():
        conditioning = with_appended(conditioning, name, values)
    return conditioning


def _fitted_masks(masks: Tensor | None, size: VideoSize) -> Tensor:
    """A mask for each frame of the video, (length, height, width); ones where there is none."""
    result = torch.ones(size.length, size.height, size.width)
    if masks is not None:
        given = masks.reshape(-1, 1, *masks.shape[-2:])[: size.length]
        result[: len(given)] = resize(given, size.width, size.height, "bilinear", "center")[:, 0]
    return result


def _cells(masks: Tensor, size: VideoSize) -> Tensor:
    """The pixels of each cell as channels, (1, 64, T, H, W), of the frame nearest to each latent frame."""
    rows, columns = size.height // size.pixels, size.width // size.pixels
    cells = masks.reshape(size.length, rows, size.pixels, columns, size.pixels)
    channels = cells.permute(2, 4, 0, 1, 3).flatten(0, 1)[None]
    return interpolate(channels, size=(size.cells, rows, columns), mode="nearest-exact")
