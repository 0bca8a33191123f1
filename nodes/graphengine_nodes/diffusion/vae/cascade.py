"""The VAEs of Stable Cascade: stage A, and the encoder and the preview decoder that come with stage C."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from graphengine.node.api import GraphEngineError, ModelError
from graphengine_nodes.diffusion.dit.layout import Reader
from graphengine_nodes.diffusion.dit.loading import load_module
from graphengine_nodes.diffusion.dit.modules import diffusers_class, on_meta
from graphengine_nodes.diffusion.vision.efficient_net import FixedNorm, efficient_net, normalised, without_counters
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint, TensorInfo
from graphengine_nodes.diffusion.weights.weights import Component
from graphengine_nodes.image.scaling import resize

from .autoencoder import VAE, Check, Stage, never_stop

_STAGE_A_PIXELS, _EFFNET_PIXELS = 4, 32
_NORM_EPSILON = 1e-5
_UPWARDS = 2  # the kernel of the preview decoder's layers that double the size
_LEVELS = 2

Part = Mapping[str, TensorInfo]


def is_stage_a(part: Part) -> bool:
    """Whether the tensors are those of stage A, by its table of colours."""
    return "vquantizer.codebook.weight" in part or "vquantizer.embedding.weight" in part


def load_stage_a(checkpoint: Checkpoint, part: dict[str, TensorInfo], device: str) -> VAE:
    """Stage A (`PaellaVQModel` of diffusers), whose latents are not rounded to its table.

    Raises:
        ModelError: it is incomplete.
    """
    used = {name: part[name] for name in without_counters(part) if not name.startswith("vquantizer.")}
    read = Reader(checkpoint.path.name, {name: info.shape for name, info in used.items()})
    width, latent = read.shape("up_blocks.0.0.weight", 4)[:2]
    blocks = 0
    while read.has(f"up_blocks.{blocks + 1}.gammas"):
        blocks += 1
    config = {"embed_dim": width, "latent_channels": latent, "bottleneck_blocks": blocks, "levels": _LEVELS}
    places = {name: ((name, None),) for name in used}
    module: Any = load_module("stage A of Stable Cascade", checkpoint, used, places, lambda: _stage_a(config))
    encoder = Component(StageAEncoder(module), checkpoint, device=device)
    decoder = Component(StageADecoder(module), checkpoint, device=device)
    return VAE(encoder, decoder, latent, _STAGE_A_PIXELS)


def _stage_a(config: Mapping[str, int]) -> nn.Module:
    module = on_meta(diffusers_class("PaellaVQModel", "diffusers.pipelines.deprecated.wuerstchen"), **config)
    module.vquantizer = nn.Identity()
    module.down_blocks[-1][1] = FixedNorm(config["latent_channels"], epsilon=_NORM_EPSILON)
    result: nn.Module = module.to("meta")
    return result


class StageAEncoder(nn.Module):
    """Pictures (B, 3, H, W) in -1..1 → latents (B, 4, H/4, W/4)."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.in_block, self.down_blocks = module.in_block, module.down_blocks

    def forward(self, x: Tensor) -> Tensor:
        """The latent; the network's own pictures are in 0..1."""
        latent: Tensor = self.down_blocks(self.in_block(x / 2 + 0.5))
        return latent


class StageADecoder(nn.Module):
    """Latents (B, 4, h, w) → pictures (B, 3, 4 h, 4 w), about -1..1."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.up_blocks, self.out_block = module.up_blocks, module.out_block

    def forward(self, z: Tensor) -> Tensor:
        """The picture; the network's own are in 0..1."""
        picture: Tensor = self.out_block(self.up_blocks(z))
        return picture * 2 - 1


def is_stage_c_vae(part: Part) -> bool:
    """Whether the tensors are those of stage C's encoder, its preview decoder, or both."""
    return any(
        re.match(r"(encoder\.)?backbone\.1\.0\.block\.|(previewer\.)?blocks\.\d+\.running_mean", n) for n in part
    )


def load_stage_c_vae(checkpoint: Checkpoint, part: dict[str, TensorInfo], device: str) -> VAE:
    """The encoder that makes stage C's latents of pictures, and the decoder of its previews; files may hold one.

    Raises:
        ModelError: it is incomplete.
    """
    named = {_full_name(name): part[name] for name in without_counters(part)}
    read = Reader(checkpoint.path.name, {name: info.shape for name, info in named.items()})
    places = {name: ((name, None),) for name in named}
    module: Any = load_module("the VAE of stage C", checkpoint, named, places, lambda: _stage_c(read))
    stages: list[Stage] = [_Missing(device, side) for side in ("encoder", "preview decoder")]
    channels = 16
    if hasattr(module, "encoder"):
        channels = read.shape("encoder.mapper.0.weight", 4)[0]
        stages[0] = Component(module.encoder, checkpoint, device=device)
    if hasattr(module, "previewer"):
        channels = read.shape("previewer.blocks.0.weight", 4)[1]
        stages[1] = Component(module.previewer, checkpoint, device=device)
    return VAE(stages[0], stages[1], channels, _EFFNET_PIXELS)


