"""One picture, mask or latent put on another, and alpha channels joined and split."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional

from graphengine.node.api import GraphEngineError

from .batches import repeat_to_batch
from .scaling import resize

#: (source colours, source alpha, destination colours, destination alpha) → (colours, alpha), all premultiplied.
_Blend = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def composite(
    destination: Tensor,
    source: Tensor,
    x: int,
    y: int,
    mask: Tensor | None = None,
    unit: int = 1,
    *,
    resize_source: bool = False,
) -> Tensor:
    """(B, C, H, W) with the source (B2, C, H2, W2) on it at (x, y), in steps of `unit` pixels per value.

    What lies outside is cut off. MASK (B3, H3, W3) says by how much the source covers; it is scaled (bilinear) to
    the source. Source and mask are repeated or cut to B. With `resize_source` the source gets the size H, W first.
    """
    batch, _, height, width = destination.shape
    if resize_source:
        source = functional.interpolate(source, size=(height, width), mode="bilinear")
    source = repeat_to_batch(source.to(destination), batch)
    left, top = min(x, width * unit) // unit, min(y, height * unit) // unit
    source = source[..., : height - top, : width - left] if mask is None else source
    cover = torch.ones_like(source) if mask is None else _cover(mask, source)
    part = (..., slice(top, top + source.shape[-2]), slice(left, left + source.shape[-1]))
    changed = destination.clone()
    below = changed[part]
    source, cover = (value[..., : below.shape[-2], : below.shape[-1]] for value in (source, cover))
    changed[part] = cover * source + (1 - cover) * below
    return changed


def _cover(mask: Tensor, source: Tensor) -> Tensor:
    """MASK (B, H, W) or (H, W) → (B of the source, 1, H and W of the source)."""
    flat = mask.reshape(-1, 1, *mask.shape[-2:]).to(source)
    return repeat_to_batch(functional.interpolate(flat, size=source.shape[-2:], mode="bilinear"), source.shape[0])


def composite_images(
    destination: Tensor, source: Tensor, x: int, y: int, mask: Tensor | None = None, *, resize_source: bool = False
) -> Tensor:
    """IMAGE (B, H, W, C) with the source on it at (x, y), see `composite`.

    The source loses its alpha when the destination has none, and is opaque when only the destination has one.
    """
    channels = destination.shape[-1]
    source = functional.pad(source, (0, max(0, channels - source.shape[-1])), value=1.0)[..., :channels]
    return composite(
        destination.movedim(-1, 1), source.movedim(-1, 1), x, y, mask, resize_source=resize_source
    ).movedim(1, -1)


def join_alpha(images: Tensor, transparency: Tensor) -> Tensor:
    """IMAGE (B, H, W, C) and MASK (B2, H2, W2) → IMAGE (min(B, B2), H, W, 4) with 1 - mask as alpha.

    The mask is scaled (bilinear) to the pictures.
    """
    size = min(images.shape[0], transparency.shape[0])
    flat = transparency.reshape(-1, 1, *transparency.shape[-2:])
    alpha = 1 - functional.interpolate(flat, size=images.shape[1:3], mode="bilinear")
    return torch.cat((images[:size, ..., :3], alpha[:size].movedim(1, -1)), dim=-1)


def split_alpha(images: Tensor) -> tuple[Tensor, Tensor]:
    """IMAGE (B, H, W, C) → IMAGE (B, H, W, 3) and MASK (B, H, W), 1 where it is transparent, 0 without alpha."""
    alpha = images[..., 3] if images.shape[-1] > 3 else torch.ones_like(images[..., 0])
    return images[..., :3], 1 - alpha


def porter_duff(
    source: Tensor, source_mask: Tensor, destination: Tensor, destination_mask: Tensor, mode: str
) -> tuple[Tensor, Tensor]:
    """IMAGE (B, H, W, C) and MASK (B, H, W) by a mode of Porter and Duff (1984) or a blend of the same kind.

    Masks are 1 where a picture is transparent. All get the size of the destination (bicubic, centre); as many
    pictures come out as the shortest of the four has.

    Raises:
        GraphEngineError: the pictures differ in channels, or the mode is not known.
    """
    if source.shape[-1] != destination.shape[-1]:
        raise GraphEngineError(
            f"inputs 'source' and 'destination' have {source.shape[-1]} and {destination.shape[-1]} channels",
            hint="split off the alpha channel first, with SplitImageWithAlpha",
        )
    if mode not in _MODES:
        raise GraphEngineError(f"input 'mode': no mode {mode!r}", hint=f"use one of {', '.join(_MODES)}")
    height, width = destination.shape[1:3]
    parts = [source.movedim(-1, 1), _channel(source_mask), destination.movedim(-1, 1), _channel(destination_mask)]
    size = min(part.shape[0] for part in parts)
    above, above_mask, below, below_mask = (_fitted(part[:size], width, height) for part in parts)
    above_alpha, below_alpha = 1 - above_mask, 1 - below_mask
    colours, alpha = _MODES[mode](above * above_alpha, above_alpha, below * below_alpha, below_alpha)
    straight = torch.where(alpha > 1e-5, colours / alpha.clamp(min=1e-5), torch.zeros_like(colours))
    return straight.clamp(0, 1).movedim(1, -1), 1 - alpha[:, 0]


def _channel(mask: Tensor) -> Tensor:
    return mask.reshape(-1, 1, *mask.shape[-2:])


def _fitted(values: Tensor, width: int, height: int) -> Tensor:
    if values.shape[-2:] == (height, width):
        return values
    return resize(values, width, height, "bicubic", "center")


def _overlay(s: Tensor, sa: Tensor, d: Tensor, da: Tensor) -> tuple[Tensor, Tensor]:
    colours = torch.where(2 * d < da, 2 * s * d, sa * da - 2 * (da - d) * (sa - s))
    return colours, sa + da - sa * da


def _extreme(choose: Callable[[Tensor, Tensor], Tensor]) -> _Blend:
    """The lighter or darker of both, where both are."""

    def blend(s: Tensor, sa: Tensor, d: Tensor, da: Tensor) -> tuple[Tensor, Tensor]:
        return (1 - da) * s + (1 - sa) * d + choose(s, d), sa + da - sa * da

    return blend


# s, d: colours of source and destination times their alphas sa, da.
_MODES: Mapping[str, _Blend] = MappingProxyType(
    {
        "ADD": lambda s, sa, d, da: ((s + d).clamp(0, 1), (sa + da).clamp(0, 1)),
        "CLEAR": lambda s, sa, d, da: (torch.zeros_like(d), torch.zeros_like(da)),
        "DARKEN": _extreme(torch.minimum),
        "DST": lambda s, sa, d, da: (d, da),
        "DST_ATOP": lambda s, sa, d, da: (sa * d + (1 - da) * s, sa),
        "DST_IN": lambda s, sa, d, da: (d * sa, sa * da),
        "DST_OUT": lambda s, sa, d, da: ((1 - sa) * d, (1 - sa) * da),
        "DST_OVER": lambda s, sa, d, da: (d + (1 - da) * s, da + (1 - da) * sa),
        "LIGHTEN": _extreme(torch.maximum),
        "MULTIPLY": lambda s, sa, d, da: (s * d, sa * da),
        "OVERLAY": _overlay,
        "SCREEN": lambda s, sa, d, da: (s + d - s * d, sa + da - sa * da),
        "SRC": lambda s, sa, d, da: (s, sa),
        "SRC_ATOP": lambda s, sa, d, da: (da * s + (1 - sa) * d, da),
        "SRC_IN": lambda s, sa, d, da: (s * da, sa * da),
        "SRC_OUT": lambda s, sa, d, da: ((1 - da) * s, (1 - da) * sa),
        "SRC_OVER": lambda s, sa, d, da: (s + (1 - sa) * d, sa + (1 - sa) * da),
        "XOR": lambda s, sa, d, da: ((1 - da) * s + (1 - sa) * d, (1 - da) * sa + (1 - sa) * da),
    }
)
