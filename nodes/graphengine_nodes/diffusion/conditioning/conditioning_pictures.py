"""Conditionings that show the network a picture: for inpainting, editing and upscaling models."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from graphengine_nodes.diffusion.model.model import Conditioning, Latent
from graphengine_nodes.diffusion.vae.autoencoder import VAE, Check, never_stop
from graphengine_nodes.diffusion.vae.shapes import crop
from graphengine_nodes.diffusion.vae.vae import fitted, greyed
from graphengine_nodes.image.scaling import resize, scale_images_to_pixels

from .conditioning import with_options


def inpaint_model_inputs(
    vae: VAE, pixels: Tensor, mask: Tensor, *, noise_mask: bool = True, check: Check = never_stop
) -> tuple[dict[str, Tensor], Latent]:
    """The options of a conditioning for a model with an input for the masked picture, and the latent to sample.

    pixels: (B, H, W, 3) in 0..1. mask: (H, W) or (B, H, W), any resolution, 1 is painted anew. The options are
    "concat_latent_image", the latent of the picture with grey under the mask, and "concat_mask" (B, 1, H, W).
    The latent is that of the whole picture, with the mask where `noise_mask` says so.
    """
    cropped, fitting = fitted(pixels, mask, vae.downscale)
    hidden = vae.encode(greyed(cropped, fitting.round()), check)
    latent: Latent = {"samples": vae.encode(pixels, check)}
    if noise_mask:
        latent["noise_mask"] = fitting
    return {"concat_latent_image": hidden, "concat_mask": fitting}, latent


def edit_inputs(vae: VAE, pixels: Tensor, check: Check = never_stop) -> tuple[dict[str, Tensor], Latent]:
    """The options for InstructPix2Pix (Brooks et al. 2023): the latent of the picture; and an empty latent."""
    shown = vae.encode(crop(pixels, vae.downscale), check)
    return {"concat_latent_image": shown}, {"samples": torch.zeros_like(shown)}


def upscale_conditionings(
    images: Tensor, positive: Conditioning, negative: Conditioning, scale_ratio: float, noise_augmentation: float
) -> tuple[Conditioning, Conditioning, Latent]:
    """The conditionings for the x4 upscaling model of SD2, and its empty latent.

    images: (B, H, W, 3) in 0..1. "concat_image" is the picture in -1..1 (B, 3, h, w), at a quarter of the wanted
    size, which is that of the picture times scale_ratio. "noise_augmentation": 0..1, how much noise the model may
    take for detail.
    """
    batch, rows, columns = images.shape[:3]
    width, height = (max(1, round(side * scale_ratio)) // 4 for side in (columns, rows))
    width, height = max(width, 1), max(height, 1)
    shown = resize(images[..., :3].movedim(-1, 1) * 2 - 1, width, height, "bilinear", "center")
    options = {"concat_image": shown, "noise_augmentation": noise_augmentation}
    latent: Latent = {"samples": torch.zeros(batch, 4, height, width)}
    return with_options(positive, **options), with_options(negative, **options), latent


def reference_latents(
    vae: VAE | None, images: Sequence[Tensor], megapixels: float | None, check: Check = never_stop
) -> list[Tensor]:
    """The latent of each picture (B, H, W, 3), scaled to so many megapixels if given; none without a VAE."""
    if vae is None:
        return []
    if megapixels is not None:
        images = [scale_images_to_pixels(image, "area", megapixels) for image in images]
    return [vae.encode(image, check) for image in images]


def empty_like_reference(latents: Sequence[Tensor], megapixels: float | None) -> Latent:
    """Zeros shaped like the first latent; without one, for a square of so many megapixels (1 by default)."""
    if latents:
        return {"samples": torch.zeros_like(latents[0])}
    side = round(math.sqrt((megapixels or 1.0) * 1024 * 1024)) // 8
    return {"samples": torch.zeros(1, 16, side, side)}
