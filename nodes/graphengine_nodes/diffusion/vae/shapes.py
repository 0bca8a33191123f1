"""The shapes of pictures, videos and latents around a VAE."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from graphengine.node.api import GraphEngineError


@dataclass(frozen=True, slots=True)
class Layout:
    """The shape of the latents of a VAE.

    channels: of the latent. downscale: pixels per cell. frames: for videos, how many frames one latent frame
    stands for; the first one stands for a single frame. None means pictures, without an axis of time.
    """

    channels: int
    downscale: int
    frames: int | None = None

    def latent_frames(self, count: int) -> int:
        """How many latent frames so many frames become; a rest is left out."""
        return (count - 1) // (self.frames or 1) + 1 if count > 0 else 0

    def video_frames(self, count: int) -> int:
        """How many frames so many latent frames become."""
        return (count - 1) * (self.frames or 1) + 1 if count > 0 else 0

    def encoder_input(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) in -1..1 of pictures (B, H, W, 3 or more) in 0..1, cropped to whole cells.

        For videos (B, 3, T, H, W), of videos (B, T, H, W, 3) or of a batch of pictures, which is one video.

        Raises:
            GraphEngineError: they are smaller than one cell, or not of that shape.
        """
        allowed = (4,) if self.frames is None else (4, 5)
        if pixels.ndim not in allowed or pixels.shape[-1] < 3:
            raise GraphEngineError(f"a VAE encodes pictures of shape (B, H, W, 3), not {list(pixels.shape)}")
        if not len(pixels):
            raise GraphEngineError(f"the batch of pictures is empty: its shape is {list(pixels.shape)}")
        if self.frames is not None and pixels.ndim == 4:
            pixels = pixels[None]
        flat = crop(pixels.reshape(-1, *pixels.shape[-3:])[..., :3], self.downscale)
        return flat.reshape(*pixels.shape[:-3], *flat.shape[1:]).movedim(-1, 1) * 2 - 1

    def decoder_input(self, samples: Tensor) -> Tensor:
        """Latents (B, C, h, w), or (B, C, t, h, w) for videos; of latents with time, a VAE of pictures takes the
        first frame.

        Raises:
            GraphEngineError: they have other channels, another shape, or are empty.
        """
        if self.frames is None and samples.ndim == 5:
            samples = samples[:, :, 0]
        if self.frames is not None and samples.ndim == 4:
            samples = samples[:, :, None]
        dimensions = 4 if self.frames is None else 5
        if samples.ndim != dimensions or samples.shape[1] != self.channels:
            axes = "H, W" if self.frames is None else "T, H, W"
            raise GraphEngineError(
                f"this VAE decodes latents of shape (B, {self.channels}, {axes}), not {list(samples.shape)}",
                hint="use the VAE that belongs to the model that made the latent",
            )
        if not samples.numel():
            raise GraphEngineError(f"the latent is empty: its shape is {list(samples.shape)}")
        return samples


def pictures(decoded: Tensor) -> Tensor:
    """-1..1, channels second → 0..1, channels last."""
    return decoded.add_(1).div_(2).clamp_(0, 1).movedim(1, -1).contiguous()


def crop(pixels: Tensor, multiple: int = 8) -> Tensor:
    """Pictures (B, H, W, …) cropped in the middle to multiples of a number of pixels.

    Raises:
        GraphEngineError: nothing would be left.
    """
    height, width = (size // multiple * multiple for size in pixels.shape[1:3])
    if not height or not width:
        raise GraphEngineError(
            f"a picture of {pixels.shape[2]}x{pixels.shape[1]} is too small to encode",
            hint=f"use a picture of at least {multiple}x{multiple}",
        )
    top, left = (size % multiple // 2 for size in pixels.shape[1:3])
    return pixels[:, top : top + height, left : left + width]
