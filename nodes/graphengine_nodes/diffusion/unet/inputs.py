"""What the UNets of Stable Diffusion are told beside the text states: a vector, and channels beside the latent's.

The sizes in SDXL's vector are sinusoids of 256 numbers each (Podell et al., 2023, section 2.2); the channels of
inpainting models are the mask and the masked picture, those of InstructPix2Pix the picture to change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from graphengine_nodes.diffusion.model.model import Job
from graphengine_nodes.diffusion.model.sinusoids import sinusoids
from graphengine_nodes.image.scaling import resize

from .traits import SIZE_NUMBERS
from .unclip import NoiseAugmentation, picture_vector
from .upscaler import noisy_picture

# Any: the options of a conditioning are whatever node packs put there.
VectorInput = Callable[[Mapping[str, Any], Job], Tensor | None]
"""A conditioning's options → the vector y, (1 or B, D)."""

ConcatInput = Callable[[Mapping[str, Any], Job], Tensor | None]
"""A conditioning's options → channels in the size of the latent, (1 or B, C, H, W)."""

_GREY_PICTURE = (0.8223, -0.6876, 0.6364, 0.1380)  # SD's latent of a grey picture, on the model's scale
_GOOD, _BAD = 6.0, 2.5  # the refiner's aesthetic score of a positive and of a negative conditioning


def no_vector(options: Mapping[str, Any], job: Job) -> None:
    """For UNets without a label embedding."""


def no_concat(options: Mapping[str, Any], job: Job) -> None:
    """For UNets that take the latent alone."""


def sdxl_vector(options: Mapping[str, Any], job: Job) -> Tensor:
    """The pooled state of CLIP-G, then height, width, crop_h, crop_w, target_height, target_width as sinusoids.

    Sizes in pixels; those that the conditioning does not name are the picture's.

    Raises:
        ValueError: the conditioning has no pooled state.
    """
    width, height = _sizes(options, job)
    crop = [options.get("crop_h", 0), options.get("crop_w", 0)]
    target = [options.get("target_height", height), options.get("target_width", width)]
    return _with_sizes(options, job, [height, width, *crop, *target])


def refiner_vector(options: Mapping[str, Any], job: Job) -> Tensor:
    """The pooled state of CLIP-G, then height, width, crop_h, crop_w and the aesthetic score as sinusoids.

    Raises:
        ValueError: the conditioning has no pooled state.
    """
    width, height = _sizes(options, job)
    crop = [options.get("crop_h", 0), options.get("crop_w", 0)]
    score = options.get("aesthetic_score", _BAD if job.side == "negative" else _GOOD)
    return _with_sizes(options, job, [height, width, *crop, score])


def _sizes(options: Mapping[str, Any], job: Job) -> tuple[float, float]:
    height, width = (size * job.latent_format.downscale for size in job.shape[-2:])
    return options.get("width", width), options.get("height", height)


def _with_sizes(options: Mapping[str, Any], job: Job, sizes: Sequence[float]) -> Tensor:
    pooled = _pooled(options, job)
    encoded = sinusoids(torch.tensor([float(size) for size in sizes]), SIZE_NUMBERS).flatten()
    return torch.cat([pooled.float(), encoded.to(pooled.device).expand(len(pooled), -1)], dim=1)


def _pooled(options: Mapping[str, Any], job: Job) -> Tensor:
    """The pooled text state, or the embedding of pictures that takes its place."""
    pooled: Tensor | None = options.get("pooled_output")
    pictures = options.get("unclip_conditioning")
    if pictures:
        width = pictures[0]["clip_vision_output"].image_embeds.shape[-1]
        return picture_vector(pictures, NoiseAugmentation.plain(width), job)[:, :width]
    if pooled is None:
        raise ValueError(
            "the conditioning has no pooled text state, which SDXL models need: encode it with SDXL's CLIP"
        )
    return pooled


def unclip_vector(augment: NoiseAugmentation) -> VectorInput:
    """The vector of an unCLIP model: that of the conditioning's pictures ("unclip_conditioning"), else zeros."""

    def vector(options: Mapping[str, Any], job: Job) -> Tensor:
        pictures = options.get("unclip_conditioning")
        return picture_vector(pictures, augment, job) if pictures else torch.zeros(1, 2 * augment.width)

    return vector


def inpaint_concat(options: Mapping[str, Any], job: Job) -> Tensor:
    """The mask (1 is painted anew) and the latent of the masked picture: 1 + C channels, on the model's scale.

    Both are those of the conditioning ("concat_mask", "concat_latent_image"), else the latent's own. Without
    any mask everything is painted anew over grey.

    Raises:
        ValueError: the picture has other channels than the latent.
    """
    mask = options.get("concat_mask", job.mask)
    if mask is None:
        return _blank(job)
    picture = options.get("concat_latent_image")
    picture = job.latent if picture is None else job.latent_format.process_in(picture)
    if picture is None:
        return _blank(job)
    mask = mask.reshape(-1, 1, *mask.shape[-2:]).float()
    mask = repeated(sized(mask, job).round(), job.shape[0])
    return torch.cat([mask.to(job.device), _fitted(picture, job)], dim=1)


def _blank(job: Job) -> Tensor:
    shape = (job.shape[0], 1, *job.shape[-2:])
    grey = torch.tensor(_GREY_PICTURE, device=job.device).view(1, -1, 1, 1)
    return torch.cat([torch.ones(shape, device=job.device), grey.expand(shape[0], -1, *shape[-2:])], dim=1)


def picture_concat(options: Mapping[str, Any], job: Job) -> Tensor:
    """The latent of the picture to change ("concat_latent_image"), on the VAE's scale; zeros without one.

    Raises:
        ValueError: the picture has other channels than the latent.
    """
    picture = options.get("concat_latent_image")
    return torch.zeros(job.shape, device=job.device) if picture is None else _fitted(picture, job)


def small_picture_concat(options: Mapping[str, Any], job: Job) -> Tensor:
    """The x4 upscaler's picture ("concat_image"), 3 channels in -1..1 with noise; zeros without one."""
    picture = options.get("concat_image")
    if picture is None:
        return torch.zeros(job.shape[0], 3, *job.shape[-2:], device=job.device)
    return repeated(noisy_picture(options, sized(picture, job), job), job.shape[0]).to(job.device)


def scaled_picture_concat(options: Mapping[str, Any], job: Job) -> Tensor:
    """The same on the model's scale, as CosXL takes it."""
    picture = options.get("concat_latent_image")
    if picture is None:
        return picture_concat(options, job)
    return picture_concat({"concat_latent_image": job.latent_format.process_in(picture)}, job)


def _fitted(picture: Tensor, job: Job) -> Tensor:
    """The latent of a picture in the shape of the job's, on its device."""
    if picture.shape[1] != job.shape[1]:
        raise ValueError(
            f"the latent of the conditioning's picture has {picture.shape[1]} channels, but the model's has "
            f"{job.shape[1]}: encode it with the VAE that belongs to the model"
        )
    return repeated(sized(picture, job), job.shape[0]).to(job.device)


def sized(value: Tensor, job: Job) -> Tensor:
    """value (B, C, h, w) in the size of the latent: cut in the middle to its proportions and interpolated."""
    height, width = job.shape[-2:]
    if value.shape[-2:] == (height, width):
        return value
    return resize(value, width, height, "bilinear", "center")


def repeated(value: Tensor, batch: int) -> Tensor:
    """value (B, …) repeated or cut to a batch."""
    return value.repeat(-(-batch // len(value)), *[1] * (value.ndim - 1))[:batch]
