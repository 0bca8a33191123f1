"""Image encoders from files, and pictures as they take them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphengine.node.api import current_context
from graphengine_comfy._node_classes import outside
from graphengine_comfy._placeholders import placeholders_of

if TYPE_CHECKING:
    from torch import Tensor

_MEAN, _DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


# Any: CLIP_VISION is what our loader gives.
def load(ckpt_path: str) -> Any:
    """The CLIP_VISION of a safetensors file: CLIP's vision towers and SigLIP's.

    Raises:
        ModelError: the file is damaged, or holds no image encoder.
    """
    from graphengine_nodes.diffusion.vision.loading import load_vision
    from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint  # brings torch

    return load_vision(open_checkpoint(Path(ckpt_path)), (current_context.get() or outside()).device)


def clip_preprocess(
    image: "Tensor",
    size: int = 224,
    mean: Sequence[float] = _MEAN,
    std: Sequence[float] = _DEVIATION,
    crop: bool = True,
) -> "Tensor":
    """IMAGE (B, H, W, C) in 0..1 as an image encoder takes it: (B, 3, size, size), normalised."""
    from graphengine_nodes.diffusion.vision.vision import preprocess  # brings torch

    return preprocess(image, size, mean, std, crop=crop)


_missing = placeholders_of(__name__)


def __getattr__(name: str) -> Any:
    """`Output` and `ClipVisionModel`, the types of our values, which bring torch; else a placeholder."""
    if name == "Output":
        from graphengine_nodes.diffusion.vision.vision import VisionOutput

        return VisionOutput
    if name == "ClipVisionModel":
        from graphengine_nodes.diffusion.vision.vision import ClipVision

        return ClipVision
    return _missing(name)
