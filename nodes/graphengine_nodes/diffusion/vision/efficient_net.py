"""EfficientNetV2 (Tan and Le 2021), as Stable Cascade and its ControlNets use it to look at pictures.

Widths and numbers of blocks are read from the tensors, whose names are those of torchvision.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, silu

from graphengine_nodes.diffusion.dit.layout import Reader

STRIDES = (2, 1, 2, 2, 2, 1, 2, 1)
"""How much smaller each stage of EfficientNetV2-S makes its pictures: 32 times together."""

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the pictures of ImageNet, red, green and blue in 0..1."""

_EPSILON = 1e-3  # of the norms; the paper's
_FUSED_ONCE, _FUSED, _SEPARATE = 1, 2, 4  # layers of a block


class FixedNorm(nn.Module):
    """Batch normalisation with the statistics of training; all of it is weights."""

    def __init__(self, width: int, *, affine: bool = True, epsilon: float = _EPSILON) -> None:
        super().__init__()
        self.running_mean = nn.Parameter(torch.empty(width))
        self.running_var = nn.Parameter(torch.empty(width))
        self.weight = nn.Parameter(torch.empty(width)) if affine else None
        self.bias = nn.Parameter(torch.empty(width)) if affine else None
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W), normalised per channel."""
        return batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.epsilon)


class Excitation(nn.Module):
    """Squeeze and excitation: each channel times a number that follows from the means of all."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(width, inner, 1), nn.Conv2d(inner, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W)."""
        scale: Tensor = self.fc2(silu(self.fc1(x.mean((2, 3), keepdim=True)))).sigmoid()
        return x * scale


class Block(nn.Module):
    """Layers with a detour around them where the shape stays."""

    def __init__(self, layers: list[nn.Module], *, detour: bool) -> None:
        super().__init__()
        self.block = nn.Sequential(*layers)
        self.detour = detour

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W)."""
        made: Tensor = self.block(x)
        return x + made if self.detour else made


def efficient_net(read: Reader, prefix: str) -> nn.Sequential:
    """The network whose tensors have names that begin with the prefix: (B, C, H, W) → (B, width, H/32, W/32).

    Raises:
        ModelError: a tensor is missing, or a block is of no known kind.
    """
    start = prefix.replace(".", r"\.")
    stages: list[nn.Module] = []
    for stage in read.numbers(start + r"(\d+)\."):
        name = f"{prefix}{stage}"
        stride = STRIDES[stage] if stage < len(STRIDES) else 1
        if read.has(f"{name}.0.weight"):
            stages.append(_layer(read, name, stride))
            continue
        numbers = read.numbers(rf"{start}{stage}\.(\d+)\.")
        stages.append(nn.Sequential(*(_block(read, f"{name}.{n}.block", 1 if n else stride) for n in numbers)))
    return nn.Sequential(*stages)


def _block(read: Reader, name: str, stride: int) -> Block:
    count = read.count(name.replace(".", r"\.") + r"\.(\d+)\.")
    first = read.shape(f"{name}.0.0.weight", 4)
    last, layers = first, list[nn.Module]()
    if count == _FUSED_ONCE:
        layers = [_layer(read, f"{name}.0", stride)]
    elif count == _FUSED:
        last = read.shape(f"{name}.1.0.weight", 4)
        layers = [_layer(read, f"{name}.0", stride), _layer(read, f"{name}.1", act=False)]
    elif count == _SEPARATE:
        last = read.shape(f"{name}.3.0.weight", 4)
        inner, width = read.shape(f"{name}.2.fc1.weight", 4)[:2]
        layers = [_layer(read, f"{name}.0"), _layer(read, f"{name}.1", stride), Excitation(width, inner)]
        layers.append(_layer(read, f"{name}.3", act=False))
    else:
        raise read.impossible(f"{name} is a block of {count} layers")
    return Block(layers, detour=stride == 1 and first[1] == last[0])


def _layer(read: Reader, name: str, stride: int = 1, *, act: bool = True) -> nn.Sequential:
    """A convolution, depthwise where the file's is, a norm and perhaps SiLU."""
    width, inputs, _, kernel = read.shape(f"{name}.0.weight", 4)
    groups = width if inputs == 1 and width > 1 else 1
    inputs = width if groups > 1 else inputs
    conv = nn.Conv2d(inputs, width, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False)
    return nn.Sequential(conv, FixedNorm(width), *([nn.SiLU()] if act else []))


def normalised(pictures: Tensor) -> Tensor:
    """Pictures (B, 3, H, W) in 0..1 as the network was trained on them; other channels (masks) stay."""
    if pictures.shape[1] != len(MEAN):
        return pictures
    mean, deviation = (torch.tensor(values).to(pictures)[:, None, None] for values in (MEAN, DEVIATION))
    return (pictures - mean) / deviation


def without_counters(part: Mapping[str, object]) -> list[str]:
    """The names of tensors without the counters that training leaves in its norms."""
    return [name for name in part if not name.endswith("num_batches_tracked")]
