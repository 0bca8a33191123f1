"""The sizes of Stable Diffusion's networks, from names and shapes alone; what files seem to be that do not load.

Every width, depth and number of levels is read from the tensors, so that smaller and larger relatives of the known
models load as they are. Fixed are heads of 64 channels in CLIP and groups of 32 in norms; the number of heads in
the UNet is the family's.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise

from graphengine.node.api import ModelError

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]

CLIP_HEAD_CHANNELS = 64
CLIP_VOCABULARY = 49408
CLIP_POSITIONS = 77
NORM_GROUPS = 32

VAE_PREFIX = "first_stage_model."

# A name that only one kind of file has → that kind. The first match counts, so the narrower markers come first.
_OTHER_KINDS: tuple[tuple[str, str], ...] = (
    (r"\.time_(stack|mixer)\.", "a Stable Video Diffusion model"),
    (r"\.smooth_factor(_orig)?$", "a model whose weights were quantised by SVDQuant"),
    (r"(^|\.)nerf_(blocks|image_embedder)\.", "a Chroma Radiance model"),
    (r"(^|\.)double_stream_modulation_img\.", "a Flux.2 model"),
    (r"(^|\.)vace_blocks\.", "a Wan VACE model"),
    (r"(^|\.)(face_adapter|motion_encoder)\.", "a Wan Animate model"),
    (r"(^|\.)(casual_audio_encoder|audio_injector|audio_proj)\.", "a Wan model that follows sound"),
    (r"(^|\.)blocks\.block0\.blocks\.", "a Cosmos 1 model"),
    (r"(^|\.)blocks\.0\.adaln_modulation_cross_attn\.", "a Cosmos Predict2 model"),
    (r"(^|\.)byt5_in\.", "a HunyuanImage or HunyuanVideo 1.5 model"),
    (r"(^|\.)ref_image_patch_embedder\.", "an OmniGen2 model"),
    (r"(^|\.)audio_patchify_proj\.", "an LTX-2 model"),
    (r"(^|\.)genre_embedder\.", "an ACE-Step sound model"),
    (r"(^|\.)mlp_t5\.", "a Hunyuan-DiT model"),
    (r"(^|\.)visual_transformer_blocks\.", "a Kandinsky 5 model"),
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
    (r"motion_modules\.", "a motion module of AnimateDiff"),
    (r"(^|\.)(input_blocks|down_blocks)\.\d+\.", "the UNet of a Stable Diffusion model with tensors missing"),
    (r"^encoder\.block\.0\.|^model\.layers\.0\.", "a text encoder"),
    (r"^(first_stage_model\.|taesd_)?(en|de)coder\.", "a VAE"),
    (r"text_model\.|^transformer\.resblocks\.", "a text encoder"),
)


@dataclass(frozen=True, slots=True)
class UNetConfig:
    """Sizes of a UNet; all but `up_depth` from the largest resolution to the smallest.

    blocks: residual blocks per level. down_depth and up_depth: how many transformer blocks follow each residual
    block, 0 for none, per level; up_depth from the smallest resolution to the largest. middle_depth: that of the
    middle, 0 for a middle of one residual block, None for no middle. label: the width of the vector y. levels:
    how many noise levels of a picture the UNet knows. only_cross: whether all attentions of a level look at
    the text.
    """

    in_channels: int
    out_channels: int
    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    down_depth: tuple[tuple[int, ...], ...]
    middle_depth: int | None
    up_depth: tuple[tuple[int, ...], ...]
    context: int
    linear_projection: bool
    label: int | None = None
    levels: int | None = None
    only_cross: tuple[bool, ...] = ()


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


def check_vae(file: str, names: Collection[str]) -> None:
    """Accept the names of a KL or tiny autoencoder, already without their prefix.

    Raises:
        ModelError: they belong to something else, which the message names when it is known.
    """
    if any(name.startswith(("encoder.down", "decoder.up", "taesd_decoder.")) for name in names):
        return
    raise refusal(file, names, "a VAE")


def refusal(
    file: str, names: Collection[str], wanted: str = "a diffusion model", known: Collection[str] = ()
) -> ModelError:
    """The error that says what a file of these tensor names seems to be, which is not what is wanted.

    known: what could be loaded in its place.
    """
    kinds = (kind for pattern, kind in _OTHER_KINDS if any(re.search(pattern, name) for name in names))
    kind = next(kinds, None)
    if kind is None:
        return ModelError(
            f"model file {file!r} is of no known kind: it does not hold the tensors of {wanted}",
            hint=f"docs/models.md says which models run: {', '.join(known)}" if known else "see docs/models.md",
        )
    return ModelError(
        f"model file {file!r} looks like {kind}, which cannot be loaded here",
        hint=f"choose a file with {wanted}, or load this one with the node for its kind",
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
        ModelError: a tensor is missing or the shapes fit no UNet of Stable Diffusion.
    """
    read = _Reader(file, shapes)
    read.shape("down_blocks.0.resnets.0.conv1.weight", 4)
    levels = range(read.count(r"down_blocks\.(\d+)\.resnets\."))
    widths = tuple(read.shape(f"down_blocks.{level}.resnets.0.conv1.weight", 4)[0] for level in levels)
    read.check_widths(widths, NORM_GROUPS, "the UNet width")
    blocks = tuple(read.count(rf"down_blocks\.{level}\.resnets\.(\d+)\.") for level in levels)
    upwards = tuple(count + 1 for count in reversed(blocks))
    first = next((name for name in shapes if name.endswith(".attn2.to_k.weight")), "mid_block.attentions.0")
    numbered = "add_embedding.weight" in shapes
    label = read.shape("add_embedding.linear_1.weight", 2) if read.has("add_embedding.") and not numbered else None
    return UNetConfig(
        in_channels=read.shape("conv_in.weight", 4)[1],
        out_channels=read.shape("conv_out.weight", 4)[0],
        widths=widths,
        blocks=blocks,
        down_depth=tuple(_depths(read, f"down_blocks.{level}", blocks[level]) for level in levels),
        middle_depth=_middle_depth(read),
        up_depth=tuple(_depths(read, f"up_blocks.{level}", upwards[level]) for level in levels),
        context=read.shape(first, 2)[1],
        linear_projection=len(read.shape(re.sub(r"transformer_blocks\..*", "proj_in.weight", first))) == 2,
        label=None if label is None else label[1],
        levels=read.shape("add_embedding.weight", 2)[0] if numbered else None,
        only_cross=tuple(_only_cross(read, f"down_blocks.{level}") for level in levels),
    )


