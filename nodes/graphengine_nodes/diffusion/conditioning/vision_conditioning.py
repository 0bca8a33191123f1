"""Conditionings made of a picture: for unCLIP models, and for models that turn or move a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from graphengine_nodes.diffusion.model.model import Conditioning, Latent
from graphengine_nodes.diffusion.vision.vision import ClipVision, VisionOutput
from graphengine_nodes.image.scaling import resize

from .conditioning import with_appended

if TYPE_CHECKING:
    from graphengine_nodes.diffusion.vae.autoencoder import VAE

_LATENT_CHANNELS, _DOWNSCALE = 4, 8


class PictureConditioning(NamedTuple):
    """What the nodes for a picture give: both sides, and the latent to sample from."""

    positive: Conditioning
    negative: Conditioning
    latent: Latent


def with_picture(
    conditioning: Conditioning, output: VisionOutput, strength: float, noise_augmentation: float
) -> Conditioning:
    """The conditioning of an unCLIP model with a picture more; unchanged at strength 0."""
    if strength == 0:
        return conditioning
    entry = {"clip_vision_output": output, "strength": strength, "noise_augmentation": noise_augmentation}
    return with_appended(conditioning, "unclip_conditioning", [entry])


class _Seen(NamedTuple):
    """A picture as an encoder sees it, (1, B, P), and as a latent, (B, 4, h, w)."""

    embedding: Tensor
    latent: Tensor


def _see(vision: ClipVision, vae: VAE, image: Tensor, width: int, height: int, *, noise: float = 0.0) -> _Seen:
    pixels = resize(image.movedim(-1, 1), width, height, "bilinear", "center").movedim(1, -1)[..., :3]
    if noise > 0:
        # ComfyUI draws from whatever was drawn before; a seed of its own makes the node a function of its inputs
        pixels = pixels + torch.randn(pixels.shape, generator=torch.Generator().manual_seed(0)) * noise
    embeds = vision.encode_image(image).image_embeds
    if embeds is None:
        raise ValueError("the CLIP_VISION gives no embedding of the picture")
    return _Seen(embeds[None], vae.encode(pixels))


def _empty(count: int, width: int, height: int) -> Tensor:
    return torch.zeros(count, _LATENT_CHANNELS, height // _DOWNSCALE, width // _DOWNSCALE)


def video_of_picture(
    vision: ClipVision,
    vae: VAE,
    image: Tensor,
    width: int,
    height: int,
    frames: int,
    *,
    motion_bucket: int,
    fps: int,
    augmentation: float,
) -> PictureConditioning:
    """For Stable Video Diffusion: a video of that many frames which begins with the picture.

    motion_bucket: how much moves, 1..1023. augmentation: how much noise the encoded picture gets.
    """
    seen = _see(vision, vae, image, width, height, noise=augmentation)
    options = {"motion_bucket_id": motion_bucket, "fps": fps, "augmentation_level": augmentation}
    return PictureConditioning(
        [(seen.embedding, {**options, "concat_latent_image": seen.latent})],
        [(torch.zeros_like(seen.embedding), {**options, "concat_latent_image": torch.zeros_like(seen.latent)})],
        {"samples": _empty(frames, width, height)},
    )


def orbit_of_picture(
    vision: ClipVision, vae: VAE, image: Tensor, width: int, height: int, frames: int, elevation: float
) -> PictureConditioning:
    """For SV3D: views of the picture's object from all around, at one elevation in degrees."""
    seen = _see(vision, vae, image, width, height)
    step = 360 / (max(frames, 2) - 1)
    options = {"elevation": [elevation] * frames, "azimuth": [step * number for number in range(frames)]}
    return PictureConditioning(
        [(seen.embedding, {**options, "concat_latent_image": seen.latent})],
        [(torch.zeros_like(seen.embedding), {**options, "concat_latent_image": torch.zeros_like(seen.latent)})],
        {"samples": _empty(frames, width, height)},
    )


def camera(elevation: float, azimuth: float) -> Tensor:
    """How far a camera is turned, in degrees, as Zero123 is told it; (1, 1, 4).

    Relative to the picture's camera: the polar angle, sine and cosine of the azimuth, and the polar angle of the
    picture's own camera; Liu et al. (2023).
    """
    polar, turn = torch.deg2rad(torch.tensor([(90 - elevation) - 90.0, azimuth]))
    return torch.stack([polar, turn.sin(), turn.cos(), torch.deg2rad(torch.tensor(90.0))])[None, None]


def views_of_picture(
    vision: ClipVision,
    vae: VAE,
    image: Tensor,
    width: int,
    height: int,
    angles: Sequence[tuple[float, float]],
    count: int,
) -> PictureConditioning:
    """For Stable Zero123: `count` views of the picture's object.

    angles: elevation and azimuth in degrees, one pair for all views or one per view.
    """
    seen = _see(vision, vae, image, width, height)
    cameras = torch.cat([camera(elevation, azimuth) for elevation, azimuth in angles])
    if len(angles) == 1:
        embedding, cameras = seen.embedding, cameras.expand(len(seen.embedding), seen.embedding.shape[1], -1)
    else:
        embedding = seen.embedding.expand(len(angles), -1, -1)
        cameras = cameras.expand(-1, embedding.shape[1], -1)
    positive = torch.cat([embedding, cameras], dim=-1)
    return PictureConditioning(
        [(positive, {"concat_latent_image": seen.latent})],
        [(torch.zeros_like(seen.embedding), {"concat_latent_image": torch.zeros_like(seen.latent)})],
        {"samples": _empty(count, width, height)},
    )
