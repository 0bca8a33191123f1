"""Stable Video Diffusion as a family: a picture becomes a video, one latent per frame in the batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor

from graphengine.node.api import GraphEngineError, ModelError
from graphengine_nodes.diffusion.model.model import DiffusionModel, Extras, Job, LatentFormat, NetworkCall
from graphengine_nodes.diffusion.model.model_sampling_variants import ContinuousSampling
from graphengine_nodes.diffusion.text.embeddings import FindFile
from graphengine_nodes.diffusion.unet.inputs import picture_concat
from graphengine_nodes.diffusion.unet.video_unet import (
    is_video_unet,
    video_unet_config,
    video_unet_module,
    video_unet_names,
)
from graphengine_nodes.diffusion.vae.vae import load_vae
from graphengine_nodes.diffusion.weights.build import assign_weights, compute_dtype, module_shapes
from graphengine_nodes.diffusion.weights.checkpoint import Checkpoint
from graphengine_nodes.diffusion.weights.weights import Component, plain_sources

from .family import Family, Part

_NUMBERS = 3 * 256  # what the vector of fps, motion and augmentation is made of
_SIGMAS = (0.002, 700.0)


@dataclass(frozen=True, slots=True, eq=False)
class VideoNetwork:
    """The UNet of Stable Video Diffusion (a `Network`). context: the width of the embedding that it is told."""

    component: Component
    context: int
    family: str = "svd"

    def with_component(self, component: Component) -> Self:
        """The same UNet with other weights."""
        return replace(self, component=component)

    def load(self) -> None:
        """Make the weights ready."""
        self.component.ready()

    # Any: the options of a conditioning are whatever nodes put there.
    def extras(self, options: Mapping[str, Any], job: Job) -> Extras:
        """Frames per second (counted from 0), motion, augmentation and frames (1, 4); the picture, per frame."""
        told = (options.get("motion_bucket_id", 127), options.get("augmentation_level", 0))
        numbers = [options.get("fps", 6) - 1, *told, job.shape[0]]
        picture = picture_concat(options, job)
        return Extras({"numbers": torch.tensor([numbers], dtype=torch.float32)}, {"concat": picture})

    @torch.no_grad()
    def __call__(self, call: NetworkCall) -> Tensor:
        """The prediction, shaped like call.x: (groups * frames, C, H, W).

        Raises:
            ValueError: the conditioning is none of a picture that CLIP has seen.
            GraphEngineError: the call is about some of the frames only.
        """
        if call.context.shape[-1] != self.context:
            raise ValueError(
                f"the conditioning has {call.context.shape[-1]} numbers per token, but Stable Video Diffusion "
                f"takes {self.context}: take that of the node SVD_img2vid_Conditioning"
            )
        dtype = self.component.dtype
        groups = len(call.options.get("cond_or_uncond", ())) or 1
        frames = len(call.x) // groups
        if frames != int(call.extra["numbers"][0, 3]):  # a part of a video is another video
            raise GraphEngineError(
                "not enough memory to ask the model about all frames of a video at once",
                hint="make fewer or smaller frames, or close other programs that use the device",
            )
        x = torch.cat([call.x, call.extra["concat"].to(call.x)], dim=1)
        module: Any = self.component.ready()
        result: Tensor = module(
            x.to(dtype).reshape(groups, frames, *x.shape[1:]),
            call.timestep[::frames],
            call.context[::frames].to(dtype),
            added_time_ids=call.extra["numbers"][::frames, :3],
            return_dict=False,
        )[0]
        return result.flatten(0, 1).to(call.x.dtype)


def load_video_model(checkpoint: Checkpoint, part: Part, device: str) -> DiffusionModel:
    """The MODEL of Stable Video Diffusion.

    Raises:
        ModelError: the UNet is incomplete, or of a relative that is not known.
    """
    file, names = checkpoint.path.name, video_unet_names(part)
    config = video_unet_config(file, module_shapes(part, names))
    if config.label != _NUMBERS or config.in_channels != 2 * config.out_channels:
        raise ModelError(
            f"model file {file!r} is a relative of Stable Video Diffusion that is not supported: "
            f"it is told a vector of {config.label} numbers and takes {config.in_channels} channels",
            hint="SVD and SVD-XT are supported; SV3D and SV4D are not",
        )
    module = assign_weights(
        "the UNet of Stable Video Diffusion", checkpoint, part, names, lambda: video_unet_module(config)
    )
    dtype = compute_dtype(device, next(module.parameters()).dtype)
    component = Component(module, checkpoint, device=device, dtype=dtype, sources=plain_sources(names))
    sampling = ContinuousSampling.between(*_SIGMAS, "v")
    return DiffusionModel(VideoNetwork(component, config.context), sampling, LatentFormat(), device)


def _no_clip(checkpoint: Checkpoint, device: str, files: FindFile) -> None:
    """There is no text encoder: load the CLIP_VISION with ImageOnlyCheckpointLoader."""


VIDEO_FAMILIES: tuple[Family, ...] = (
    Family("svd", "a Stable Video Diffusion model", is_video_unet, load_video_model, _no_clip, load_vae),
)
