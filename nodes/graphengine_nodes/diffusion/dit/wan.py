"""Wan 2.1 and 2.2: text and image to video (Wan team, 2025), with a camera or a control video (Fun series)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graphengine_nodes.diffusion.model.model import Extras, Job, LatentFormat, NetworkCall
from graphengine_nodes.diffusion.model.model_sampling import FlowSampling, ModelSampling

from . import latent_formats
from .architecture import Architecture, Config
from .conditions import beside, fitted, frame_times, kept_frames, video_mask
from .layout import Destination, Reader, any_name, destinations
from .modules import diffusers_class, on_meta
from .packing import cropped, padded
from .wan_patches import CameraAdapter, FunPatches
from .wan_vace import VACE_RENAMES, vace_extras, vace_inputs, vace_sizes

_HEAD = 128
_FREQUENCIES = "time_embedding.0.weight"
_CAMERA, _REFERENCE = "control_adapter.conv.weight", "ref_conv.weight"
_OWN = frozenset({"camera", "camera_blocks", "reference"})  # sizes of `FunPatches`
_FUN_RENAMES = (
    (r"^patch_embedding\.", "patch_embedding.video."),
    (r"^control_adapter\.", "patch_embedding.camera."),
    (r"^ref_conv\.", "patch_embedding.reference."),
)
_RENAMES = (
    (r"^time_embedding\.0", "condition_embedder.time_embedder.linear_1"),
    (r"^time_embedding\.2", "condition_embedder.time_embedder.linear_2"),
    (r"^text_embedding\.0", "condition_embedder.text_embedder.linear_1"),
    (r"^text_embedding\.2", "condition_embedder.text_embedder.linear_2"),
    (r"^time_projection\.1", "condition_embedder.time_proj"),
    (r"^img_emb\.proj\.0", "condition_embedder.image_embedder.norm1"),
    (r"^img_emb\.proj\.1", "condition_embedder.image_embedder.ff.net.0.proj"),
    (r"^img_emb\.proj\.3", "condition_embedder.image_embedder.ff.net.2"),
    (r"^img_emb\.proj\.4", "condition_embedder.image_embedder.norm2"),
    (r"^img_emb\.emb_pos", "condition_embedder.image_embedder.pos_embed"),
    (r"^head\.modulation", "scale_shift_table"),
    (r"^head\.head", "proj_out"),
    (r"self_attn", "attn1"),
    (r"cross_attn", "attn2"),
    (r"(attn\d)\.([qkv])\.", r"\1.to_\2."),
    (r"(attn\d)\.o\.", r"\1.to_out.0."),
    (r"attn2\.([kv])_img\.", r"attn2.add_\1_proj."),
    (r"attn2\.norm_k_img", "attn2.norm_added_k"),
    (r"\.modulation$", ".scale_shift_table"),
    (r"\.ffn\.0", ".ffn.net.0.proj"),
    (r"\.ffn\.2", ".ffn.net.2"),
    (r"\.norm3\.", ".norm2."),
)


class Wan(Architecture):
    """The layouts of 1.3B, 14B and 5B; models with more input channels than output ones are shown pictures."""

    family, title = "wan", "a Wan video model"

    def matches(self, names: Collection[str]) -> bool:
        """A modulated head, and none of the parts that variants have beside."""
        variant = any_name(names, r"^(face_adapter|motion_encoder|casual_audio_encoder)")
        return "head.modulation" in names and "patch_embedding.weight" in names and not variant

    def config(self, read: Reader) -> Config:
        """Sizes of WanTransformer3DModel."""
        width, channels, *patch = read.shape("patch_embedding.weight", 5)
        out = read.shape("head.head.weight", 2)[0] // (patch[0] * patch[1] * patch[2])
        blocks = read.count(r"blocks\.(\d+)\.")
        image = read.shape("img_emb.proj.0.weight", 1)[0] if read.has("img_emb.proj.0.weight") else None
        places = read.shape("img_emb.emb_pos", 3)[1] if read.has("img_emb.emb_pos") else None
        return {
            "patch_size": tuple(patch),
            "num_attention_heads": read.heads(width, _HEAD),
            "attention_head_dim": _HEAD,
            "in_channels": channels,
            "out_channels": out,
            "text_dim": read.shape("text_embedding.0.weight", 2)[1],
            "freq_dim": read.shape(_FREQUENCIES, 2)[1],
            "ffn_dim": read.shape("blocks.0.ffn.0.weight", 2)[0],
            "num_layers": blocks,
            "cross_attn_norm": read.has("blocks.0.norm3.weight"),
            "image_dim": image,
            "added_kv_proj_dim": None if image is None else width,
            "pos_embed_seq_len": places,
            "camera": read.shape(_CAMERA, 4)[1] if read.has(_CAMERA) else None,
            "camera_blocks": read.count(r"control_adapter\.residual_blocks\.(\d+)\."),
            "reference": read.shape(_REFERENCE, 4)[1] if read.has(_REFERENCE) else None,
            **vace_sizes(read, blocks),
        }

    def destinations(self, read: Reader, config: Config) -> dict[str, tuple[Destination, ...]]:
        """Each tensor is a parameter."""
        return destinations(read.shapes, _RENAMES + VACE_RENAMES + (_FUN_RENAMES if _is_fun(config) else ()))

    def module(self, config: Config) -> nn.Module:
        """WanTransformer3DModel, its table of positions with values."""
        sizes = {name: size for name, size in config.items() if name not in _OWN}
        kind = "WanVACETransformer3DModel" if "vace_layers" in config else "WanTransformer3DModel"
        module = on_meta(diffusers_class(kind), **sizes)
        if _is_fun(config):
            module.patch_embedding = on_meta(_patches, video=module.patch_embedding, config=config)
        module.rope = type(module.rope)(
            config["attention_head_dim"], config["patch_size"], module.rope.max_seq_len
        )
        return module  # type: ignore[no-any-return]  # the class is chosen by name

    def sampling(self, config: Config) -> ModelSampling:
        """Shift 8."""
        return FlowSampling.shifted(8.0)

    def latent_format(self, config: Config) -> LatentFormat:
        """48 channels of 16 x 16 pixels for the 5B model of 2.2, 16 of 8 x 8 for the others."""
        return latent_formats.WAN22 if self.shows_kept(config) else latent_formats.WAN21

    def shows_kept(self, config: Config) -> bool:
        """Whether it is the 5B model of 2.2, which starts from frames in the latent itself."""
        return bool(config["out_channels"] == latent_formats.WAN22.channels)

    def text_width(self, config: Config) -> int:
        """4096."""
        return int(config["text_dim"])

    def extras(self, config: Config, options: Mapping[str, Any], job: Job) -> Extras:
        """The picture's latent with its mask, and what CLIP vision saw, for models that take them."""
        values: dict[str, Tensor] = {}
        spatial = kept_frames(job) if self.shows_kept(config) else {}
        vision = options.get("clip_vision_output")
        if config["image_dim"] is not None and vision is not None:
            values["image"] = vision.penultimate_hidden_states
        missing = config["in_channels"] - job.latent_format.channels
        if missing > 0:
            spatial["concat"] = _shown(options, job, missing)
        if config["camera"] is not None and options.get("camera_conditions") is not None:
            spatial["camera"] = _rays(options["camera_conditions"], config["camera"], job)
        if config["reference"] is not None:
            spatial["reference"] = _reference(options, job)
        if options.get("time_dim_concat") is not None:
            subjects = options["time_dim_concat"].to(job.device, torch.float32)
            spatial["subjects"] = fitted(job.latent_format.process_in(subjects), job.shape)
        if "vace_layers" in config:
            vace = vace_extras(options, job, config["vace_in_channels"])
            return Extras({**values, **vace.values}, {**spatial, **vace.spatial})
        return Extras(values, spatial)

    def forward(self, module: Any, config: Config, call: NetworkCall) -> Tensor:
        """timestep: sigma * 1000, for the 5B model one per token where frames are kept."""
        x, timestep = _joined(call, config["patch_size"])
        if timestep.ndim == 2:
            _, height, width = (
                size // patch for size, patch in zip(x.shape[2:], config["patch_size"], strict=True)
            )
            timestep = timestep.repeat_interleave(height * width, dim=1)
        more = vace_inputs(call, config["vace_layers"], config["patch_size"]) if "vace_layers" in config else {}
        output: Tensor = module(
            x,
            timestep=timestep,
            encoder_hidden_states=call.context,
            encoder_hidden_states_image=call.extra.get("image"),
            return_dict=False,
            **more,
        )[0]
        return cropped(output[:, :, 1:] if "reference" in call.extra else output, call.x)


