"""Values of ComfyUI's types to give to nodes: pictures, masks, latents, sounds, conditionings and sigmas.

All are made from a seed, so that a test sees the same values every time. docs/node-api.md has the layouts. Models
are not faked: `models.Values` loads the shipped checkpoint, which samples and encodes on a CPU in a second.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

# torch takes seconds to import, and a run of pytest that needs no values has no use for it: see each function.


def image(width: int = 32, height: int = 32, batch: int = 1, channels: int = 3, seed: int = 0) -> "Tensor":
    """An IMAGE, float32 (batch, height, width, channels) in 0..1: a gradient with noise, so that scaling shows."""
    import torch

    noise = torch.rand(batch, height, width, channels, generator=_generator(seed))
    across = torch.linspace(0.0, 1.0, width).view(1, 1, width, 1)
    down = torch.linspace(0.0, 1.0, height).view(1, height, 1, 1)
    return 0.4 * across + 0.4 * down + 0.2 * noise


def mask(width: int = 32, height: int = 32, batch: int = 1, seed: int = 0) -> "Tensor":
    """A MASK, float32 (batch, height, width) in 0..1, with all values between as well."""
    return image(width, height, batch, 1, seed)[..., 0]


def latent(
    width: int = 8, height: int = 8, batch: int = 1, channels: int = 4, seed: int = 0
) -> "dict[str, Tensor]":
    """A LATENT with `samples` float32 (batch, channels, height, width); sizes are of the latent, not in pixels."""
    import torch

    return {"samples": torch.randn(batch, channels, height, width, generator=_generator(seed))}


# Any: a conditioning's options are open-ended.
def conditioning(tokens: int = 77, width: int = 64, batch: int = 1, seed: int = 0) -> list[list[Any]]:
    """A CONDITIONING: one [tensor (batch, tokens, width), {"pooled_output": (batch, width)}].

    For nodes that only pass it on or change it. What is sampled needs the width of its model: take the fixture
    `tiny_conditioning`.
    """
    import torch

    generator = _generator(seed)
    text = torch.randn(batch, tokens, width, generator=generator)
    return [[text, {"pooled_output": torch.randn(batch, width, generator=generator)}]]


def audio(
    seconds: float = 0.1, sample_rate: int = 8000, channels: int = 2, batch: int = 1, seed: int = 0
) -> dict[str, Any]:
    """An AUDIO: `waveform` float32 (batch, channels, samples) in -1..1, a tone with noise; `sample_rate` in Hz."""
    import torch

    samples = max(1, round(seconds * sample_rate))
    tone = torch.sin(torch.arange(samples) * (440.0 * 2 * torch.pi / sample_rate))
    noise = torch.rand(batch, channels, samples, generator=_generator(seed)) * 2 - 1
    return {"waveform": 0.8 * tone + 0.2 * noise, "sample_rate": sample_rate}


def sigmas(steps: int = 4, largest: float = 14.6, smallest: float = 0.03) -> "Tensor":
    """SIGMAS, float32 (steps + 1,), that fall from `largest` to `smallest` geometrically, then a zero."""
    import torch

    falling = torch.logspace(0.0, 1.0, steps, base=smallest / largest) * largest
    return torch.cat([falling, torch.zeros(1)])


# Any: a torch.Generator, which is not imported here.
def _generator(seed: int) -> Any:
    import torch

    return torch.Generator().manual_seed(seed)
