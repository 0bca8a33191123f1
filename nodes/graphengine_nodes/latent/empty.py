"""Latents of zeros, the start of a picture, a video or a sound, in the layout of each model family."""

import torch
from torch import Tensor

from graphengine_nodes.diffusion.model.model import Latent


class TypedLatent(Latent):
    """A LATENT that is no picture; `type` says what it is ("audio")."""

    type: str


def empty_picture(width: int, height: int, batch_size: int, *, channels: int = 16, pixels: int = 8) -> Latent:
    """Zeros (batch_size, channels, height / pixels, width / pixels)."""
    return {"samples": torch.zeros(batch_size, channels, height // pixels, width // pixels)}


def empty_video(
    width: int, height: int, length: int, batch_size: int, *, frames: int, channels: int = 16, pixels: int = 8
) -> Latent:
    """Zeros (batch_size, channels, T, height / pixels, width / pixels); T = (length - 1) / frames + 1.

    The first frame stands by itself, each further step for `frames` of them.
    """
    steps = (length - 1) // frames + 1
    return {"samples": torch.zeros(batch_size, channels, steps, height // pixels, width // pixels)}


def empty_cascade(width: int, height: int, compression: int, batch_size: int) -> tuple[Latent, Latent]:
    """Zeros for both stages of Stable Cascade, C and B.

    (batch_size, 16, height / compression, width / compression) and (batch_size, 4, height / 4, width / 4).
    """
    return (
        empty_picture(width, height, batch_size, channels=16, pixels=compression),
        empty_picture(width, height, batch_size, channels=4, pixels=4),
    )


def empty_ace_step_sound(seconds: float, batch_size: int) -> TypedLatent:
    """Zeros (batch_size, 8, 16, T) for ACE-Step: one step for 4096 samples at 44.1 kHz."""
    return _sound(torch.zeros(batch_size, 8, 16, int(seconds * 44100 / 512 / 8)))


def empty_ace_step_15_sound(seconds: float, batch_size: int) -> TypedLatent:
    """Zeros (batch_size, 64, T) for ACE-Step 1.5: one step for 1920 samples at 48 kHz."""
    return _sound(torch.zeros(batch_size, 64, round(seconds * 48000 / 1920)))


def empty_stable_audio(seconds: float, batch_size: int) -> TypedLatent:
    """Zeros (batch_size, 64, T) for Stable Audio: an even number of steps for 2048 samples each at 44.1 kHz."""
    return _sound(torch.zeros(batch_size, 64, round(seconds * 44100 / 2048 / 2) * 2))


def _sound(samples: Tensor) -> TypedLatent:
    return {"samples": samples, "type": "audio"}


def empty_shape(resolution: int, batch_size: int) -> TypedLatent:
    """Zeros (batch_size, 64, resolution) for the 3D model Hunyuan3D 2."""
    return {"samples": torch.zeros(batch_size, 64, resolution), "type": "hunyuan3dv2"}
