"""Pictures of a sampling run at each step, for whoever watches.

A step hands over a copy of its denoised latent and a function that paints it. The function is called only when
somebody wants to see the picture, away from the thread that samples. It mixes the channels of the latent linearly,
or decodes with a tiny decoder when `models/vae_approx` holds the one of the family.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from graphengine.node.api import Folders, ModelError, NodeContext, Preview, PreviewMethod
from graphengine_nodes.diffusion.model.latent_colours import Factors, latent_colours
from graphengine_nodes.diffusion.model.model import LatentFormat
from graphengine_nodes.diffusion.weights.build import taesd_module
from graphengine_nodes.diffusion.weights.detect import TaesdConfig
from graphengine_nodes.diffusion.weights.tensor_files import State, read_tensors

from .custom_sampling import unseen

LONGEST_SIDE = 512
"""Of a picture that is shown, in pixels."""

_SHARE = 0.02  # of the time of a run that painting may take

Painter = Callable[[Tensor], Tensor]
"""A latent (1, C, H, W) on the model's scale → a picture (h, w, 3) in 0..1, on the CPU."""


def mixed(factors: Factors, latent: Tensor) -> Tensor:
    """The picture of the first latent of (B, C, H, W), as large as the latent."""
    return ((latent[0].float().cpu().movedim(0, -1) @ torch.tensor(factors) + 1) / 2).clamp(0, 1)


class TinyDecoder:
    """The decoder of a tiny autoencoder (madebyollin/taesd), read from its file when it first paints."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._network: nn.Module | None = None
        self._lock = threading.Lock()

    @torch.no_grad()
    def __call__(self, latent: Tensor) -> Tensor:
        """The picture of the first latent of (B, C, H, W), eight times as large.

        Raises:
            ModelError: the file is no such decoder.
        """
        with self._lock:
            network = self._network = self._network or _load_decoder(self._path)
        picture: Tensor = network.to(latent.device)(latent[:1].float())
        return ((picture[0].movedim(0, -1) + 1) / 2).clamp(0, 1).cpu()


def _load_decoder(path: Path) -> nn.Module:
    """The decoder of a file with names such as `3.conv.0.weight` or `taesd_decoder.3.conv.0.weight`."""
    state = {}
    for name, value in read_tensors(path).items():
        found = re.fullmatch(r"(?:taesd_decoder\.|decoder\.layers\.|decoder\.)?(\d+)\.(.+)", name)
        if found:
            # The first layer of the original, a clamp without weights, is none in diffusers.
            state[f"layers.{int(found[1]) - 1}.{found[2]}"] = value.float()
    try:
        network = taesd_module(_decoder_config(state)).get_submodule("decoder")
        network.load_state_dict(state, assign=True)
    except (RuntimeError, ValueError, IndexError) as error:
        problem = " ".join(str(error).split())[:300]
        raise ModelError(f"model file {path.name!r} is no decoder of a tiny autoencoder: {problem}") from error
    return network.requires_grad_(False).eval()


def _decoder_config(state: State) -> TaesdConfig:
    """Sizes of a decoder: a convolution, then levels of blocks that each end in one; the encoder is as wide."""
    layers = {int(name.split(".")[1]) for name in state}
    plain = sorted(layer for layer in layers if f"layers.{layer}.weight" in state)
    width, channels = state[f"layers.{plain[0]}.weight"].shape[:2]
    widths = (int(width),) * (len(plain) - 1)
    blocks = tuple(
        sum(f"layers.{layer}.conv.0.weight" in state for layer in range(first + 1, last))
        for first, last in pairwise(plain)
    )
    return TaesdConfig(3, int(channels), widths, blocks, widths, blocks)


def find_painter(latent_format: LatentFormat, folders: Folders, method: PreviewMethod = "auto") -> Painter | None:
    """What paints latents of a format; None when nothing shall, or nothing is known that could.

    "auto" and "taesd" take the tiny decoder if there is one, and else mix the channels as "latent2rgb" does.
    """
    kind = latent_colours(latent_format.channels, latent_format.scale_factor)
    if kind is None or method == "none":
        return None
    files = [] if method == "latent2rgb" else folders.files("vae_approx")
    file = next((name for name in files if name.startswith(kind.decoder)), None)
    return partial(mixed, kind.factors) if file is None else TinyDecoder(folders.path("vae_approx", file))


class StepPreviews:
    """Shows the denoised latent of each step, unless painting would take more than a fiftieth of the time."""

    def __init__(
        self, show: Callable[[Preview], None], paint: Painter, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._show, self._paint, self._clock = show, paint, clock
        self._next = float("-inf")

    def __call__(self, denoised: Tensor) -> None:
        """Offer a picture of the first latent of (B, C, …, H, W) on the model's scale; of videos, a frame."""
        if self._clock() < self._next:
            return
        first = denoised[:1].detach()
        if first.ndim == 5:
            first = first[:, :, 0]
        self._show(Preview(partial(self._picture, first.clone()), max_size=LONGEST_SIDE))

    def _picture(self, latent: Tensor) -> Image.Image:
        start = self._clock()
        picture = self._paint(latent)
        end = self._clock()
        self._next = end + (end - start) / _SHARE
        return as_image(picture)


def as_image(picture: Tensor) -> Image.Image:
    """(h, w, 3) in 0..1 as a picture of PIL."""
    return Image.fromarray((picture * 255).round().to(torch.uint8).numpy())


def step_previews(latent_format: LatentFormat, context: NodeContext) -> Callable[[Tensor], None]:
    """What shows the steps of a run in the node's context."""
    painter = find_painter(latent_format, context.folders, context.previews)
    return unseen if painter is None else StepPreviews(context.preview, painter)
