"""What Qwen-Image-Edit is told: the prompt, and the pictures as reference latents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sqrt

from torch import Tensor

from graphengine_nodes.image.scaling import resize

from .conditioning import with_appended
from .model import Conditioning
from .text_encode import TextEncoder
from .vae import VAE

_AREA = 1024 * 1024  # pixels that a picture is scaled to


def encode_edit(
    clip: TextEncoder,
    prompt: str,
    vae: VAE | None,
    pictures: Sequence[Tensor | None],
    check: Callable[[], None],
    *,
    numbered: bool = False,
) -> Conditioning:
    """The conditioning of an instruction about pictures (B, H, W, 3), some of which may be missing.

    With a VAE they become reference latents, scaled to about a million pixels; numbered: to sides that are
    multiples of 8. The text tower is shown the prompt alone, without the pictures.
    """
    conditioning = clip.encode(prompt).conditioning()
    if vae is None:
        return conditioning
    latents = [
        vae.encode(scaled(picture, _AREA, 8 if numbered else 1), check)
        for picture in pictures
        if picture is not None
    ]
    return with_appended(conditioning, "reference_latents", latents) if latents else conditioning


def scaled(picture: Tensor, area: int, multiple: int = 1) -> Tensor:
    """A picture (B, H, W, 3 or more) of about so many pixels in the same proportions, averaged; (B, h, w, 3)."""
    height, width = picture.shape[1:3]
    factor = sqrt(area / (width * height))
    sides = [max(1, round(side * factor / multiple)) * multiple for side in (width, height)]
    return resize(picture[..., :3].movedim(-1, 1), sides[0], sides[1], "area").movedim(1, -1)
