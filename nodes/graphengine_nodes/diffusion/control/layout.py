"""What a ControlNet file holds: its layout, the names of its tensors, and the sizes of its network.

Three layouts are known: the original one (Zhang et al. 2023), with or without the prefix `control_model.`; that of
diffusers; and control-LoRAs, which state most weights as a low-rank change of the model's own. Their names become
those of `control_modules.ControlModule`: `network` is diffusers' ControlNetModel, `hint` what reads the picture,
`label` what reads the vector "y" of SDXL, `union` what tells one kind of picture from another.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from graphengine.node.api import ModelError
from graphengine_nodes.diffusion.weights import keymaps
from graphengine_nodes.diffusion.weights.detect import NORM_GROUPS, Shapes

PREFIXES = ("control_model.", "controlnet.")
HEADS = 8
HEAD_CHANNELS = 64
TYPE_CHANNELS = 256
"""How many numbers stand for one kind of picture before `union.control_add_embedding`; fixed by the family."""

_HINT = re.compile(r"input_hint_block\.(\d+)\.(.+)")
_ZERO = re.compile(r"zero_convs\.(\d+)\.0\.(.+)")
_PARTS = {
    "controlnet_cond_embedding.": "hint.",
    "middle_block_out.0.": "network.controlnet_mid_block.",
    "label_emb.0.0.": "label.linear_1.",
    "label_emb.0.2.": "label.linear_2.",
    "add_embedding.": "label.",
    "control_add_embedding.": "union.control_add_embedding.",
    "spatial_ch_projs.": "union.spatial_ch_projs.",
    "transformer_layes.": "union.transformer_layes.",
}
_UNUSED = frozenset({"difference", "lora_controlnet"})


@dataclass(frozen=True, slots=True)
class UnionConfig:
    """How many kinds of pictures a union ControlNet knows, and the depth of what mixes them."""

    types: int
    layers: int


@dataclass(frozen=True, slots=True)
class ControlConfig:
    """Sizes of a ControlNet; widths, attention and depth are per level, from the largest resolution down.

    context: the width of the text states; None when no layer reads a text. label: the width of "y", or None.
    """

    in_channels: int
    hint_channels: int
    hint_widths: tuple[int, ...]
    widths: tuple[int, ...]
    blocks: int
    attention: tuple[bool, ...]
    depth: tuple[int, ...]
    middle_attention: bool
    context: int | None
    linear_projection: bool
    label: int | None = None
    union: UnionConfig | None = None

    @property
    def heads(self) -> tuple[int, ...]:
        """Attention heads per level: SD1.x has always 8, its successors heads of 64 channels."""
        if not self.linear_projection:
            return (HEADS,) * len(self.widths)
        return tuple(max(1, width // HEAD_CHANNELS) for width in self.widths)


def prefix_of(names: Collection[str]) -> str:
    """What stands before every name of the file, often nothing."""
    for prefix in PREFIXES:
        if any(name.startswith(prefix) for name in names):
            return prefix
    return ""


def is_control(names: Collection[str]) -> bool:
    """Whether names, without their prefix, are those of a ControlNet in a layout that is known here."""
    return any(
        name.startswith(("zero_convs.0.", "controlnet_cond_embedding.", "lora_controlnet")) for name in names
    )


def is_control_lora(names: Collection[str]) -> bool:
    """Whether the file states its weights as changes of low rank."""
    return "lora_controlnet" in names


def is_difference(names: Collection[str]) -> bool:
    """Whether the file states its weights as differences to a model's."""
    return "difference" in names


def control_names(names: Collection[str]) -> dict[str, str]:
    """Names of a ControlNet file, without prefix → names in ControlModule; unknown ones keep theirs."""
    kept = [name for name in names if name not in _UNUSED]
    numbers = [int(found[1]) for name in kept if (found := _HINT.fullmatch(name))]
    last = max(numbers, default=0)
    ldm = any(name.startswith("input_blocks.") for name in kept)
    network = keymaps.unet_names(kept) if ldm else dict(zip(kept, kept, strict=True))
    return {name: _part_name(name, last) or f"network.{network[name]}" for name in kept if name in network}


