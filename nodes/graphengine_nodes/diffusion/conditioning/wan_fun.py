"""Conditionings of Wan's Fun series and of Phantom: a camera, a control video, pictures to be like."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphengine_nodes.diffusion.dit.latent_formats import WAN21, WAN22
from graphengine_nodes.diffusion.model.model import Conditioning
from graphengine_nodes.diffusion.vae.autoencoder import VAE, Check

from .conditioning import with_appended, with_options
from .video_conditioning import VideoSize, encoded_video


def fun_size(vae: VAE, width: int, height: int, length: int) -> VideoSize:
    """A video in the latents of this VAE, that of Wan 2.1 or that of Wan 2.2 5B."""
    return VideoSize(width, height, length, vae.latent_channels, vae.downscale)


def start_of_video(vae: VAE, size: VideoSize, start: Tensor | None, check: Check) -> dict[str, Tensor]:
    """The options of a conditioning for a video that begins with pictures: their latent and a mask.

    What is to be made is empty on the model's scale, and 1 in the mask, (1, 4, T, H, W), by frame of each cell.
    """
    latent = filled(vae, size, start, check)
    mask = torch.ones(1, 1, size.cells * size.frames, *latent.shape[-2:])
    if start is not None:
        mask[:, :, : min(len(start), size.length) + size.frames - 1] = 0.0
    mask = mask.reshape(1, size.cells, size.frames, *latent.shape[-2:]).transpose(1, 2)
    return {"concat_latent_image": latent, "concat_mask": mask}


def control_of_video(
    vae: VAE, size: VideoSize, control: Tensor | None, start: Tensor | None, check: Check
) -> dict[str, Tensor]:
    """The option of a conditioning for a video that follows another: the latents of both, (1, 2 C, T, H, W)."""
    latents = [filled(vae, size, pictures, check) for pictures in (control, start)]
    return {"concat_latent_image": torch.cat(latents, dim=1)}


def filled(vae: VAE, size: VideoSize, pictures: Tensor | None, check: Check) -> Tensor:
    """A latent (1, C, T, H, W) that begins with pictures and is empty on the model's scale behind them."""
    latent = (WAN22 if size.channels == WAN22.channels else WAN21).process_out(size.latent(1))
    if pictures is not None:
        given = encoded_video(vae, size, size.fitted(pictures), check)
        latent[:, :, : given.shape[2]] = given
    return latent


# Any: the options of a conditioning are whatever nodes put there.
def with_reference(
    sides: tuple[Conditioning, Conditioning], vae: VAE, size: VideoSize, picture: Tensor | None, check: Check
) -> tuple[Conditioning, Conditioning]:
    """Both with the latent of a picture that the video shall be like, in the option "reference_latents"."""
    if picture is None:
        return sides
    latents: list[Any] = [encoded_video(vae, size, size.fitted(picture[:1]), check)]
    positive, negative = (with_appended(side, "reference_latents", latents) for side in sides)
    return positive, negative


def subjects_of_video(vae: VAE, size: VideoSize, pictures: Tensor, check: Check) -> Tensor:
    """The latents (1, 16, N, H, W) of pictures (N, h, w, 3), each alone, for Phantom (Liu et al., 2025)."""
    return torch.cat([encoded_video(vae, size, size.fitted(picture[None]), check) for picture in pictures], dim=2)


def told_of_subjects(
    positive: Conditioning, negative: Conditioning, subjects: Tensor
) -> tuple[Conditioning, Conditioning, Conditioning]:
    """The positive one with the subjects, the negative one with them, and the negative one with empty ones."""
    empty = WAN21.process_out(torch.zeros_like(subjects))
    return (
        with_options(positive, time_dim_concat=subjects),
        with_options(negative, time_dim_concat=subjects),
        with_options(negative, time_dim_concat=empty),
    )
