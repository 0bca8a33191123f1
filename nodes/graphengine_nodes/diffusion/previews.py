"""Pictures of a sampling run at each step, for whoever watches.

A step hands over a copy of its denoised latent and a function that paints it. The function is called only when
somebody wants to see the picture, away from the thread that samples. It mixes the channels of the latent linearly,
or decodes with a tiny decoder when `models/vae_approx` holds the one of the family.

The factors of the linear mix are fitted to decoded pictures, not exact: those of SD1 by keturn, erucipe and
torridgristle, those of SDXL by StAlKeR7779, those of SD3.5 and Flux.1 by the InvokeAI team; all as InvokeAI
(Apache-2.0, invokeai/app/util/step_callback.py) has them. For other latents there are none of free origin.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from graphengine.node.api import Folders, ModelError, NodeContext, Preview, PreviewMethod

from .build import taesd_module
from .custom_sampling import unseen
from .detect import TaesdConfig
from .model import LatentFormat
from .tensor_files import State, read_tensors

LONGEST_SIDE = 512
"""Of a picture that is shown, in pixels."""

_SHARE = 0.02  # of the time of a run that painting may take

Factors = tuple[tuple[float, float, float], ...]
Painter = Callable[[Tensor], Tensor]
"""A latent (1, C, H, W) on the model's scale → a picture (h, w, 3) in 0..1, on the CPU."""

# fmt: off
SD1_FACTORS: Factors = (
    (0.3444, 0.1385, 0.0670), (0.1247, 0.4027, 0.1494), (-0.3192, 0.2513, 0.2103), (-0.1307, -0.1874, -0.7445),
)
SDXL_FACTORS: Factors = (
    (0.3816, 0.4930, 0.5320), (-0.3753, 0.1631, 0.1739), (0.1770, 0.3588, -0.2048), (-0.4350, -0.2644, -0.4289),
)
SD3_FACTORS: Factors = (
    (-0.05240681, 0.03251581, 0.0749016), (-0.0580572, 0.00759826, 0.05729818),
    (0.16144888, 0.01270368, -0.03768577), (0.14418615, 0.08460266, 0.15941818),
    (0.04894035, 0.0056485, -0.06686988), (0.05187166, 0.19222395, 0.06261094),
    (0.1539433, 0.04818359, 0.07103094), (-0.08601796, 0.09013458, 0.10893912),
    (-0.12398469, -0.06766567, 0.0033688), (-0.0439737, 0.07825329, 0.02258823),
    (0.03101129, 0.06382551, 0.07753657), (-0.01315361, 0.08554491, -0.08772475),
    (0.06464487, 0.05914605, 0.13262741), (-0.07863674, -0.02261737, -0.12761454),
    (-0.09923835, -0.08010759, -0.06264447), (-0.03392309, -0.0804029, -0.06078822),
)
FLUX_FACTORS: Factors = (
    (-0.0412, 0.0149, 0.0521), (0.0056, 0.0291, 0.0768), (0.0342, -0.0681, -0.0427), (-0.0258, 0.0092, 0.0463),
    (0.0863, 0.0784, 0.0547), (-0.0017, 0.0402, 0.0158), (0.0501, 0.1058, 0.1152), (-0.0209, -0.0218, -0.0329),
    (-0.0314, 0.0083, 0.0896), (0.0851, 0.0665, -0.0472), (-0.0534, 0.0238, -0.0024), (0.0452, -0.0026, 0.0048),
    (0.0892, 0.0831, 0.0881), (-0.1117, -0.0304, -0.0789), (0.0027, -0.0479, -0.0043), (-0.1146, -0.0827, -0.0598),
)
# fmt: on


@dataclass(frozen=True, slots=True)
class _Kind:
    """How the latents of some models are shown: the linear mix, and how the file of the tiny decoder begins."""

    factors: Factors
    decoder: str


# By channels and scale factor of the latent format.
_KINDS: dict[tuple[int, float], _Kind] = {
    (4, 0.18215): _Kind(SD1_FACTORS, "taesd_decoder"),
    (4, 0.13025): _Kind(SDXL_FACTORS, "taesdxl_decoder"),
    (16, 1.5305): _Kind(SD3_FACTORS, "taesd3_decoder"),
    (16, 0.3611): _Kind(FLUX_FACTORS, "taef1_decoder"),
}


def linear_factors(latent_format: LatentFormat) -> Factors | None:
    """Red, green and blue, about -1..1, of each channel on the model's scale; None where they are not known."""
    kind = _KINDS.get((latent_format.channels, latent_format.scale_factor))
    return None if kind is None else kind.factors


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
    kind = _KINDS.get((latent_format.channels, latent_format.scale_factor))
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
