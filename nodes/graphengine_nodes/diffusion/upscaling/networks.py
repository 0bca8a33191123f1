"""Networks that enlarge pictures, by the names that Real-ESRGAN's files give their parts.

RRDBNet is the generator of ESRGAN (Wang et al. 2018, arXiv:1809.00219), with the pixel-unshuffle that Real-ESRGAN
(Wang et al. 2021, arXiv:2107.10833) puts before it for factors below 4. Compact is SRVGGNetCompact of
Real-ESRGAN: plain convolutions on the small picture, a pixel shuffle at the end.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_SLOPE = 0.2  # of the leaky rectifiers
_RESIDUAL = 0.2  # how much of a block's result is added to its input


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


class DenseBlock(nn.Module):
    """Five convolutions of which each sees the results of all before it; (B, width, H, W) → the same shape."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.conv1 = _conv(width, growth)
        self.conv2 = _conv(width + growth, growth)
        self.conv3 = _conv(width + 2 * growth, growth)
        self.conv4 = _conv(width + 3 * growth, growth)
        self.conv5 = _conv(width + 4 * growth, width)

    def forward(self, x: Tensor) -> Tensor:
        """The input and a fifth of what the block adds."""
        seen = x
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            seen = torch.cat([seen, F.leaky_relu(conv(seen), _SLOPE)], dim=1)
        added: Tensor = self.conv5(seen)
        return added * _RESIDUAL + x


class DenseBlocks(nn.Module):
    """Three dense blocks in a row (RRDB); (B, width, H, W) → the same shape."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (DenseBlock(width, growth) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """The input and a fifth of what the blocks make of it."""
        made: Tensor = self.rdb3(self.rdb2(self.rdb1(x)))
        return made * _RESIDUAL + x


class RRDBNet(nn.Module):
    """(B, C, H, W) → (B, C, s H, s W), s = 2**doublings / unshuffle; sides are filled up to whole blocks."""

    def __init__(
        self, channels: int, width: int, growth: int, blocks: int, doublings: int, unshuffle: int = 1
    ) -> None:
        super().__init__()
        self.scale, self.channels = 2**doublings // unshuffle, channels
        self.unshuffle = unshuffle
        self.conv_first = _conv(channels * unshuffle**2, width)
        self.body = nn.Sequential(*(DenseBlocks(width, growth) for _ in range(blocks)))
        self.conv_body = _conv(width, width)
        self.doublings = [f"conv_up{number}" for number in range(1, doublings + 1)]
        for name in self.doublings:
            self.add_module(name, _conv(width, width))
        self.conv_hr = _conv(width, width)
        self.conv_last = _conv(width, channels)

    def forward(self, x: Tensor) -> Tensor:
        """The enlarged picture."""
        height, width = x.shape[-2:]
        features = self.conv_first(F.pixel_unshuffle(_filled(x, self.unshuffle), self.unshuffle))
        features = features + self.conv_body(self.body(features))
        for name in self.doublings:
            features = F.interpolate(features, scale_factor=2.0)
            features = F.leaky_relu(self.get_submodule(name)(features), _SLOPE)
        result: Tensor = self.conv_last(F.leaky_relu(self.conv_hr(features), _SLOPE))
        return result[..., : height * self.scale, : width * self.scale]


def _filled(x: Tensor, multiple: int) -> Tensor:
    """The picture with its last rows and columns repeated, so that its sides are multiples."""
    height, width = x.shape[-2:]
    return F.pad(x, (0, -width % multiple, 0, -height % multiple), mode="replicate")


class Compact(nn.Module):
    """(B, C, H, W) → (B, C, scale H, scale W): convolutions whose result is added to the nearest pixels."""

    def __init__(self, channels: int, width: int, depth: int, scale: int) -> None:
        super().__init__()
        self.scale, self.channels = scale, channels
        layers: list[nn.Module] = [_conv(channels, width), nn.PReLU(width)]
        for _ in range(depth):
            layers += [_conv(width, width), nn.PReLU(width)]
        self.body = nn.Sequential(*layers, _conv(width, channels * scale**2))

    def forward(self, x: Tensor) -> Tensor:
        """The enlarged picture."""
        added: Tensor = F.pixel_shuffle(self.body(x), self.scale)
        return added + F.interpolate(x, scale_factor=float(self.scale))