def _only_cross(read: _Reader, level: str) -> bool:
    attention = f"{level}.attentions.0.transformer_blocks.0.attn1"
    if not read.has(f"{attention}."):
        return False
    return read.shape(f"{attention}.to_k.weight", 2)[1] != read.shape(f"{attention}.to_q.weight", 2)[1]


def _depths(read: _Reader, level: str, blocks: int) -> tuple[int, ...]:
    return tuple(_depth(read, f"{level}.attentions.{block}") for block in range(blocks))


def _depth(read: _Reader, attention: str) -> int:
    return read.count(rf"{re.escape(attention)}\.transformer_blocks\.(\d+)\.")


def _middle_depth(read: _Reader) -> int | None:
    return _depth(read, "mid_block.attentions.0") if read.has("mid_block.") else None


def clip_config(file: str, shapes: Shapes) -> ClipConfig:
    """Sizes of the CLIP text tower whose parameters, by their names in `ClipText`, have these shapes.

    Raises:
        ModelError: a tensor is missing or the shapes fit no CLIP text tower.
    """
    read = _Reader(file, shapes)
    vocabulary, width = read.shape("text_model.embeddings.token_embedding.weight", 2)
    positions = read.shape("text_model.embeddings.position_embedding.weight", 2)[0]
    if vocabulary < CLIP_VOCABULARY or positions < CLIP_POSITIONS:
        raise read.impossible(f"its text encoder knows {vocabulary} tokens at {positions} positions")
    inner = read.shape("text_model.encoder.layers.0.mlp.fc1.weight", 2)[0]
    read.check_widths([width], CLIP_HEAD_CHANNELS, "the CLIP width")
    return ClipConfig(vocabulary, positions, width, inner, clip_layers(shapes))


def clip_layers(shapes: Shapes) -> int:
    """How many layers the CLIP text tower has whose parameters are named so."""
    return _Reader("", shapes).count(r"text_model\.encoder\.layers\.(\d+)\.")


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
