"""The latent of Cosmos Predict2 with pictures at its start and end."""

from __future__ import annotations

import torch
from torch import Tensor

from graphengine.node.api import GraphEngineError
from graphengine_nodes.diffusion.dit.latent_formats import WAN21
from graphengine_nodes.diffusion.model.model import Latent
from graphengine_nodes.diffusion.vae.autoencoder import VAE, Check, never_stop
from graphengine_nodes.image.scaling import resize

_RATE = 4  # frames per latent frame
_GREY = 0.5


def start_and_end(
    vae: VAE,
    width: int,
    height: int,
    length: int,
    batch_size: int,
    start: Tensor | None,
    end: Tensor | None,
    check: Check = never_stop,
) -> Latent:
    """LATENT (batch_size, 16, (length - 1) / 4 + 1, height / 8, width / 8) for a video of `length` frames.

    Frames of `start` and `end` (N, H, W, 3) stand at its ends, kept by a noise mask (batch_size, 1, T, h, w).
    What is to be sampled is empty on the scale of the model. Without pictures it is all zeros, without a mask.

    Raises:
        GraphEngineError: the VAE makes other latents.
    """
    shape = (1, 16, (length - 1) // _RATE + 1, height // 8, width // 8)
    samples = torch.zeros(shape)
    if start is None and end is None:
        return {"samples": samples.expand(batch_size, *shape[1:]).contiguous()}
    mask = torch.ones(1, 1, *shape[2:])
    if start is not None:
        kept = _encoded(vae, start, width, height, length, check, after=_RATE)
        samples[:, :, : kept.shape[2]] = kept
        mask[:, :, : kept.shape[2]] = 0
    if end is not None:
        kept = _encoded(vae, end, width, height, length, check)
        samples[:, :, -kept.shape[2] :] = kept
        mask[:, :, -kept.shape[2] :] = 0
    samples = WAN21.process_out(torch.zeros(shape)) * mask + samples * (1 - mask)
    return {
        "samples": samples.repeat(batch_size, 1, 1, 1, 1),
        "noise_mask": mask.repeat(batch_size, 1, 1, 1, 1),
    }


def _encoded(
    vae: VAE, images: Tensor, width: int, height: int, length: int, check: Check, *, after: int = 0
) -> Tensor:
    """The latent frames (1, 16, t, h, w) of pictures in that size, encoded with so many grey frames after them."""
    if vae.frames != _RATE or vae.latent_channels != 16 or vae.downscale != 8:
        raise GraphEngineError(
            f"input 'vae' makes latents of {vae.latent_channels} channels; Cosmos Predict2 works on Wan 2.1's",
            hint="load the VAE of Wan 2.1 with the node VAELoader",
        )
    frames = resize(images[:length, ..., :3].movedim(-1, 1), width, height, "bilinear", "center").movedim(1, -1)
    grey = torch.full((min(after, length - len(frames)), height, width, 3), _GREY)
    latent = vae.encode(torch.cat([frames, grey]), check)
    return latent[:, :, : vae.layout.latent_frames(len(frames))]