def _full_name(name: str) -> str:
    """A name as files have it that hold both."""
    if name.startswith(("encoder.", "previewer.")):
        return name
    return f"{'previewer' if name.startswith('blocks.') else 'encoder'}.{name}"


def _stage_c(read: Reader) -> nn.Module:
    whole = nn.Module()
    with torch.device("meta"):
        if any(name.startswith("encoder.") for name in read.shapes):
            whole.encoder = EffNetEncoder(read)
        if any(name.startswith("previewer.") for name in read.shapes):
            whole.previewer = Previewer(read)
    return whole


class EffNetEncoder(nn.Module):
    """Pictures (B, 3, H, W) in -1..1 → latents of stage C, (B, 16, H/32, W/32)."""

    def __init__(self, read: Reader) -> None:
        super().__init__()
        self.backbone = efficient_net(read, "encoder.backbone.")
        width, inner = read.shape("encoder.mapper.0.weight", 4)[:2]
        norm = FixedNorm(width, affine=read.has("encoder.mapper.1.weight"), epsilon=_NORM_EPSILON)
        self.mapper = nn.Sequential(nn.Conv2d(inner, width, 1, bias=False), norm)

    def forward(self, x: Tensor) -> Tensor:
        """The latent."""
        latent: Tensor = self.mapper(self.backbone(normalised(x / 2 + 0.5)))
        return latent


class Previewer(nn.Module):
    """Latents of stage C (B, 16, h, w) → small pictures (B, 3, 8 h, 8 w), about -1..1."""

    def __init__(self, read: Reader) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        numbers = read.numbers(r"previewer\.blocks\.(\d+)\.")
        for number in range(numbers[-1] + 1):
            layers.append(self._layer(read, f"previewer.blocks.{number}"))
        self.blocks = nn.Sequential(*layers)

    @staticmethod
    def _layer(read: Reader, name: str) -> nn.Module:
        if read.has(f"{name}.running_mean"):
            return FixedNorm(read.shape(f"{name}.running_mean", 1)[0], epsilon=_NORM_EPSILON)
        if not read.has(f"{name}.weight"):
            return nn.GELU()
        first, second, _, kernel = read.shape(f"{name}.weight", 4)
        if kernel == _UPWARDS:
            return nn.ConvTranspose2d(first, second, _UPWARDS, stride=_UPWARDS)
        return nn.Conv2d(second, first, kernel, padding=kernel // 2)

    def forward(self, z: Tensor) -> Tensor:
        """The picture; the network's own are in 0..1."""
        picture: Tensor = self.blocks(z)
        return picture * 2 - 1


class _Missing:
    """A side of stage C's VAE that a file does not hold (a `Stage`)."""

    dtype = torch.float32

    def __init__(self, device: str, side: str) -> None:
        self.device, self.side = device, side

    def make_room(self) -> int:
        """Nothing to do: 0 bytes."""
        return 0

    def ready(self) -> nn.Module:
        """There is none."""
        raise ModelError(
            f"this VAE of Stable Cascade has no {self.side}",
            hint="load the checkpoint of stage C; pictures of stage B are decoded with the VAE of its checkpoint",
        )


def stage_c_latents(vae: VAE, image: Tensor, compression: int, check: Check = never_stop) -> tuple[Tensor, Tensor]:
    """The latents of pictures for stage C, (B, 16, H / compression, W / compression), and zeros for stage B.

    image: (B, H, W, 3) in 0..1; they are resized and cut so that each cell stands for `compression` pixels.
    check is called before each picture and may raise.

    Raises:
        GraphEngineError: a picture is smaller than a cell.
    """
    height, width = image.shape[1:3]
    cells = (width // compression, height // compression)
    if not all(cells):
        raise GraphEngineError(
            f"a picture of {width}x{height} is smaller than a cell of {compression}x{compression}",
            hint="use a larger picture or a smaller compression",
        )
    across, down = (count * vae.downscale for count in cells)
    pixels = resize(image[..., :3].movedim(-1, 1), across, down, "bicubic", "center").movedim(1, -1)
    return vae.encode(pixels, check), torch.zeros(len(image), 4, height // 8 * 2, width // 8 * 2)
