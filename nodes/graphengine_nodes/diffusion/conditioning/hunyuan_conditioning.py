"""A conditioning and a latent of HunyuanVideo for a video that begins with a picture."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphengine.node.api import GraphEngineError
from graphengine_nodes.diffusion.model.model import Conditioning, Latent
from graphengine_nodes.diffusion.vae.autoencoder import VAE, Check

from .conditioning import with_options
from .video_conditioning import VideoSize, encoded_video

CONCAT, REPLACE = "v1 (concat)", "v2 (replace)"


def video_from_picture(
    conditioning: Conditioning,
    vae: VAE,
    size: VideoSize,
    batch: int,
    start: Tensor | None,
    kind: str,
    check: Check,
) -> tuple[Conditioning, Latent]:
    """The conditioning and a latent (batch, 16, T, H/8, W/8), empty but for a picture in the latent itself.

    kind: the first model is shown the picture beside the latent, the second has it in place of the first frame.

    Raises:
        GraphEngineError: the kind is another one.
        ModelError: the VAE is that of another family.
    """
    if kind not in (CONCAT, REPLACE):
        raise GraphEngineError(
            f"input 'guidance_type' is {kind!r}, which is for models that do not run yet",
            hint=f"choose {CONCAT!r} or {REPLACE!r}, as the model file's name says",
        )
    latent: Latent = {"samples": size.latent(batch)}
    if start is None:
        return conditioning, latent
    picture = encoded_video(vae, size, size.fitted(start), check)
    frames = picture.shape[2]
    mask = torch.ones(1, 1, *latent["samples"].shape[2:])
    mask[:, :, :frames] = 0.0
    options: dict[str, Any] = {"concat_latent_image": picture, "concat_mask": mask}
    if kind == REPLACE:
        latent["samples"][:, :, :frames] = picture
        latent["noise_mask"] = mask
        options = {"guiding_frame_index": 0}
    return with_options(conditioning, **options), latent
