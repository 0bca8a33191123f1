"""The GLIGEN value (Li et al. 2023): further attention in a UNet, to texts that are bound to boxes.

The value's network makes one token of each box with its text, and mixes them into every transformer of the UNet
between its two attentions, as a patch "middle_patch".
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from graphengine.node.api import ModelError
from graphengine_nodes.diffusion.model.model import Conditioning, NetworkCall
from graphengine_nodes.diffusion.weights.build import assign_weights, module_shapes, quiet
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint
from graphengine_nodes.diffusion.weights.weights import Component, plain_sources

if TYPE_CHECKING:
    from graphengine_nodes.diffusion.model.model import Network
    from graphengine_nodes.diffusion.text.text_encode import TextEncoder

_MOST = 30  # boxes; the network was trained with so many tokens
_SD1_WIDTH, _SD1_HEADS, _HEAD = 768, 8, 64
_DOWNSCALE = 8
_FUSER = re.compile(r"((?:input|output)_blocks\.\d+|middle_block)\..*\.fuser\.(.+)")
_PLACES = {"input_blocks": 0, "middle_block": 1, "output_blocks": 2}
_TRANSFORMER = re.compile(r"((?:down|up)_blocks|mid_block)((?:\.\d+)?)\.attentions\.(\d+)\.norm\.weight")
_UNET_PLACES = {"down_blocks": 0, "mid_block": 1, "up_blocks": 2}


class Box(NamedTuple):
    """A text for a rectangle, in latent cells: its pooled state (1, D), and where it is."""

    pooled: Tensor
    height: int
    width: int
    y: int
    x: int


class GligenModule(nn.Module):
    """What a GLIGEN file holds: the network of positions, and one gated attention per transformer of the UNet.

    widths: of the states of the transformers, in the order in which they are passed. context: of the texts.
    """

    def __init__(self, widths: Sequence[int], context: int, tokens: int) -> None:
        super().__init__()
        with quiet():
            from diffusers.models.attention import GatedSelfAttentionDense  # heavy: seconds to import
            from diffusers.models.embeddings import GLIGENTextBoundingboxProjection

        self.position_net = GLIGENTextBoundingboxProjection(context, tokens)
        self.fusers = nn.ModuleList(
            GatedSelfAttentionDense(width, tokens, *_heads(width, tokens)) for width in widths
        )


def _heads(width: int, tokens: int) -> tuple[int, int]:
    """Number and width of the heads: 8 for SD1.x, else of 64 channels."""
    heads = _SD1_HEADS if tokens == _SD1_WIDTH else max(1, width // _HEAD)
    return heads, width // heads


@dataclass(frozen=True, slots=True, eq=False)
class Gligen:
    """The GLIGEN value. widths: of the transformers that it was made for, context: of the texts of its boxes."""

    file: str
    component: Component
    widths: tuple[int, ...]
    context: int

    def bound(self, boxes: Sequence[Box], network: Network | None) -> BoundBoxes:
        """The boxes for a run of this network.

        Raises:
            ModelError: the network has other transformers than it was made for.
            ValueError: there are too many boxes, or their texts have another width.
        """
        given = transformer_widths(network)
        if given is not None and given != self.widths:
            raise ModelError(
                f"GLIGEN file {self.file!r} was made for {len(self.widths)} transformers of the widths "
                f"{sorted({*self.widths})}; the model has {len(given)} of {sorted({*given})}",
                hint="choose a GLIGEN file of the model's family",
            )
        if len(boxes) > _MOST:
            raise ValueError(f"the conditioning has {len(boxes)} text boxes; GLIGEN takes at most {_MOST}")
        for box in boxes:
            if box.pooled.shape[-1] != self.context:
                raise ValueError(
                    f"GLIGEN {self.file!r} takes texts of width {self.context}, "
                    f"the CLIP gives {box.pooled.shape[-1]}: it belongs to another family of models"
                )
        return BoundBoxes(self, tuple(boxes))


def transformer_widths(network: Network | None) -> tuple[int, ...] | None:
    """The widths of a UNet's transformers in the order in which they are passed; None when they are not known."""
    if network is None:
        return None
    try:
        shapes = network.component.shapes()
    except ModelError:  # a wrapper, which has no weights of its own
        return None
    found = [(match, shapes[name][0]) for name in shapes if (match := _TRANSFORMER.fullmatch(name))]
    placed = [(_UNET_PLACES[match[1]], match[2], int(match[3]), width) for match, width in found]
    return tuple(width for *_, width in sorted(placed))


