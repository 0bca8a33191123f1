"""Which family a model file belongs to, and the sizes of its networks, from names and shapes alone.

Only SD1.x runs so far; other families are recognised to be named in the error. Within the family every width,
depth and number of levels is read from the tensors, so that smaller and larger relatives of SD1.5 load as they
are. Fixed by the family are: eight attention heads in the UNet, heads of 64 channels and quick GELU in CLIP,
groups of 32 in norms.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise

from graphengine.node.api import ModelError

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]

UNET_HEADS = 8
CLIP_HEAD_CHANNELS = 64
CLIP_VOCABULARY = 49408
CLIP_POSITIONS = 77
NORM_GROUPS = 32

UNET_PREFIX = "model.diffusion_model."
CLIP_PREFIX = "cond_stage_model.transformer."
VAE_PREFIX = "first_stage_model."

# A name that only one kind of file has → that kind. The first match counts, so the narrower markers come first.
_OTHER_KINDS: tuple[tuple[str, str], ...] = (
    (r"\.time_(stack|mixer)\.", "a Stable Video Diffusion model"),
    (r"^conditioner\.embedders\.1\.|\.label_emb\.0\.0\.weight$", "an SDXL checkpoint"),
    (r"^conditioner\.embedders\.0\.", "an SDXL refiner checkpoint"),
    (r"^cond_stage_model\.model\.", "an SD2.x checkpoint"),
    (r"distilled_guidance_layer\.", "a Chroma model"),
    (r"joint_blocks\.0\.", "an SD3 checkpoint"),
    (r"txt_in\.individual_token_refiner\.", "a HunyuanVideo model"),
    (r"double_blocks\.0\.", "a Flux model"),
    (r"double_layers\.0\.attn\.w1q", "an AuraFlow model"),
    (r"clip_txt(_pooled)?_mapper\.", "a Stable Cascade model"),
    (r"cap_embedder\.", "a Lumina 2 or Z-Image model"),
    (r"patchify_proj\.", "an LTX video model"),
    (r"head\.modulation$", "a Wan video model"),
    (r"transformer_blocks\.0\.img_mlp\.", "a Qwen-Image model"),
    (r"adaln_single\.", "a PixArt model"),
    (r"(^|\.)(lora_(up|down|A|B)|lora_unet_|lora_te)", "a LoRA"),
    (r"^control_model\.|^zero_convs\.|controlnet_", "a ControlNet"),
    (r"^emb_params$|^string_to_param", "a textual inversion embedding"),
    (r"^down_blocks\.0\.", "a UNet in the layout of diffusers"),
    (r"^input_blocks\.0\.", "a UNet alone, without its checkpoint"),
    (r"^(first_stage_model\.|taesd_)?(en|de)coder\.", "a VAE"),
    (r"text_model\.|^transformer\.resblocks\.", "a text encoder"),
)


@dataclass(frozen=True, slots=True)
class UNetConfig:
    """Sizes of an SD1.x UNet. `attention` and `depth` are per level, from the largest resolution to the
    smallest."""

    in_channels: int
    out_channels: int
    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    attention: tuple[bool, ...]
    depth: tuple[int, ...]
    context: int
    linear_projection: bool


@dataclass(frozen=True, slots=True)
class ClipConfig:
    """Sizes of a CLIP text tower."""

    vocabulary: int
    positions: int
    width: int
    inner_width: int
    layers: int


@dataclass(frozen=True, slots=True)
class KLConfig:
    """Sizes of a KL autoencoder; `widths` from the picture's resolution to the latent's."""

    channels: int
    latent_channels: int
    widths: tuple[int, ...]
    blocks: int


@dataclass(frozen=True, slots=True)
class TaesdConfig:
    """Sizes of a tiny autoencoder; blocks and widths per level, in the order the data passes them."""

    channels: int
    latent_channels: int
    encoder_widths: tuple[int, ...]
    encoder_blocks: tuple[int, ...]
    decoder_widths: tuple[int, ...]
    decoder_blocks: tuple[int, ...]


def check_family(file: str, names: Collection[str]) -> None:
    """Accept the names of an SD1.x checkpoint.

    Raises:
        ModelError: they belong to something else, which the message names when it is known.
    """
    other = _other_kind(names)
    if other is None and any(name.startswith(UNET_PREFIX + "input_blocks.0.") for name in names):
        return
    _refuse(file, other, "an SD1.x checkpoint")


def check_vae(file: str, names: Collection[str]) -> None:
    """Accept the names of a KL or tiny autoencoder, already without their prefix.

    Raises:
        ModelError: they belong to something else, which the message names when it is known.
    """
    if any(name.startswith(("encoder.down", "decoder.up", "taesd_decoder.")) for name in names):
        return
    _refuse(file, _other_kind(names), "a VAE")


def _other_kind(names: Collection[str]) -> str | None:
    if any(name.startswith(CLIP_PREFIX) for name in names) and not any(".label_emb." in name for name in names):
        return None
    for pattern, kind in _OTHER_KINDS:
        if any(re.search(pattern, name) for name in names):
            plain_unet = any(name.startswith(UNET_PREFIX + "input_blocks.0.") for name in names)
            return None if plain_unet and kind == "a VAE" else kind
    return None


def _refuse(file: str, kind: str | None, wanted: str) -> None:
    if kind is None:
        raise ModelError(
            f"model file {file!r} is of no known kind: it does not hold the tensors of {wanted}",
            hint="SD1.x checkpoints with a UNet, a CLIP text encoder and a VAE are supported",
        )
    raise ModelError(
        f"model file {file!r} looks like {kind}, which is not supported here",
        hint=f"choose {wanted} instead",
    )


class _Reader:
    """Shapes by name, with an error that names file and tensor when one is absent or of an impossible shape."""

    def __init__(self, file: str, shapes: Shapes) -> None:
        self.file = file
        self.shapes = shapes

    def shape(self, name: str, dimensions: int | None = None) -> Shape:
        shape = self.shapes.get(name)
        if shape is None:
            raise ModelError(f"model file {self.file!r} lacks tensor {name!r}", hint="the file is incomplete")
        if dimensions is not None and len(shape) != dimensions:
            raise self.impossible(f"tensor {name!r} has the shape {list(shape)}")
        return shape

    def count(self, pattern: str) -> int:
        """How many different numbers stand for the group of the pattern."""
        return len({found[1] for name in self.shapes if (found := re.match(pattern, name))})

    def has(self, prefix: str) -> bool:
        return any(name.startswith(prefix) for name in self.shapes)

    def impossible(self, what: str) -> ModelError:
        return ModelError(f"model file {self.file!r} has an unsupported layout: {what}")

    def check_widths(self, widths: Collection[int], divisor: int, what: str) -> None:
        for width in widths:
            if width == 0 or width % divisor:
                raise self.impossible(f"{what} {width} is no multiple of {divisor}")


def unet_config(file: str, shapes: Shapes) -> UNetConfig:
    """Sizes of the UNet whose parameters, by their names in UNet2DConditionModel, have these shapes.

    Raises:
        ModelError: a tensor is missing or the shapes fit no UNet of the family.
    """
    read = _Reader(file, shapes)
    read.shape("down_blocks.0.resnets.0.conv1.weight", 4)
    levels = read.count(r"down_blocks\.(\d+)\.resnets\.")
    down = [f"down_blocks.{level}" for level in range(levels)]
    widths = tuple(read.shape(f"{block}.resnets.0.conv1.weight", 4)[0] for block in down)
    blocks = tuple(read.count(rf"down_blocks\.{level}\.resnets\.(\d+)\.") for level in range(levels))
    attention = tuple(read.has(f"{block}.attentions.") for block in down)
    depth = tuple(_depth(read, block) if has else 1 for block, has in zip(down, attention, strict=True))
    middle = "mid_block.attentions.0"
    if not attention[-1]:
        depth = (*depth[:-1], _depth(read, "mid_block"))
    projection = read.shape(f"{middle}.proj_in.weight")
    context = read.shape(f"{middle}.transformer_blocks.0.attn2.to_k.weight", 2)[1]
    read.check_widths(widths, NORM_GROUPS, "the UNet width")
    in_channels = read.shape("conv_in.weight", 4)[1]
    if in_channels != 4:
        raise ModelError(
            f"model file {file!r} has a UNet of {in_channels} input channels, which is not supported",
            hint="9 channels mean an inpainting model, 8 an instruct-pix2pix model; choose an ordinary one",
        )
    out = read.shape("conv_out.weight", 4)[0]
    return UNetConfig(in_channels, out, widths, blocks, attention, depth, context, len(projection) == 2)


def _depth(read: _Reader, block: str) -> int:
    return read.count(rf"{re.escape(block)}\.attentions\.0\.transformer_blocks\.(\d+)\.")


def clip_config(file: str, shapes: Shapes) -> ClipConfig:
    """Sizes of the CLIP text tower whose parameters, by their names in CLIPTextModel, have these shapes.

    Raises:
        ModelError: a tensor is missing or the shapes fit no CLIP text tower.
    """
    read = _Reader(file, shapes)
    vocabulary, width = read.shape("embeddings.token_embedding.weight", 2)
    positions = read.shape("embeddings.position_embedding.weight", 2)[0]
    if vocabulary < CLIP_VOCABULARY or positions < CLIP_POSITIONS:
        raise read.impossible(f"its text encoder knows {vocabulary} tokens at {positions} positions")
    inner = read.shape("encoder.layers.0.mlp.fc1.weight", 2)[0]
    read.check_widths([width], CLIP_HEAD_CHANNELS, "the CLIP width")
    return ClipConfig(vocabulary, positions, width, inner, read.count(r"encoder\.layers\.(\d+)\."))


def kl_config(file: str, shapes: Shapes) -> KLConfig:
    """Sizes of the KL autoencoder whose parameters, by their names in AutoencoderKL, have these shapes.

    Raises:
        ModelError: a tensor is missing or the shapes fit no such autoencoder.
    """
    read = _Reader(file, shapes)
    read.shape("encoder.down_blocks.0.resnets.0.conv1.weight", 4)
    levels = range(read.count(r"encoder\.down_blocks\.(\d+)\."))
    widths = tuple(read.shape(f"encoder.down_blocks.{level}.resnets.0.conv1.weight", 4)[0] for level in levels)
    read.check_widths(widths, NORM_GROUPS, "the VAE width")
    blocks = read.count(r"encoder\.down_blocks\.0\.resnets\.(\d+)\.")
    channels = read.shape("encoder.conv_in.weight", 4)[1]
    latent = read.shape("decoder.conv_in.weight", 4)[1]
    return KLConfig(channels, latent, widths, blocks)


def taesd_config(file: str, shapes: Shapes) -> TaesdConfig:
    """Sizes of the tiny autoencoder whose parameters, by their names in AutoencoderTiny, have these shapes.

    Raises:
        ModelError: a tensor is missing or the shapes fit no such autoencoder.
    """
    read = _Reader(file, shapes)
    encoder = _plain_layers(read, "encoder")
    decoder = _plain_layers(read, "decoder")
    # A level of the encoder begins with a convolution, one of the decoder ends with one; both have one more each.
    down, up = encoder[:-1], decoder[1:]
    into, out_of = read.shape(f"encoder.layers.{encoder[0]}.weight", 4), read.shape(_weight(decoder[0]), 4)
    return TaesdConfig(
        channels=into[1],
        latent_channels=out_of[1],
        encoder_widths=tuple(read.shape(f"encoder.layers.{number}.weight", 4)[0] for number in down),
        encoder_blocks=tuple(_blocks_between(read, "encoder", a, b) for a, b in _pairs(encoder)),
        decoder_widths=tuple(read.shape(_weight(number), 4)[1] for number in up),
        decoder_blocks=tuple(_blocks_between(read, "decoder", a, b) for a, b in _pairs(decoder)),
    )


def _weight(number: int) -> str:
    return f"decoder.layers.{number}.weight"


def _plain_layers(read: _Reader, part: str) -> list[int]:
    """Numbers of the layers that are a single convolution."""
    found = (re.fullmatch(rf"{part}\.layers\.(\d+)\.weight", name) for name in read.shapes)
    numbers = sorted(int(match[1]) for match in found if match)
    if len(numbers) < 2:
        raise read.impossible(f"its {part} has {len(numbers)} plain convolutions")
    return numbers


def _blocks_between(read: _Reader, part: str, first: int, last: int) -> int:
    return sum(read.has(f"{part}.layers.{number}.conv.0.") for number in range(first + 1, last))


def _pairs(numbers: list[int]) -> list[tuple[int, int]]:
    return list(pairwise(numbers))