def _part_name(name: str, last: int) -> str | None:
    """The name in ControlModule of what a UNet has not; last: the number of the last layer of the hint."""
    if name == "task_embedding":
        return "union.task_embedding"
    for old, new in _PARTS.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    if found := _ZERO.fullmatch(name):
        return f"network.controlnet_down_blocks.{found[1]}.{found[2]}"
    if found := _HINT.fullmatch(name):
        number = int(found[1])
        layer = {0: "conv_in", last: "conv_out"}.get(number, f"blocks.{number // 2 - 1}")
        return f"hint.{layer}.{found[2]}"
    return None


def control_config(file: str, shapes: Shapes) -> ControlConfig:
    """Sizes of the ControlNet whose parameters, by their names in ControlModule, have these shapes.

    Raises:
        ModelError: a tensor is missing or the shapes fit no ControlNet of these families.
    """
    read = _Reader(file, shapes)
    levels = read.count(r"network\.down_blocks\.(\d+)\.")
    down = [f"network.down_blocks.{level}" for level in range(levels)]
    widths = tuple(read.shape(f"{block}.resnets.0.conv1.weight", 4)[0] for block in down)
    blocks = {read.count(rf"network\.down_blocks\.{level}\.resnets\.(\d+)\.") for level in range(levels)}
    attention = tuple(read.has(f"{block}.attentions.") for block in down)
    middle = "network.mid_block"
    depth = [_depth(read, block) if has else 1 for block, has in zip(down, attention, strict=True)]
    texts = [block for block in (*down, middle) if read.has(f"{block}.attentions.")]
    if not levels or len(blocks) != 1 or any(width == 0 or width % NORM_GROUPS for width in widths):
        raise read.impossible(f"its levels have the widths {list(widths)} and {sorted(blocks)} blocks")
    if middle in texts:
        if attention[-1] and _depth(read, middle) != depth[-1]:
            raise read.impossible("its middle block has another depth than its last level")
        depth[-1] = _depth(read, middle)
    into = read.shape("hint.conv_in.weight", 4)
    return ControlConfig(
        in_channels=read.shape("network.conv_in.weight", 4)[1],
        hint_channels=into[1],
        hint_widths=_hint_widths(read, into[0]),
        widths=widths,
        blocks=blocks.pop(),
        attention=attention,
        depth=tuple(depth),
        middle_attention=middle in texts,
        context=_context(read, texts[0]) if texts else None,
        linear_projection=bool(texts) and len(read.shape(f"{texts[0]}.attentions.0.proj_in.weight")) == 2,
        label=read.shape("label.linear_1.weight", 2)[1] if read.has("label.") else None,
        union=_union(read) if read.has("union.") else None,
    )


def _hint_widths(read: _Reader, first: int) -> tuple[int, ...]:
    count = read.count(r"hint\.blocks\.(\d+)\.")
    return (first, *(read.shape(f"hint.blocks.{number}.weight", 4)[0] for number in range(1, count, 2)))


def _depth(read: _Reader, block: str) -> int:
    return read.count(rf"{re.escape(block)}\.attentions\.0\.transformer_blocks\.(\d+)\.")


def _context(read: _Reader, block: str) -> int:
    return read.shape(f"{block}.attentions.0.transformer_blocks.0.attn2.to_k.weight", 2)[1]


def _union(read: _Reader) -> UnionConfig:
    types = read.shape("union.task_embedding", 2)[0]
    return UnionConfig(types, read.count(r"union\.transformer_layes\.(\d+)\."))


def lacks(file: str, name: str) -> ModelError:
    """The error for a file without the tensor that a parameter needs."""
    return ModelError(f"ControlNet file {file!r} lacks the tensor for {name!r}", hint="the file is incomplete")


@dataclass(frozen=True, slots=True)
class _Reader:
    """Shapes by name, with errors that name the file."""

    file: str
    shapes: Mapping[str, tuple[int, ...]]

    def shape(self, name: str, dimensions: int | None = None) -> tuple[int, ...]:
        shape = self.shapes.get(name)
        if shape is None:
            raise lacks(self.file, name)
        if dimensions is not None and len(shape) != dimensions:
            raise self.impossible(f"the tensor for {name!r} has the shape {list(shape)}")
        return shape

    def count(self, pattern: str) -> int:
        return len({found[1] for name in self.shapes if (found := re.match(pattern, name))})

    def has(self, prefix: str) -> bool:
        return any(name.startswith(prefix) for name in self.shapes)

    def impossible(self, what: str) -> ModelError:
        return ModelError(f"ControlNet file {self.file!r} has an unsupported layout: {what}")