@dataclass(frozen=True, slots=True, eq=False)
class BoundBoxes:
    """Boxes for a sampling run: called with what the network is asked, it adds the patch for them."""

    gligen: Gligen
    boxes: tuple[Box, ...]
    tokens: dict[tuple[int, ...], Tensor] = field(default_factory=dict)

    def __call__(self, call: NetworkCall) -> NetworkCall:
        """The call with a middle_patch more."""
        shape = tuple(call.x.shape)
        if shape not in self.tokens:
            self.tokens[shape] = self._tokens(shape)
        tokens, module = self.tokens[shape], self._module()
        fusers = module.fusers

        # Any: the options of patches are those of ComfyUI.
        def mix(n: Tensor, options: Mapping[str, Any]) -> Tensor:
            mixed: Tensor = fusers[options["transformer_index"]](n, tokens.to(n).expand(len(n), -1, -1))
            return mixed

        patches = dict(call.options.get("patches") or {})
        patches["middle_patch"] = [*patches.get("middle_patch", ()), mix]
        return replace(call, options={**call.options, "patches": patches})

    def _module(self) -> GligenModule:
        module = self.gligen.component.ready()
        if not isinstance(module, GligenModule):
            raise TypeError(f"the network of GLIGEN is {type(module).__name__}")
        return module

    @torch.no_grad()
    def _tokens(self, shape: Sequence[int]) -> Tensor:
        """The tokens (1, 30, D) of the boxes on a latent of this shape, and of the places that are free."""
        component = self.gligen.component
        height, width = shape[-2:]
        corners, texts = torch.zeros(1, _MOST, 4), torch.zeros(1, _MOST, self.gligen.context)
        for number, box in enumerate(self.boxes):
            right, bottom = box.x + box.width, box.y + box.height
            corners[0, number] = torch.tensor([box.x / width, box.y / height, right / width, bottom / height])
            texts[0, number] = box.pooled[0]
        used = (torch.arange(_MOST) < len(self.boxes))[None].float()
        inputs = (value.to(component.device, component.dtype) for value in (corners, used, texts))
        tokens: Tensor = self._module().position_net(*inputs)
        return tokens


def load_gligen(checkpoint: Checkpoint, device: str) -> Gligen:
    """The GLIGEN of a file in its authors' layout; what else the file holds is left out.

    Raises:
        ModelError: it is incomplete, or no GLIGEN for text boxes.
    """
    file, names = checkpoint.path.name, gligen_names(checkpoint.entries)
    shapes = module_shapes(checkpoint.entries, names)
    linear = re.compile(r"fusers\.(\d+)\.linear\.weight")
    found = {int(match[1]): shapes[name] for name in shapes if (match := linear.fullmatch(name))}
    text = shapes.get("position_net.null_positive_feature", ())
    if not found or len(text) != 1 or any(len(shape) != 2 or not all(shape) for shape in found.values()):
        raise ModelError(
            f"file {file!r} holds no GLIGEN for text boxes", hint="gligen_sd14_textbox_pruned.safetensors is one"
        )
    widths, tokens = tuple(found[number][0] for number in sorted(found)), found[min(found)][1]

    def make() -> nn.Module:
        with torch.device("meta"):
            return GligenModule(widths, text[0], tokens)

    part = {name: checkpoint.entries[name] for name in names}
    module = assign_weights("GLIGEN", checkpoint, part, names, make)
    component = Component(module, checkpoint, device=device, sources=plain_sources(names))
    return Gligen(file, component, widths, text[0])


def gligen_names(names: Collection[str]) -> dict[str, str]:
    """Names of a file → names in GligenModule, for the tensors that belong there."""
    blocks = sorted({match[1] for name in names if (match := _FUSER.fullmatch(name))}, key=_place)
    number = {block: place for place, block in enumerate(blocks)}
    found = {name: name for name in names if name.startswith("position_net.")}
    for name in names:
        if match := _FUSER.fullmatch(name):
            found[name] = f"fusers.{number[match[1]]}.{match[2]}"
    return found


def _place(block: str) -> tuple[int, int]:
    kind, _, number = block.partition(".")
    return _PLACES[kind], int(number or 0)


def with_box(
    conditioning: Conditioning,
    clip: TextEncoder,
    gligen: Gligen,
    text: str,
    size: tuple[int, int],
    position: tuple[int, int],
) -> Conditioning:
    """The conditioning with a box more; size: width and height, position: x and y, in pixels.

    Raises:
        ModelError: the CLIP gives no pooled state.
    """
    pooled = clip.encode(text).pooled
    if pooled is None:
        raise ModelError(
            "the CLIP gives no pooled state, which GLIGEN needs", hint="use the CLIP of an SD1.x model"
        )
    (width, height), (x, y) = ([value // _DOWNSCALE for value in pair] for pair in (size, position))
    box = Box(pooled, height, width, y, x)
    changed: Conditioning = []
    for states, options in conditioning:
        before = options["gligen"][2] if options.get("gligen") else []
        changed.append((states, {**options, "gligen": ("position", gligen, [*before, box])}))
    return changed