def _is_fun(config: Config) -> bool:
    return config["camera"] is not None or config["reference"] is not None


def _patches(video: nn.Conv3d, config: Config) -> FunPatches:
    """The first layer, without weights."""
    width, patch = video.out_channels, config["patch_size"]
    camera, reference = config["camera"], config["reference"]
    return FunPatches(
        video,
        None if camera is None else CameraAdapter(camera, width, patch, config["camera_blocks"]),
        None if reference is None else nn.Conv2d(reference, width, kernel_size=patch[1:], stride=patch[1:]),
    )


def _shown(options: Mapping[str, Any], job: Job, channels: int) -> Tensor:
    """So many channels beside x: one or more latents, and before the last one its mask where there is room."""
    each = job.latent_format.channels
    count, rest = divmod(channels, each)
    latents = beside(options, job, count)
    if not rest:
        return latents
    mask = video_mask(options, job, rest).expand(len(latents), -1, -1, -1, -1)
    return torch.cat([latents[:, : (count - 1) * each], mask, latents[:, (count - 1) * each :]], dim=1)


def _rays(embedding: Tensor, channels: int, job: Job) -> Tensor:
    """The rays of a camera, (1, 24, T, pixels), as channels of the latent's cells, (1, channels, T, H, W).

    Raises:
        ValueError: they are those of a video of another size.
    """
    pixels = job.latent_format.downscale
    frames, height, width = job.shape[-3:]
    if tuple(embedding.shape[2:]) != (frames, height * pixels, width * pixels):
        raise ValueError(
            f"the conditioning's camera is that of {embedding.shape[2]} latent frames of {embedding.shape[4]}x"
            f"{embedding.shape[3]} pixels, the latent has {frames} of {width * pixels}x{height * pixels}: give "
            "WanCameraEmbedding the size of the video"
        )
    rays = nn.functional.pixel_unshuffle(embedding.transpose(1, 2), pixels).transpose(1, 2)
    if rays.shape[1] != channels:
        raise ValueError(f"the camera has {rays.shape[1]} numbers per cell, but the model takes {channels}")
    return rays


