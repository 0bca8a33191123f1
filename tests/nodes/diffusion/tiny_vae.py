"""Shapes of video autoencoders in the layouts of their files."""

from __future__ import annotations

from . import ldm_layout
from .ldm_layout import Shapes

WIDTHS = (4, 8, 16, 16)


def wan(channels: int = 16, *, residual: bool = False) -> Shapes:
    """Wan 2.1, or with residual levels Wan 2.2: four levels, the last two of them halve the time."""
    pixels = 12 if residual else 3
    shapes = _conv("conv1", 2 * channels, 2 * channels, 1, 1, 1) | _conv("conv2", channels, channels, 1, 1, 1)
    shapes |= _conv("encoder.conv1", WIDTHS[0], pixels, 3, 3, 3)
    width, place = WIDTHS[0], 0
    for level, out in enumerate(WIDTHS):
        names = [f"encoder.downsamples.{level}.downsamples.{number}" for number in range(3)]
        if not residual:
            names = [f"encoder.downsamples.{place + number}" for number in range(3)]
        for name in names[:2]:
            shapes |= _residual(name, width, out)
            width = out
        place += 2
        if level < len(WIDTHS) - 1:
            shapes |= _conv(f"{names[2]}.resample.1", out, out, 3, 3)
            shapes |= _conv(f"{names[2]}.time_conv", out, out, 3, 1, 1) if level else {}
            place += 1
    shapes |= _middle("encoder", width) | _gamma("encoder.head.0", width, 3)
    shapes |= _conv("encoder.head.2", 2 * channels, width, 3, 3, 3)
    shapes |= _conv("decoder.conv1", width, channels, 3, 3, 3) | _middle("decoder", width)
    place = 0
    for level, out in enumerate(reversed(WIDTHS)):
        names = [f"decoder.upsamples.{level}.upsamples.{number}" for number in range(4)]
        if not residual:
            names = [f"decoder.upsamples.{place + number}" for number in range(4)]
        for name in names[:3]:
            shapes |= _residual(name, width, out)
            width = out
        place += 4
        if level < len(WIDTHS) - 1:
            above = out if residual else out // 2
            shapes |= _conv(f"{names[3]}.resample.1", above, out, 3, 3)
            shapes |= _conv(f"{names[3]}.time_conv", 2 * out, out, 3, 1, 1) if level < 2 else {}
            width = above
    return shapes | _gamma("decoder.head.0", width, 3) | _conv("decoder.head.2", pixels, width, 3, 3, 3)


def _middle(part: str, width: int) -> Shapes:
    shapes = _residual(f"{part}.middle.0", width, width) | _residual(f"{part}.middle.2", width, width)
    shapes |= _gamma(f"{part}.middle.1.norm", width, 2)
    shapes |= _conv(f"{part}.middle.1.to_qkv", 3 * width, width, 1, 1)
    return shapes | _conv(f"{part}.middle.1.proj", width, width, 1, 1)


def _residual(name: str, before: int, after: int) -> Shapes:
    shapes = _gamma(f"{name}.residual.0", before, 3) | _conv(f"{name}.residual.2", after, before, 3, 3, 3)
    shapes |= _gamma(f"{name}.residual.3", after, 3) | _conv(f"{name}.residual.6", after, after, 3, 3, 3)
    return shapes | (_conv(f"{name}.shortcut", after, before, 1, 1, 1) if before != after else {})


def _gamma(name: str, width: int, dimensions: int) -> Shapes:
    return {f"{name}.gamma": (width, *[1] * dimensions)}


def _conv(name: str, *shape: int) -> Shapes:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def hunyuan(widths: tuple[int, ...] = (32, 32, 64, 64)) -> Shapes:
    """HunyuanVideo: LDM's layout with one block per level, its convolutions inside of causal ones."""
    shapes: Shapes = {}
    for name, shape in ldm_layout.kl(widths, 1).items():
        inside = "quant_conv" not in name and "attn" not in name and "norm" not in name
        owner, _, kind = name.rpartition(".")
        size = (*shape, shape[-1]) if len(shape) == 4 else shape
        shapes[f"{owner}.conv.{kind}" if inside else name] = size
    sixteen = {
        "quant_conv": (32, 32, 1, 1, 1),
        "post_quant_conv": (16, 16, 1, 1, 1),
        "encoder.conv_out.conv": (32, widths[-1], 3, 3, 3),
        "decoder.conv_in.conv": (widths[-1], 16, 3, 3, 3),
    }
    for name, size in sixteen.items():
        shapes |= _conv(name, *size)
    return shapes
