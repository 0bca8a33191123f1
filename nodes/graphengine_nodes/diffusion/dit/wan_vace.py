"""VACE (Jiang et al., 2025): Wan with blocks beside its own that see a video to follow, and its mask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from graphengine_nodes.diffusion.model.model import Extras, Job, NetworkCall

from .layout import Reader
from .packing import padded

_EMBEDDING = "vace_patch_embedding.weight"
_MASK = 64  # the 8 x 8 pixels of a cell

VACE_RENAMES = ((r"\.before_proj\.", ".proj_in."), (r"\.after_proj\.", ".proj_out."))
"""Names in the files → names in WanVACETransformer3DModel."""


# Any: sizes of a module by the names that its class has for them.
def vace_sizes(read: Reader, blocks: int) -> dict[str, Any]:
    """What WanVACETransformer3DModel is told beside; nothing for other models.

    Raises:
        ModelError: the blocks beside do not stand at equal distances.
    """
    if not read.has(_EMBEDDING):
        return {}
    count = read.count(r"vace_blocks\.(\d+)\.")
    if not count or blocks % count:
        raise read.impossible(f"it has {count} blocks of VACE beside {blocks} of its own")
    layers = list(range(0, blocks, blocks // count))
    return {"vace_layers": layers, "vace_in_channels": read.shape(_EMBEDDING, 5)[1]}


# Any: the options of a conditioning are whatever nodes put there.
def vace_extras(options: Mapping[str, Any], job: Job, channels: int) -> Extras:
    """The video to follow with its mask, (1, channels, T, H, W), and how strongly; all free without one.

    Raises:
        ValueError: there are several, or they are of another size.
    """
    frames: Sequence[Tensor] = options.get("vace_frames") or ()
    masks: Sequence[Tensor] = options.get("vace_mask") or ()
    strengths: Sequence[float] = options.get("vace_strength") or (1.0,)
    shape = (1, channels, *job.shape[2:])
    if len(frames) > 1:
        raise ValueError(f"the conditioning holds {len(frames)} videos for VACE to follow; one can be sampled")
    if not frames or not masks:
        free = torch.cat([torch.zeros(1, channels - _MASK, *shape[2:]), torch.ones(1, _MASK, *shape[2:])], dim=1)
        return Extras({}, {"vace": free})
    given = frames[0].to(job.device, torch.float32)
    parts = torch.split(given, job.latent_format.channels, dim=1)
    latents = [job.latent_format.process_in(part) for part in parts]
    control = torch.cat([*latents, masks[0].to(job.device, torch.float32)], dim=1)
    if tuple(control.shape) != shape:
        raise ValueError(
            f"the video for VACE to follow has the shape {list(control.shape)}, the latent needs {list(shape)}: "
            "sample the latent of WanVaceToVideo"
        )
    return Extras({"vace_strength": torch.tensor([float(strengths[0])])}, {"vace": control})


# Any: keyword arguments of a module of diffusers.
def vace_inputs(call: NetworkCall, layers: Sequence[int], patch: Sequence[int]) -> dict[str, Any]:
    """What the module is told of the video to follow."""
    strength = call.extra["vace_strength"][0] if "vace_strength" in call.extra else torch.ones(())
    return {
        "control_hidden_states": padded(call.extra["vace"], patch),
        "control_hidden_states_scale": strength.to(call.x).expand(len(layers)),
    }
