"""Flux.1 dev and schnell, Fill, Canny, Depth and Kontext (Black Forest Labs, 2024)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graphengine_nodes.diffusion.model.model import Extras, Job, LatentFormat, NetworkCall
from graphengine_nodes.diffusion.model.model_sampling import FlowSampling, ModelSampling

from . import latent_formats
from .architecture import Architecture, Config
from .attention_bias import attention_bias, given_attention_bias
from .block_patches import after_blocks, replaced_blocks
from .conditions import beside, given_references, guidance, pixel_mask, pooled, references
from .layout import Destination, Reader, any_name, destinations, equal_parts
from .modules import ShiftFirst, diffusers_class, on_meta
from .packing import PATCH, cropped, packed, padded, positions, rotary_axes, unpacked

BLOCK_RENAMES = (
    (r"^img_in", "x_embedder"),
    (r"^txt_in", "context_embedder"),
    (r"^double_blocks", "transformer_blocks"),
    (r"^single_blocks", "single_transformer_blocks"),
    (r"img_attn\.qkv", "attn.{to_q|to_k|to_v}"),
    (r"txt_attn\.qkv", "attn.{add_q_proj|add_k_proj|add_v_proj}"),
    (r"img_attn\.norm\.query_norm\.(scale|weight)", "attn.norm_q.weight"),
    (r"img_attn\.norm\.key_norm\.(scale|weight)", "attn.norm_k.weight"),
    (r"txt_attn\.norm\.query_norm\.(scale|weight)", "attn.norm_added_q.weight"),
    (r"txt_attn\.norm\.key_norm\.(scale|weight)", "attn.norm_added_k.weight"),
    (r"img_attn\.proj", "attn.to_out.0"),
    (r"txt_attn\.proj", "attn.to_add_out"),
    (r"img_mlp\.0", "ff.net.0.proj"),
    (r"img_mlp\.2", "ff.net.2"),
    (r"txt_mlp\.0", "ff_context.net.0.proj"),
    (r"txt_mlp\.2", "ff_context.net.2"),
    (r"\.linear1\.", ".{attn.to_q|attn.to_k|attn.to_v|proj_mlp}."),
    (r"\.linear2\.", ".proj_out."),
    (r"\.norm\.query_norm\.(scale|weight)", ".attn.norm_q.weight"),
    (r"\.norm\.key_norm\.(scale|weight)", ".attn.norm_k.weight"),
    (r"^final_layer\.linear", "proj_out"),
)
_RENAMES = (
    (r"^(time|vector|guidance)_in\.in_layer", r"time_text_embed.\1_embedder.linear_1"),
    (r"^(time|vector|guidance)_in\.out_layer", r"time_text_embed.\1_embedder.linear_2"),
    (r"\.time_embedder", ".timestep_embedder"),
    (r"\.vector_embedder", ".text_embedder"),
    (r"img_mod\.lin", "norm1.linear"),
    (r"txt_mod\.lin", "norm1_context.linear"),
    (r"\.modulation\.lin", ".norm.linear"),
    (r"^final_layer\.adaLN_modulation\.1", "norm_out.linear"),
    *BLOCK_RENAMES,
)


def single_block_parts(width: int) -> Any:
    """Rows of the first layer of a single block: query, key and value of the width, the rest for the MLP."""

    def parts(name: str, rows: int, count: int) -> Sequence[int]:
        return [width] * 3 + [rows - 3 * width] if count == 4 else equal_parts(name, rows, count)

    return parts


def block_sizes(read: Reader) -> dict[str, Any]:
    """The sizes that Flux and Chroma share, as their classes name them."""
    width, patched = read.shape("img_in.weight", 2)
    head = read.shape(_query_norm(read), 1)[0]
    return {
        "in_channels": patched,
        "out_channels": read.shape("final_layer.linear.weight", 2)[0],
        "num_layers": read.count(r"double_blocks\.(\d+)\."),
        "num_single_layers": read.count(r"single_blocks\.(\d+)\."),
        "attention_head_dim": head,
        "num_attention_heads": read.heads(width, head),
        "joint_attention_dim": read.shape("txt_in.weight", 2)[1],
        "axes_dims_rope": rotary_axes(head),
    }


def _query_norm(read: Reader) -> str:
    name = "double_blocks.0.img_attn.norm.query_norm."
    return name + ("weight" if read.has(name + "weight") else "scale")


class Flux(Architecture):
    """Flux.1; what its input has beyond 16 channels tells what it is made for."""

    family, title = "flux", "a Flux model"

    def matches(self, names: Collection[str]) -> bool:
        """The double blocks of Flux with modulations of their own."""
        return (
            any_name(names, r"^double_blocks\.0\.img_attn\.norm\.key_norm\.")
            and "vector_in.in_layer.weight" in names
        )

    def config(self, read: Reader) -> Config:
        """Sizes of FluxTransformer2DModel."""
        return {
            **block_sizes(read),
            "pooled_projection_dim": read.shape("vector_in.in_layer.weight", 2)[1],
            "guidance_embeds": read.has("guidance_in.in_layer.weight"),
        }

    def destinations(self, read: Reader, config: Config) -> dict[str, tuple[Destination, ...]]:
        """Queries, keys and values, and in single blocks the MLP, are one tensor in the file."""
        width = config["attention_head_dim"] * config["num_attention_heads"]
        return destinations(read.shapes, _RENAMES, single_block_parts(width))

    def module(self, config: Config) -> nn.Module:
        """FluxTransformer2DModel."""
        module = on_meta(diffusers_class("FluxTransformer2DModel"), **config)
        module.norm_out = ShiftFirst(module.norm_out)
        return module  # type: ignore[no-any-return]  # the class is chosen by name

    def sampling(self, config: Config) -> ModelSampling:
        """dev: the exponential shift of 1.15; schnell, which has no guidance: none."""
        if config["guidance_embeds"]:
            return FlowSampling.exponentially_shifted(1.15)
        return FlowSampling.shifted(1.0, multiplier=1.0)

    def latent_format(self, config: Config) -> LatentFormat:
        """16 channels."""
        return latent_formats.FLUX

    def text_width(self, config: Config) -> int:
        """4096."""
        return int(config["joint_attention_dim"])

    def extras(self, config: Config, options: Mapping[str, Any], job: Job) -> Extras:
        """The pooled state of CLIP-L, the guidance, what is shown beside the latent, and reference pictures."""
        values = {"y": pooled(options, job, config["pooled_projection_dim"], self.title)}
        if config["guidance_embeds"]:
            values["guidance"] = guidance(options, job)
        values |= references(options, job, "offset") | attention_bias(options, job)
        missing = config["in_channels"] // PATCH**2 - job.latent_format.channels
        if missing <= 0:
            return Extras(values)
        shown = [beside(options, job)]
        if missing > shown[0].shape[1]:
            shown.append(pixel_mask(options, job).expand(len(shown[0]), -1, -1, -1))
        return Extras(values, {"concat": torch.cat(shown, dim=1)})

    def forward(self, module: Any, config: Config, call: NetworkCall) -> Tensor:
        """timestep: sigma. Residuals are added after the double blocks, then the single ones."""
        tokens, ids = picture_tokens(call)
        double, single = module.transformer_blocks, module.single_transformer_blocks
        residuals = call.control.output if call.control else ()
        output = replaced_blocks(call, module)(
            tokens,
            encoder_hidden_states=call.context,
            pooled_projections=call.extra["y"],
            timestep=call.timestep,
            img_ids=ids,
            txt_ids=text_ids(call),
            guidance=call.extra.get("guidance") if config["guidance_embeds"] else None,
            controlnet_block_samples=after_blocks(residuals[: len(double)], double),
            controlnet_single_block_samples=after_blocks(residuals[len(double) :], single),
            joint_attention_kwargs=given_attention_bias(call, tokens.shape[1]),
            return_dict=False,
        )[0]
        return picture_of(output, call)


def text_ids(call: NetworkCall) -> Tensor:
    """Position ids (T, 3) of the text: zeros."""
    return torch.zeros(call.context.shape[1], 3, device=call.x.device)


def picture_tokens(call: NetworkCall) -> tuple[Tensor, Tensor]:
    """The tokens (B, N, 4 C) of the latent, what is beside it and the references; their position ids (N, 3)."""
    x = padded(call.x)
    height, width = (size // PATCH for size in x.shape[-2:])
    concat = call.extra.get("concat")
    if concat is not None:
        x = torch.cat([x, padded(concat)], dim=1)
    tokens, ids = [packed(x)], [positions(height, width)]
    method, latents = given_references(call.extra)
    for latent, place in zip(latents, _places(method, latents, (height, width)), strict=True):
        reference = padded(latent)
        tokens.append(packed(reference))
        ids.append(positions(*(size // PATCH for size in reference.shape[-2:]), **place))
    return torch.cat(tokens, dim=1), torch.cat(ids).to(call.x.device)


def picture_of(tokens: Tensor, call: NetworkCall) -> Tensor:
    """The latent of the output tokens, shaped like x; those of references are dropped."""
    height, width = (-(-size // PATCH) * PATCH for size in call.x.shape[-2:])
    return cropped(unpacked(tokens[:, : height * width // PATCH**2], height, width), call.x)


def _places(method: str, latents: Sequence[Tensor], size: tuple[int, int]) -> list[dict[str, int]]:
    """Where the references stand in the space of positions, in tokens.

    "index": each in a plane of its own. "uxo": in the plane of the picture, each below and right of those before.
    "offset" (and any other): in one plane beside the picture's, each right of or below those before, on the side
    that keeps the whole smaller.
    """
    if method == "index":
        return [{"index": number} for number in range(1, len(latents) + 1)]
    places = []
    bottom, right = size if method == "uxo" else (0, 0)
    for latent in latents:
        height, width = (-(-side // PATCH) for side in latent.shape[-2:])
        if method == "uxo":
            places.append({"index": 0, "top": bottom, "left": right})
            bottom, right = bottom + height, right + width
            continue
        sideways = height + bottom > width + right
        top, left = (0, right) if sideways else (bottom, 0)
        places.append({"index": 1, "top": top, "left": left})
        bottom, right = max(bottom, top + height), max(right, left + width)
    return places
