"""HunyuanVideo (Kong et al., 2024): text to video, and from a first picture on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from graphengine_nodes.diffusion.model.model import Extras, Job, LatentFormat, NetworkCall
from graphengine_nodes.diffusion.model.model_sampling import FlowSampling, ModelSampling

from . import latent_formats
from .architecture import Architecture, Config
from .block_patches import replaced_blocks
from .conditions import beside, given_text_mask, guidance, pooled, text_mask, video_mask
from .flux import single_block_parts
from .layout import Destination, Reader, any_name, destinations
from .modules import ShiftFirst, diffusers_class, on_meta
from .packing import cropped, padded, rotary_axes
from .token_replace import first_frame_given

_GUIDANCE = 6.0
_RENAMES = (
    (r"^img_in\.", "x_embedder."),
    (r"^(time|guidance)_in\.mlp\.0", r"time_text_embed.\1_embedder.linear_1"),
    (r"^(time|guidance)_in\.mlp\.2", r"time_text_embed.\1_embedder.linear_2"),
    (r"^vector_in\.in_layer", "time_text_embed.text_embedder.linear_1"),
    (r"^vector_in\.out_layer", "time_text_embed.text_embedder.linear_2"),
    (r"\.time_embedder", ".timestep_embedder"),
    (r"^final_layer\.linear", "proj_out"),
    (r"^final_layer\.adaLN_modulation\.1", "norm_out.linear"),
    (r"^txt_in\.individual_token_refiner\.blocks", "context_embedder.token_refiner.refiner_blocks"),
    (r"^txt_in\.input_embedder", "context_embedder.proj_in"),
    (r"^txt_in\.t_embedder\.mlp\.0", "context_embedder.time_text_embed.timestep_embedder.linear_1"),
    (r"^txt_in\.t_embedder\.mlp\.2", "context_embedder.time_text_embed.timestep_embedder.linear_2"),
    (r"^txt_in\.c_embedder", "context_embedder.time_text_embed.text_embedder"),
    (r"adaLN_modulation\.1", "norm_out.linear"),
    (r"self_attn_qkv", "attn.{to_q|to_k|to_v}"),
    (r"self_attn_proj", "attn.to_out.0"),
    (r"^double_blocks", "transformer_blocks"),
    (r"^single_blocks", "single_transformer_blocks"),
    (r"img_attn_qkv", "attn.{to_q|to_k|to_v}"),
    (r"txt_attn_qkv", "attn.{add_q_proj|add_k_proj|add_v_proj}"),
    (r"img_attn_([qk])_norm", r"attn.norm_\1"),
    (r"txt_attn_([qk])_norm", r"attn.norm_added_\1"),
    (r"img_attn_proj", "attn.to_out.0"),
    (r"txt_attn_proj", "attn.to_add_out"),
    (r"img_mod\.linear", "norm1.linear"),
    (r"txt_mod\.linear", "norm1_context.linear"),
    (r"img_mlp", "ff"),
    (r"txt_mlp", "ff_context"),
    (r"\.mlp\.", ".ff."),
    (r"\.fc1", ".net.0.proj"),
    (r"\.fc2", ".net.2"),
    (r"\.modulation\.linear", ".norm.linear"),
    (r"\.linear1\.", ".{attn.to_q|attn.to_k|attn.to_v|proj_mlp}."),
    (r"\.linear2\.", ".proj_out."),
    (r"^(single_transformer_blocks\.\d+)\.([qk])_norm", r"\1.attn.norm_\2"),
)


class HunyuanVideo(Architecture):
    """HunyuanVideo, with or without a guidance that is told.

    Models that take more channels than they give are shown the latent of a first picture, or that and its mask.
    Others can be given a first frame in the latent itself, which a conditioning's "guiding_frame_index" tells.
    """

    family, title = "hunyuan_video", "a HunyuanVideo model"

    def matches(self, names: Collection[str]) -> bool:
        """A refiner of the text's tokens, and the attention's own names."""
        own = any_name(names, r"^txt_in\.individual_token_refiner\.") and any_name(names, r"img_attn_qkv")
        return own and "vector_in.in_layer.weight" in names

    def config(self, read: Reader) -> Config:
        """Sizes of HunyuanVideoTransformer3DModel."""
        width, channels, time, patch, _ = read.shape("img_in.proj.weight", 5)
        head = read.shape("double_blocks.0.img_attn_q_norm.weight", 1)[0]
        out = read.shape("final_layer.linear.weight", 2)[0] // (time * patch**2)
        if channels not in (out, 2 * out, 2 * out + 1):
            raise read.impossible(f"it takes {channels} channels and gives {out}")
        return {
            "in_channels": channels,
            "out_channels": out,
            "num_attention_heads": read.heads(width, head),
            "attention_head_dim": head,
            "num_layers": read.count(r"double_blocks\.(\d+)\."),
            "num_single_layers": read.count(r"single_blocks\.(\d+)\."),
            "num_refiner_layers": read.count(r"txt_in\.individual_token_refiner\.blocks\.(\d+)\."),
            "mlp_ratio": read.shape("double_blocks.0.img_mlp.fc1.weight", 2)[0] / width,
            "patch_size": patch,
            "patch_size_t": time,
            "guidance_embeds": read.has("guidance_in.mlp.0.weight"),
            "text_embed_dim": read.shape("txt_in.input_embedder.weight", 2)[1],
            "pooled_projection_dim": read.shape("vector_in.in_layer.weight", 2)[1],
            "rope_axes_dim": rotary_axes(head),
        }

    def destinations(self, read: Reader, config: Config) -> dict[str, tuple[Destination, ...]]:
        """Queries, keys and values, and in single blocks the MLP, are one tensor in the file."""
        width = config["attention_head_dim"] * config["num_attention_heads"]
        return destinations(read.shapes, _RENAMES, single_block_parts(width))

    def module(self, config: Config) -> nn.Module:
        """HunyuanVideoTransformer3DModel."""
        module = on_meta(diffusers_class("HunyuanVideoTransformer3DModel"), **config)
        module.norm_out = ShiftFirst(module.norm_out)
        return module  # type: ignore[no-any-return]  # the class is chosen by name

    def sampling(self, config: Config) -> ModelSampling:
        """Shift 7."""
        return FlowSampling.shifted(7.0)

    def latent_format(self, config: Config) -> LatentFormat:
        """16 channels."""
        return latent_formats.HUNYUAN_VIDEO

    def text_width(self, config: Config) -> int:
        """4096, of Llama 3."""
        return int(config["text_embed_dim"])

    def extras(self, config: Config, options: Mapping[str, Any], job: Job) -> Extras:
        """The pooled state of CLIP-L, the guidance, which tokens of the text count, and the first picture."""
        values = {
            "y": pooled(options, job, config["pooled_projection_dim"], self.title),
            **text_mask(options, job),
        }
        if config["guidance_embeds"]:
            values["guidance"] = guidance(options, job, _GUIDANCE)
        shown = config["in_channels"] - config["out_channels"]
        return Extras(
            values, {"concat": _first_picture(options, job, shown)} if shown else _first_frame(options, job)
        )

    def forward(self, module: Any, config: Config, call: NetworkCall) -> Tensor:
        """timestep: sigma * 1000."""
        told = call.extra.get("guidance")
        patch = (config["patch_size_t"], config["patch_size"], config["patch_size"])
        seen = first_frame_given(module) if "first" in call.extra else module
        output: Tensor = replaced_blocks(call, seen)(
            padded(_seen(call), patch),
            timestep=call.timestep,
            encoder_hidden_states=call.context,
            encoder_attention_mask=given_text_mask(call),
            pooled_projections=call.extra["y"],
            guidance=None if told is None else told * 1000.0,
            return_dict=False,
        )[0]
        return cropped(output, call.x)


def _first_picture(options: Mapping[str, Any], job: Job, channels: int) -> Tensor:
    """The latent of the picture, zeros behind it, and where there is room a mask that is 1 where it is given."""
    latent = beside(options, job)[:, :, : job.shape[2]]
    latent = pad(latent, (0, 0, 0, 0, 0, job.shape[2] - latent.shape[2]))
    if options.get("concat_latent_image") is None:
        latent = torch.zeros_like(latent)
    mask = video_mask(options, job, 1).expand(len(latent), -1, -1, -1, -1)
    return torch.cat([latent, mask], dim=1)[:, :channels]


def _first_frame(options: Mapping[str, Any], job: Job) -> dict[str, Tensor]:
    """The frame that the latent holds already, (B, C, 1, H, W), where the conditioning says that there is one.

    Raises:
        ValueError: it is another one than the first.
    """
    index = options.get("guiding_frame_index")
    if index is None or job.latent is None:
        return {}
    if index != 0:
        raise ValueError(
            f"the conditioning's guiding_frame_index is {index}; only the first frame, 0, can be given"
        )
    return {"first": job.latent[:, :, :1]}


def _seen(call: NetworkCall) -> Tensor:
    """x with what is shown beside it, or with the first frame as it is."""
    if "first" in call.extra:
        return torch.cat([call.extra["first"], call.x[:, :, 1:]], dim=2)
    return torch.cat([call.x, call.extra["concat"]], dim=1) if "concat" in call.extra else call.x
