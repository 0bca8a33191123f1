"""LTX-Video 0.9 (HaCohen et al., 2024): text to video, and pictures at chosen times."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graphengine_nodes.diffusion.model.model import Extras, Job, LatentFormat, NetworkCall
from graphengine_nodes.diffusion.model.model_sampling import FlowSampling, ModelSampling

from . import latent_formats
from .architecture import Architecture, Config
from .conditions import frame_times, given_text_mask, kept_frames, text_mask
from .layout import Destination, Reader, any_name, destinations
from .modules import diffusers_class, on_meta

_HEADS = 32
FRAMES, PIXELS = 8, 32
"""Of the video per cell of the latent."""

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
    exact = frozenset({"frame_rate", "guides"})

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

    def shows_kept(self, config: Config) -> bool:
        """Yes."""
        return True

    def text_width(self, config: Config) -> int:
        """4096."""
        return int(config["caption_channels"])

    def extras(self, config: Config, options: Mapping[str, Any], job: Job) -> Extras:
        """Which tokens of the text count, the frames per second, and where the guides are."""
        rate = float(options.get("frame_rate") or _FRAME_RATE)
        spatial = {**kept_frames(job), **_guides(options, job)}
        return Extras({**text_mask(options, job), "frame_rate": torch.tensor([rate])}, spatial)

    def forward(self, module: Any, config: Config, call: NetworkCall) -> Tensor:
        """timestep: sigma, one per frame where some are kept."""
        timestep = frame_times(call)
        frames, height, width = call.x.shape[-3:]
        rate = float(call.extra["frame_rate"][0]) if "frame_rate" in call.extra else _FRAME_RATE
        if timestep.ndim == 2:
            timestep = timestep.repeat_interleave(height * width, dim=1)
        output: Tensor = module(
            call.x.flatten(2).transpose(1, 2),
            encoder_hidden_states=call.context,
            timestep=timestep * 1000.0,
            encoder_attention_mask=given_text_mask(call),
            num_frames=frames,
            height=height,
            width=width,
            rope_interpolation_scale=(FRAMES / rate, PIXELS, PIXELS),
            video_coords=_coordinates(call, rate, causal=config[_CAUSAL]),
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


def _guides(options: Mapping[str, Any], job: Job) -> dict[str, Tensor]:
    """The places of the latent's last frames, (1, 3, frames, H, W), where the conditioning tells of guides."""
    told = options.get("keyframe_idxs")
    if told is None:
        return {}
    frames, height, width = job.shape[-3:]
    count, rest = divmod(told.shape[-1], height * width)
    if rest or count > frames:
        raise ValueError(
            f"the conditioning's guides have {told.shape[-1]} cells, which do not fit the latent of {frames} "
            f"frames of {height} x {width} cells: sample the latent that LTXVAddGuide gave with the conditioning"
        )
    return {"guides": told.reshape(-1, 3, count, height, width)}


def _coordinates(call: NetworkCall, rate: float, *, causal: bool) -> Tensor | None:
    """Seconds, and rows and columns in pixels, of each cell, (B, 3, T * H * W); None for those of the module."""
    guides = call.extra.get("guides")
    if guides is None and not causal:
        return None
    shape = call.x.shape[2:]
    places = causal_places(shape, call.x.device) if causal else _places(shape, call.x.device)
    places = places.expand(len(call.x), -1, -1, -1, -1)
    if guides is not None:
        places = torch.cat([places[:, :, : shape[0] - guides.shape[2]], guides], dim=2)
    per_second = torch.tensor([1.0 / rate, 1.0, 1.0], device=places.device)
    return places.flatten(2) * per_second[:, None]


def causal_places(shape: Sequence[int], device: torch.device | None = None) -> Tensor:
    """Frame, row and column of the video that each cell of a latent (T, H, W) begins with: (3, T, H, W).

    The first latent frame stands for one frame, each other one for eight.
    """
    places = _places(shape, device)
    places[0] = (places[0] + 1 - FRAMES).clamp(min=0)
    return places


def _places(shape: Sequence[int], device: torch.device | None) -> Tensor:
    """The same where each latent frame stands for eight."""
    axes = [torch.arange(size, device=device, dtype=torch.float32) for size in shape]
    frames, rows, columns = axes
    return torch.stack(torch.meshgrid(frames * FRAMES, rows * PIXELS, columns * PIXELS, indexing="ij"))
