"""LTX-Video 0.9 (HaCohen et al., 2024): text to video."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from graphengine_nodes.diffusion.model import Extras, Job, LatentFormat, NetworkCall
from graphengine_nodes.diffusion.model_sampling import FlowSampling, ModelSampling

from . import latent_formats
from .architecture import Architecture, Config
from .conditions import given_text_mask, kept_frames, text_mask, with_kept_frames
from .layout import Destination, Reader, any_name, destinations
from .modules import diffusers_class, on_meta

_HEADS = 32
_FRAMES, _PIXELS = 8, 32  # of the video per cell of the latent
_FRAME_RATE = 25.0
_CAUSAL = "causal_temporal_positioning"  # in the file's own description of the model, since 0.9.5
_RENAMES = (
    (r"^patchify_proj", "proj_in"),
    (r"^adaln_single", "time_embed"),
    (r"\.q_norm", ".norm_q"),
    (r"\.k_norm", ".norm_k"),
)


class LTXVideo(Architecture):
    """The 2B and 13B models."""

    family, title = "ltxv", "an LTX video model"

    def matches(self, names: Collection[str]) -> bool:
        """A projection of single cells, and one modulation for all blocks; no sound."""
        own = "patchify_proj.weight" in names and any_name(names, r"^adaln_single\.")
        return own and not any_name(names, r"^audio_")

    def config(self, read: Reader) -> Config:
        """Sizes of LTXVideoTransformer3DModel."""
        width, channels = read.shape("patchify_proj.weight", 2)
        return {
            "in_channels": channels,
            "out_channels": read.shape("proj_out.weight", 2)[0],
            "num_attention_heads": _HEADS,
            "attention_head_dim": width // _HEADS if width % _HEADS == 0 else read.heads(width, _HEADS),
            "cross_attention_dim": read.shape("transformer_blocks.0.attn2.to_k.weight", 2)[1],
            "num_layers": read.count(r"transformer_blocks\.(\d+)\."),
            "caption_channels": read.shape("caption_projection.linear_1.weight", 2)[1],
            _CAUSAL: _is_causal(read),
        }

    def destinations(self, read: Reader, config: Config) -> dict[str, tuple[Destination, ...]]:
        """Each tensor is a parameter."""
        return destinations(read.shapes, _RENAMES)

    def module(self, config: Config) -> nn.Module:
        """LTXVideoTransformer3DModel."""
        sizes = {name: size for name, size in config.items() if name != _CAUSAL}
        module: nn.Module = on_meta(diffusers_class("LTXVideoTransformer3DModel"), **sizes)
        return module

    def sampling(self, config: Config) -> ModelSampling:
        """The exponential shift of 2.37."""
        return FlowSampling.exponentially_shifted(2.37)

    def latent_format(self, config: Config) -> LatentFormat:
        """128 channels of 32 x 32 pixels."""
        return latent_formats.LTX_VIDEO

    def text_width(self, config: Config) -> int:
        """4096."""
        return int(config["caption_channels"])

    def extras(self, config: Config, options: Mapping[str, Any], job: Job) -> Extras:
        """Which tokens of the text count, and the frames per second."""
        rate = float(options.get("frame_rate") or _FRAME_RATE)
        return Extras({**text_mask(options, job), "frame_rate": torch.tensor([rate])}, kept_frames(job))

    def forward(self, module: Any, config: Config, call: NetworkCall) -> Tensor:
        """timestep: sigma, one per frame where some are kept."""
        x, timestep = with_kept_frames(call)
        frames, height, width = call.x.shape[-3:]
        rate = float(call.extra["frame_rate"][0]) if "frame_rate" in call.extra else _FRAME_RATE
        if timestep.ndim == 2:
            timestep = timestep.repeat_interleave(height * width, dim=1)
        output: Tensor = module(
            x.flatten(2).transpose(1, 2),
            encoder_hidden_states=call.context,
            timestep=timestep * 1000.0,
            encoder_attention_mask=given_text_mask(call),
            num_frames=frames,
            height=height,
            width=width,
            rope_interpolation_scale=(_FRAMES / rate, _PIXELS, _PIXELS),
            video_coords=causal_places(call.x, rate) if config[_CAUSAL] else None,
            return_dict=False,
        )[0]
        return output.transpose(1, 2).reshape(len(call.x), -1, frames, height, width)


def _is_causal(read: Reader) -> bool:
    """Whether the first latent frame stands for a single frame in time, which the header of the file says."""
    try:
        told = json.loads(read.metadata.get("config", "{}"))
    except (ValueError, RecursionError) as error:
        raise read.impossible(f"its header's description of the model is not JSON ({error})") from error
    match told:
        case {"transformer": {"causal_temporal_positioning": bool(causal)}}:
            return causal
    return False


def causal_places(x: Tensor, rate: float) -> Tensor:
    """Seconds, and rows and columns in pixels, of each cell of a latent (B, C, T, H, W): (B, 3, T * H * W)."""
    frames, height, width = (torch.arange(size, device=x.device, dtype=torch.float32) for size in x.shape[2:])
    seconds = (frames * _FRAMES + 1 - _FRAMES).clamp(min=0) / rate
    grid = torch.meshgrid(seconds, height * _PIXELS, width * _PIXELS, indexing="ij")
    return torch.stack(grid).flatten(1)[None].expand(len(x), -1, -1)
