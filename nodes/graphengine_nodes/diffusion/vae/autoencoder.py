"""The VAE value: pictures ↔ latents with any autoencoder, whole or in tiles.

LATENT values between nodes have the scale of the VAE; a MODEL multiplies by its latent format's factor (0.18215
for every SD1.x model). A tiny autoencoder works in a scale of its own: `vae_scale` in the file, a single number,
divides what its encoder gives and multiplies what its decoder takes. A file without it means 1. So the network
of a checkpoint with a tiny autoencoder sees encoder output * 0.18215 / vae_scale; it sees the plain output when
vae_scale is 0.18215.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn

from graphengine.node.api import GraphEngineError
from graphengine_nodes.diffusion.weights.memory_limits import first_that_fits

from .shapes import Layout, pictures
from .tiles import Tiles
from .tiling import in_tiles

Check = Callable[[], None]
"""Called between parts of the work; it may raise to stop it."""

_FALLBACK = (512, 256, 128)  # tiles tried when memory is short, in pixels
_VIDEO_FALLBACK = (256, 128, 64)
_LOG_VARIANCES = (-30.0, 20.0)  # the limits that LDM sets


def never_stop() -> None:
    """The default check: goes on."""


class Stage(Protocol):
    """An encoder or decoder whose weights are made ready when they are first used."""

    @property
    def device(self) -> str:
        """Where it computes."""

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""

    def ready(self) -> nn.Module:
        """The network, its weights in place."""

    def make_room(self) -> int:
        """Unload all other models; the number of bytes that are given back."""


@dataclass(frozen=True, slots=True, eq=False)
class VAE:
    """An encoder, (1, 3, H, W) in -1..1 → (1, C, h, w), and a decoder, the other way; `downscale` is H / h.

    frames: for videos, the number of frames that one latent frame stands for; the first one stands for a single
    frame. Encoder and decoder then have an axis of time, (1, 3, T, H, W) ↔ (1, C, t, h, w). None means pictures.
    variational: the encoder gives mean and log-variance, (1, 2 C, …), of which latents are the mean.
    """

    encoder: Stage
    decoder: Stage
    latent_channels: int = 4
    downscale: int = 8
    frames: int | None = None
    variational: bool = False

    @torch.no_grad()
    def encode(self, pixels: Tensor, check: Check = never_stop) -> Tensor:
        """Latents (B, C, H/8, W/8) of pictures (B, H, W, 3 or more) in 0..1; float32 on the CPU.

        Pictures are cropped in the middle to multiples of 8, the latent is the mean of the posterior, not a
        sample. A video VAE takes a batch as one video, or videos (B, T, H, W, 3), and gives (B, C, t, h, w).
        Where memory is short, it is done in tiles. check is called before each picture or tile and may raise.

        Raises:
            GraphEngineError: the pictures are smaller than one latent pixel, not of that shape, or too large for
                the memory.
        """
        return self._mean(self._encode(pixels, [None, *self._fallback(1)], check))

    @torch.no_grad()
    def moments(self, pixels: Tensor, check: Check = never_stop) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance (within -30..20) of q(latent | picture), each as `encode` gives it.

        Raises:
            GraphEngineError: as for `encode`, or this autoencoder is not variational.
        """
        if not self.variational:
            raise GraphEngineError(
                "this VAE gives latents without a variance: it is a tiny autoencoder, not a variational one",
                hint="load the full VAE of the model with the node VAELoader",
            )
        encoded = self._encode(pixels, [None, *self._fallback(1)], check)
        mean, log_variance = encoded.chunk(2, dim=1)
        return mean, log_variance.clamp(*_LOG_VARIANCES)

    @torch.no_grad()
    def decode(self, samples: Tensor, check: Check = never_stop) -> Tensor:
        """Pictures (B, 8 h, 8 w, 3) in 0..1 of latents (B, C, h, w); float32 on the CPU.

        A video VAE gives (B, T, 8 h, 8 w, 3) of latents (B, C, t, h, w). Where memory is short, it is done in
        tiles. check is called before each picture or tile and may raise.

        Raises:
            GraphEngineError: the latents do not belong to this VAE, or are too large for the memory.
        """
        return self._decode(samples, [None, *self._fallback(self.downscale)], check)

    @torch.no_grad()
    def encode_tiled(
        self,
        pixels: Tensor,
        tile_x: int | None = None,
        tile_y: int | None = None,
        overlap: int | None = None,
        tile_t: int | None = None,
        overlap_t: int | None = None,
        check: Check = never_stop,
    ) -> Tensor:
        """What `encode` gives, computed in tiles of so many pixels (512 by 512, overlapping by 64) and frames.

        Sizes are rounded down to cells of the latent. Pictures are the mean of three tilings: as given, of half
        the width and twice the height, and the other way, as ComfyUI does it. Videos have one.

        Raises:
            GraphEngineError: as for `encode`.
        """
        tiles = Tiles(tile_x or 512, tile_y or 512, 64 if overlap is None else overlap, tile_t, overlap_t or 0)
        return self._mean(self._encode(pixels, [tiles], check))

    @torch.no_grad()
    def decode_tiled(
        self,
        samples: Tensor,
        tile_x: int | None = None,
        tile_y: int | None = None,
        overlap: int | None = None,
        tile_t: int | None = None,
        overlap_t: int | None = None,
        check: Check = never_stop,
    ) -> Tensor:
        """What `decode` gives, computed in tiles of so many cells (64 by 64, overlapping by 16) and latent frames.

        For videos, tiles are 32 by 32 and overlap by 8 unless they are given.
        Pictures are the mean of three tilings: as given, of half the width and twice the height, and the other
        way, as ComfyUI does it. Videos have one.

        Raises:
            GraphEngineError: as for `decode`.
        """
        side, shared = (64, 16) if self.frames is None else (32, 8)
        shared = shared if overlap is None else overlap
        tiles = Tiles(tile_x or side, tile_y or side, shared, tile_t, overlap_t or 0)
        return self._decode(samples, [tiles], check)

    # The names that packs of ComfyUI ask for.

    @property
    def device(self) -> torch.device:
        """Where the decoder computes."""
        return torch.device(self.decoder.device)

    @property
    def output_device(self) -> torch.device:
        """Where results lie."""
        return torch.device("cpu")

    @property
    def vae_dtype(self) -> torch.dtype:
        """What the decoder computes in."""
        return self.decoder.dtype

    @property
    def latent_dim(self) -> int:
        """How many axes a latent has besides batch and channels: 2, or 3 with time."""
        return 2 if self.frames is None else 3

    @property
    def downscale_ratio(self) -> int | tuple[Callable[[int], int], int, int]:
        """Pixels per cell; for videos (frames → latent frames, pixels per cell, pixels per cell)."""
        layout, side = self.layout, self.downscale
        return side if self.frames is None else (layout.latent_frames, side, side)

    @property
    def upscale_ratio(self) -> int | tuple[Callable[[int], int], int, int]:
        """Pixels per cell; for videos (latent frames → frames, pixels per cell, pixels per cell)."""
        layout, side = self.layout, self.downscale
        return side if self.frames is None else (layout.video_frames, side, side)

    @property
    def first_stage_model(self) -> FirstStage:
        """The two networks with the methods `encode` and `decode`, on tensors in -1..1."""
        return FirstStage(self)

    def spacial_compression_encode(self) -> int:
        """Pixels per cell of the latent."""
        return self.downscale

    def spacial_compression_decode(self) -> int:
        """Pixels per cell of the latent."""
        return self.downscale

    def temporal_compression_decode(self) -> int | None:
        """Frames per latent frame; None for pictures."""
        return self.frames

    def throw_exception_if_invalid(self) -> None:
        """Nothing: a file that is incomplete is refused when it is loaded."""

    @property
    def layout(self) -> Layout:
        """The shape of the latents."""
        return Layout(self.latent_channels, self.downscale, self.frames)

    def _encode(self, pixels: Tensor, plans: Sequence[Tiles | None], check: Check) -> Tensor:
        """What the encoder gives for each picture or video, by the first plan that the memory is enough for."""
        layout, channels = self.layout, self.latent_channels * (2 if self.variational else 1)

        def one(sample: Tensor, tiles: Tiles | None) -> Tensor:
            check()
            if tiles is None:
                return _apply(self.encoder, sample)
            return in_tiles(sample, partial(_apply, self.encoder), tiles.encoder_axes(layout), channels, check)

        batch = layout.encoder_input(pixels)
        problem = f"the VAE cannot encode a picture of {_size(batch)}"
        return _each(batch, one, plans, problem, self.encoder.make_room)

    def _decode(self, samples: Tensor, plans: Sequence[Tiles | None], check: Check) -> Tensor:
        """Pictures or videos, by the first plan that the memory is enough for."""
        layout = self.layout

        def one(sample: Tensor, tiles: Tiles | None) -> Tensor:
            check()
            if tiles is None:
                return _apply(self.decoder, sample)
            return in_tiles(sample, partial(_apply, self.decoder), tiles.decoder_axes(layout), 3, check)

        batch = layout.decoder_input(samples)
        problem = f"the VAE cannot decode a latent of {_size(batch)} cells"
        return pictures(_each(batch, one, plans, problem, self.decoder.make_room))

    def _mean(self, encoded: Tensor) -> Tensor:
        return encoded.chunk(2, dim=1)[0].contiguous() if self.variational else encoded

    def _fallback(self, unit: int) -> list[Tiles]:
        """Tiles to try when memory is short, in units of so many pixels."""
        sizes = [size // unit for size in (_FALLBACK if self.frames is None else _VIDEO_FALLBACK)]
        return [Tiles(size, size, size // 4) for size in sizes if size]


class FirstStage(nn.Module):
    """The networks of a VAE as one module, as packs use it."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.encoder, self.decoder = vae.encoder.ready(), vae.decoder.ready()
        self._channels = vae.latent_channels

    def encode(self, x: Tensor) -> Tensor:
        """Latents (B, C, …) of pictures (B, 3, …) in -1..1; the mean."""
        encoded: Tensor = self.encoder(x)
        return encoded[:, : self._channels]

    def decode(self, z: Tensor) -> Tensor:
        """Pictures (B, 3, …), about -1..1, of latents (B, C, …)."""
        decoded: Tensor = self.decoder(z)
        return decoded


def _each(
    batch: Tensor,
    compute: Callable[[Tensor, Tiles | None], Tensor],
    plans: Sequence[Tiles | None],
    problem: str,
    make_room: Callable[[], int],
) -> Tensor:
    """One sample at a time: memory stays that of one, and a run can stop in between."""
    last = plans[-1]
    problem = f"out of memory: {problem}" + ("" if last is None else f" in tiles of {last}")
    results = []
    for sample in batch[:, None]:
        attempts = [partial(compute, sample, plan) for plan in plans]
        results.append(first_that_fits(attempts, problem, make_room))
    return results[0] if len(results) == 1 else torch.cat(results)  # a copy of one would double its memory


def _apply(stage: Stage, x: Tensor) -> Tensor:
    """What a stage makes of one sample; float32 on the CPU."""
    network = stage.ready()
    result: Tensor = network(x.to(stage.device, stage.dtype))
    return result.float().cpu()


def _size(batch: Tensor) -> str:
    return f"{batch.shape[-1]}x{batch.shape[-2]}"
