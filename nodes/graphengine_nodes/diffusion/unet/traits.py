"""What tells the families of Stable Diffusion's UNet apart, from names and shapes alone.

SD1 projects by 1x1 convolutions, all later ones by linear layers. SDXL, its refiner and unCLIP models have a label
embedding, whose input width is told by what it is made of: SDXL takes the pooled state of CLIP-G and six sizes of
256 numbers each, the refiner the pooled state and five, unCLIP an image embedding and a noise level as wide as it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from graphengine_nodes.diffusion.weights.checkpoint import TensorInfo

SIZE_NUMBERS = 256
"""How many numbers stand for one size in SDXL's vector."""

SDXL_SIZES, REFINER_SIZES = 6 * SIZE_NUMBERS, 5 * SIZE_NUMBERS

_LABELS = ("label_emb.0.0.weight", "add_embedding.linear_1.weight", "class_embedding.linear_1.weight")
_NUMBERS = ("label_emb.weight", "class_embedding.weight")
_FIRST = ("input_blocks.0.0.weight", "conv_in.weight")
_OTHER_UNETS = re.compile(r"time_stack|time_mixer|motion_modules|^input_hint_block|^zero_convs")


@dataclass(frozen=True, slots=True)
class UNetTraits:
    """channels: of the input. context: the width of text states. label: that of the vector y, None without.

    is_upscaler: it is told a number, which stands for the noise in a picture.
    """

    channels: int
    context: int
    linear: bool
    label: int | None
    is_upscaler: bool = False

    @property
    def is_unclip(self) -> bool:
        """Whether the vector is an image embedding with its noise level: of the ViT-H or the ViT-L tower."""
        return self.label == 2 * self.context or (self.label, self.context) == (1536, 1024)

    @property
    def is_refiner(self) -> bool:
        """Whether the vector is that of SDXL's refiner, whose text states are as wide as the pooled one."""
        return self.label == self.context + REFINER_SIZES

    @property
    def is_sdxl(self) -> bool:
        """Whether the vector is that of SDXL."""
        return self.label is not None and SDXL_SIZES < self.label < SDXL_SIZES + self.context


def unet_traits(part: Mapping[str, TensorInfo]) -> UNetTraits | None:
    """The traits of a UNet in the layout of LDM or diffusers; None when the tensors are something else."""
    first = next((part[name] for name in _FIRST if name in part), None)
    project = _one(part, r"\.proj_in\.weight$")
    keys = _one(part, r"\.attn2\.to_k\.weight$")
    blocks = any(name.startswith(("output_blocks.", "up_blocks.")) for name in part)
    if first is None or project is None or keys is None or not blocks:
        return None
    if len(first.shape) != 4 or len(keys.shape) != 2 or any(_OTHER_UNETS.search(name) for name in part):
        return None
    label = next((part[name].shape for name in _LABELS if name in part), None)
    width = label[1] if label is not None and len(label) == 2 else None
    numbered = any(name in part for name in _NUMBERS)
    return UNetTraits(first.shape[1], keys.shape[1], len(project.shape) == 2, width, numbered)


def _one(part: Mapping[str, TensorInfo], pattern: str) -> TensorInfo | None:
    return next((info for name, info in part.items() if re.search(pattern, name)), None)
