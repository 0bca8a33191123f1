"""OmniGen2 (Wu et al., 2025): the blocks of Lumina 2 over text, pictures to look at, and the picture to make."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graphengine_nodes.diffusion.model.model import Extras, Job, LatentFormat, NetworkCall
from graphengine_nodes.diffusion.model.model_sampling import FlowSampling, ModelSampling

from . import latent_formats
from .architecture import Architecture, Config
from .conditions import given_references, given_text_mask, references, text_mask
from .layout import Destination, Reader, destinations
from .modules import diffusers_class, on_meta, without_warnings
from .packing import PATCH, cropped, padded

_AXES = 3  # of positions: place among texts and pictures, row, column
_THETA = 10000.0
_TIME_SCALE = 1000.0


class OmniGen2(Architecture):
    """OmniGen2; the pictures that it edits or combines are reference latents of the conditioning."""

    family, title = "omnigen2", "an OmniGen2 model"

    def matches(self, names: Collection[str]) -> bool:
        """It embeds pictures to look at in a way of their own."""
        return "ref_image_patch_embedder.weight" in names

    def config(self, read: Reader) -> Config:
        """Sizes of Lumina2Transformer2DModel, and how many pictures there can be."""
        width, patched = read.shape("x_embedder.weight", 2)
        head = read.shape("layers.0.attn.norm_q.weight", 1)[0]
        inner = read.shape("layers.0.feed_forward.linear_1.weight", 2)[0]
        if head % (2 * _AXES):
            raise read.impossible(f"heads of {head} numbers cannot be turned along {_AXES} axes")
        return {
            "patch_size": PATCH,
            "in_channels": patched // PATCH**2,
            "hidden_size": width,
            "num_layers": read.count(r"layers\.(\d+)\."),
            "num_refiner_layers": read.count(r"noise_refiner\.(\d+)\."),
            "num_attention_heads": read.heads(width, head),
            "num_kv_heads": read.heads(read.shape("layers.0.attn.to_k.weight", 2)[0], head),
            "multiple_of": 1,
            "ffn_dim_multiplier": (inner + 0.5) / (4 * width),  # half a row against rounding down
            "axes_dim_rope": (head // _AXES,) * _AXES,
            "axes_lens": (1,) * _AXES,  # its tables of positions are not used
            "cap_feat_dim": read.shape("time_caption_embed.caption_embedder.1.weight", 2)[1],
            "pictures": read.shape("image_index_embedding", 2)[0],
        }

    def destinations(self, read: Reader, config: Config) -> dict[str, tuple[Destination, ...]]:
        """Each tensor is a parameter of the same name."""
        return destinations(read.shapes, ())

    def module(self, config: Config) -> nn.Module:
        """Lumina2Transformer2DModel with the layers for pictures to look at."""
        sizes = {name: value for name, value in config.items() if name != "pictures"}
        module = on_meta(diffusers_class("Lumina2Transformer2DModel"), **sizes)
        width, patched = module.x_embedder.weight.shape
        with torch.device("meta"), without_warnings():
            module.ref_image_patch_embedder = nn.Linear(patched, width)
            module.image_index_embedding = nn.Parameter(torch.empty(config["pictures"], width))
            module.ref_image_refiner = nn.ModuleList(self._block(module, config) for _ in module.noise_refiner)
        return module  # type: ignore[no-any-return]  # the class is chosen by name

    @staticmethod
    def _block(module: Any, config: Config) -> nn.Module:
        """A block as those that refine the noise."""
        block: nn.Module = type(module.noise_refiner[0])(
            config["hidden_size"],
            config["num_attention_heads"],
            config["num_kv_heads"],
            config["multiple_of"],
            config["ffn_dim_multiplier"],
            1e-5,
            modulation=True,
        )
        return block

    def sampling(self, config: Config) -> ModelSampling:
        """Shift 2.6."""
        return FlowSampling.shifted(2.6, multiplier=1.0)

    def latent_format(self, config: Config) -> LatentFormat:
        """That of Flux."""
        return latent_formats.FLUX

    def text_width(self, config: Config) -> int:
        """2048, of Qwen2.5-VL 3B."""
        return int(config["cap_feat_dim"])

    def extras(self, config: Config, options: Mapping[str, Any], job: Job) -> Extras:
        """Which tokens of the text count, and the latents to look at.

        Raises:
            ValueError: there are more of them than the model tells apart.
        """
        pictures = references(options, job, "offset")
        if len(pictures) > config["pictures"]:
            raise ValueError(
                f"the conditioning has {len(pictures)} reference latents; "
                f"the model tells {config['pictures']} apart"
            )
        return Extras({**text_mask(options, job), **pictures})

    def forward(self, module: Any, config: Config, call: NetworkCall) -> Tensor:
        """timestep: sigma; the network is told how clean x is, and predicts latent - noise."""
        x = padded(call.x)
        pictures = [padded(latent) for latent in given_references(call.extra)[1]]
        turns = _turns(config, call.context.shape[1], [*pictures, x])
        tokens = _patches(x)
        time, text = module.time_caption_embed(tokens, (1.0 - call.timestep) * _TIME_SCALE, call.context)
        mask = given_text_mask(call).to(torch.bool)
        for block in module.context_refiner:
            text = block(text, mask, turns[0])
        parts = [text]
        for number, (picture, own) in enumerate(zip(pictures, turns[1:-1], strict=True)):
            seen = module.ref_image_patch_embedder(_patches(picture)) + module.image_index_embedding[number]
            parts.append(_refined(module.ref_image_refiner, seen, own, time))
        parts.append(_refined(module.noise_refiner, module.x_embedder(tokens), turns[-1], time))
        joint = torch.cat(parts, dim=1)
        mask = torch.nn.functional.pad(mask, (0, joint.shape[1] - text.shape[1]), value=True)
        everywhere = torch.cat(turns, dim=1)
        for block in module.layers:
            joint = block(joint, mask, everywhere, time)
        output = module.norm_out(joint, time)[:, -tokens.shape[1] :]
        return -cropped(_picture(output, x), call.x)


def _refined(blocks: Any, tokens: Tensor, turns: Tensor, time: Tensor) -> Tensor:
    for block in blocks:
        tokens = block(tokens, None, turns, time)
    return tokens


def _patches(x: Tensor) -> Tensor:
    """(B, C, H, W) → squares of 2 x 2 cells, (B, H/2 W/2, 4 C), the channels last."""
    batch, channels, height, width = x.shape
    squares = x.reshape(batch, channels, height // PATCH, PATCH, width // PATCH, PATCH)
    return squares.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)


def _picture(tokens: Tensor, x: Tensor) -> Tensor:
    """The squares put together again, in the shape of x."""
    batch, channels, height, width = x.shape
    squares = tokens.reshape(batch, height // PATCH, width // PATCH, PATCH, PATCH, channels)
    return squares.permute(0, 5, 1, 3, 2, 4).reshape(x.shape)


def _turns(config: Config, text: int, pictures: Sequence[Tensor]) -> list[Tensor]:
    """The rotations of the tokens of the text and of each picture, complex, (1, T, head / 2).

    Token i of the text stands at (i, i, i); a picture stands behind what comes before it by the longer edge of
    that, its tokens at (place, row, column).
    """
    device = pictures[0].device
    places = [torch.arange(text, device=device)[:, None].expand(text, _AXES)]
    place = text
    for picture in pictures:
        rows, columns = (size // PATCH for size in picture.shape[-2:])
        grid = torch.cartesian_prod(
            torch.tensor([place], device=device),
            torch.arange(rows, device=device),
            torch.arange(columns, device=device),
        )
        places.append(grid)
        place += max(rows, columns)
    return [_rotations(config["axes_dim_rope"], ids) for ids in places]


def _rotations(sizes: Sequence[int], ids: Tensor) -> Tensor:
    """exp(i p theta^(-2k/d)) for each axis of d numbers: ids (T, axes) → (1, T, sum of d / 2)."""
    angles = []
    for size, position in zip(sizes, ids.double().unbind(1), strict=True):
        speeds = _THETA ** (-torch.arange(0, size, 2, device=ids.device, dtype=torch.float64) / size)
        angles.append(position[:, None] * speeds)
    together = torch.cat(angles, dim=1)
    return torch.polar(torch.ones_like(together), together).to(torch.complex64)[None]
