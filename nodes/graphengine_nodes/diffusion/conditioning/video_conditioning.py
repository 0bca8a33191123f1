"""Latents and conditionings of models that make videos from pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from graphengine.node.api import ModelError
from graphengine_nodes.diffusion.dit.latent_formats import WAN22
from graphengine_nodes.diffusion.model.model import Conditioning, Latent
from graphengine_nodes.diffusion.vae.vae import VAE
from graphengine_nodes.diffusion.vision.vision import VisionOutput
from graphengine_nodes.image.scaling import resize

from .conditioning import with_options

_GREY = 0.5  # of frames that are to be made
_LTX_PIXELS, _LTX_FRAMES, _LTX_CHANNELS = 32, 8, 128

Check = Callable[[], None]


@dataclass(frozen=True, slots=True)
class VideoSize:
    """A video of so many pixels and frames, and how many pixels and frames a cell of its latent stands for."""

    width: int
    height: int
    length: int
    channels: int = 16
    pixels: int = 8
    frames: int = 4

    def latent(self, batch: int) -> Tensor:
        """Zeros (batch, channels, T, H, W)."""
        cells = (self.cells, self.height // self.pixels, self.width // self.pixels)
        return torch.zeros(batch, self.channels, *cells)

    @property
    def cells(self) -> int:
        """The latent frames: one for the first frame, then one for each group."""
        return (self.length - 1) // self.frames + 1

    def fitted(self, pictures: Tensor) -> Tensor:
        """At most `length` pictures (N, H, W, 3 or more) of the size of the video, cropped: (N, h, w, 3)."""
        channels_first = pictures[: self.length, ..., :3].movedim(-1, 1)
        return resize(channels_first, self.width, self.height, "bilinear", "center").movedim(1, -1)

    def grey(self) -> Tensor:
        """The frames of the video, grey: (length, H, W, 3)."""
        return torch.full((self.length, self.height, self.width, 3), _GREY)


def encoded_video(vae: VAE, size: VideoSize, pictures: Tensor, check: Check) -> Tensor:
    """The latent (1, C, t, h, w) of pictures (N, H, W, 3) that have the size of the video.

    Raises:
        ModelError: the VAE is that of another family. It is asked before it encodes, which may take minutes.
    """
    if (vae.latent_channels, vae.downscale, vae.frames) != (size.channels, size.pixels, size.frames):
        made = f"latents of {vae.latent_channels} channels and {vae.downscale} pixels a cell"
        kind = f"videos with {vae.frames} frames a cell" if vae.frames else "pictures"
        raise ModelError(
            f"input 'vae' encodes {kind} to {made}; the video needs {size.channels} channels, {size.pixels} "
            f"pixels and {size.frames} frames a cell",
            hint="connect the VAE of the video's family",
        )
    return vae.encode(pictures, check)


def start_picture(vae: VAE, size: VideoSize, start: Tensor, check: Check) -> dict[str, Tensor]:
    """The options of a conditioning for Wan whose video begins with pictures: their latent and a mask.

    What is to be made is grey in the latent and 1 in the mask, (1, 1, T, H, W).
    """
    given = size.fitted(start)
    video = size.grey()
    video[: len(given)] = given
    latent = encoded_video(vae, size, video, check)
    mask = torch.ones(1, 1, size.cells, *latent.shape[-2:])
    mask[:, :, : (len(given) - 1) // size.frames + 1] = 0.0
    return {"concat_latent_image": latent, "concat_mask": mask}


def both_ends(
    vae: VAE, size: VideoSize, start: Tensor | None, end: Tensor | None, check: Check
) -> dict[str, Tensor]:
    """The options of a conditioning for Wan whose video begins or ends with pictures.

    The mask has the four frames of a cell as channels: (1, 4, T, H, W).
    """
    video = size.grey()
    mask = torch.ones(1, 1, size.cells * size.frames, 1, 1)
    if start is not None:
        given = size.fitted(start)
        video[: len(given)] = given
        mask[:, :, : len(given) + size.frames - 1] = 0.0
    if end is not None:
        given = size.fitted(end.flip(0)).flip(0)
        video[-len(given) :] = given
        mask[:, :, -len(given) :] = 0.0
    latent = encoded_video(vae, size, video, check)
    mask = mask.reshape(1, size.cells, size.frames, 1, 1).transpose(1, 2)
    return {"concat_latent_image": latent, "concat_mask": mask.expand(-1, -1, -1, *latent.shape[-2:])}


def conditioned(
    positive: Conditioning, negative: Conditioning, options: dict[str, Any]
) -> tuple[Conditioning, Conditioning]:
    """Both with the options that have a value."""
    given = {name: value for name, value in options.items() if value is not None}
    return (with_options(positive, **given), with_options(negative, **given)) if given else (positive, negative)


def joined_vision(first: VisionOutput | None, second: VisionOutput | None) -> VisionOutput | None:
    """What CLIP vision saw in one picture, or in two, one behind the other along the tokens."""
    if first is None or second is None:
        return first or second
    seen = [output.penultimate_hidden_states for output in (first, second)]
    given = [states for states in seen if states is not None]
    return VisionOutput(penultimate_hidden_states=torch.cat(given, dim=-2))


def wan22_latent(vae: VAE, size: VideoSize, batch: int, start: Tensor | None, check: Check) -> Latent:
    """The latent of Wan 2.2 5B, (batch, 48, T, H, W), that begins with pictures where there are some.

    They stand in the latent itself, and the noise mask keeps them. The rest is the mean of its latents.
    """
    latent = size.latent(1)
    if start is None:
        return {"samples": latent.repeat(batch, 1, 1, 1, 1)}
    given = encoded_video(vae, size, size.fitted(start), check)
    frames = given.shape[2]
    mask = torch.ones(1, 1, *latent.shape[2:])
    mask[:, :, :frames] = 0.0
    latent = WAN22.process_out(latent)
    latent[:, :, :frames] = given
    return {"samples": latent.repeat(batch, 1, 1, 1, 1), "noise_mask": mask.repeat(batch, 1, 1, 1, 1)}


def ltx_latent(vae: VAE, size: VideoSize, batch: int, picture: Tensor, strength: float, check: Check) -> Latent:
    """The latent of LTX-Video, (batch, 128, T, H, W), that begins with a picture.

    strength: how much of the picture is kept, 0..1.
    """
    latent = size.latent(batch)
    given = encoded_video(vae, size, size.fitted(picture), check)
    frames = given.shape[2]
    latent[:, :, :frames] = given
    mask = torch.ones(batch, 1, latent.shape[2], 1, 1)
    mask[:, :, :frames] = 1.0 - strength
    return {"samples": latent, "noise_mask": mask}


def wan_size(width: int, height: int, length: int) -> VideoSize:
    """A video of Wan 2.1 or of the 14B models of 2.2."""
    return VideoSize(width, height, length)


def wan22_size(width: int, height: int, length: int) -> VideoSize:
    """A video of Wan 2.2 5B."""
    return VideoSize(width, height, length, WAN22.channels, WAN22.downscale)


def ltx_size(width: int, height: int, length: int) -> VideoSize:
    """A video of LTX-Video."""
    return VideoSize(width, height, length, _LTX_CHANNELS, _LTX_PIXELS, _LTX_FRAMES)