def _reference(options: Mapping[str, Any], job: Job) -> Tensor:
    """The latent of a picture that the video is like, (1, C, 1, H, W): the last one; zeros without one."""
    given = options.get("reference_latents")
    if not given:
        return torch.zeros(1, job.latent_format.channels, 1, *job.shape[-2:])
    latent = job.latent_format.process_in(given[-1].to(job.device, torch.float32))
    return fitted(latent[:, :, :1], job.shape)


def _joined(call: NetworkCall, patch: Sequence[int]) -> tuple[Tensor, Tensor]:
    """x with all that is shown beside it, before and behind it; the time (B,), or (B, T) of each of its frames."""
    timestep = frame_times(call)
    beside_x = (call.extra[name] for name in ("concat", "camera") if name in call.extra)
    x = padded(torch.cat([call.x, *beside_x], dim=1), patch)
    for name, before in (("reference", True), ("subjects", False)):
        if name not in call.extra:
            continue
        frames = padded(call.extra[name], patch)
        more = x.new_zeros(len(x), x.shape[1] - frames.shape[1], *frames.shape[2:])
        frames = torch.cat([frames, more], dim=1)
        x = torch.cat([frames, x] if before else [x, frames], dim=2)
        if timestep.ndim == 2:
            times = timestep[:, -1:].expand(-1, frames.shape[2])
            timestep = torch.cat([times, timestep] if before else [timestep, times], dim=1)
    return x, timestep
