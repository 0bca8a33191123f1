"""The values that nodes exchange, by the names under which packs annotate and make them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NotRequired, TypeAlias, TypedDict

from graphengine_comfy._v3 import video

if TYPE_CHECKING:
    from torch import Tensor

#: IMAGE, float32 (B, H, W, C) in 0..1, and MASK, float32 (B, H, W) in 0..1. Any: torch is not imported for a name.
ImageInput = Any
MaskInput = Any


class LatentInput(TypedDict):
    """LATENT: `samples` float32 (B, C, H, W)."""

    samples: "Tensor"
    noise_mask: NotRequired["Tensor"]
    batch_index: NotRequired[list[int]]


@dataclass
class Mesh:
    """MESH: `vertices` (B, N, 3) and `faces` (B, M, 3)."""

    vertices: "Tensor"
    faces: "Tensor"


@dataclass
class Voxel:
    """VOXEL: `data` (B, X, Y, Z)."""

    data: "Tensor"


class Input:
    """What nodes are given, for annotations."""

    Image: TypeAlias = ImageInput
    Mask: TypeAlias = MaskInput
    Latent: TypeAlias = LatentInput
    Audio: TypeAlias = video.AudioInput
    Video: TypeAlias = video.VideoInput


class InputImpl:
    """How nodes make what has a class of its own."""

    VideoFromFile: TypeAlias = video.VideoFromFile
    VideoFromComponents: TypeAlias = video.VideoFromComponents


class Types:
    """Parts of values."""

    VideoCodec: TypeAlias = video.VideoCodec
    VideoContainer: TypeAlias = video.VideoContainer
    VideoComponents: TypeAlias = video.VideoComponents
    MESH: TypeAlias = Mesh
    VOXEL: TypeAlias = Voxel
