"""The movements of a camera that Wan's Fun Camera models are told of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Motion:
    """How the world moves in the eyes of the camera, from its first frame to the end of a video at speed 1.

    roll: the turn around the axis of view, in sixths of a circle, clockwise where positive. move: along x (right),
    y (down) and z (away from the camera), in units of 1.5.
    """

    roll: float = 0.0
    move: tuple[float, float, float] = (0.0, 0.0, 0.0)


MOTIONS: Mapping[str, Motion] = MappingProxyType(
    {
        "Static": Motion(),
        "Pan Up": Motion(move=(0.0, 1.0, 0.0)),
        "Pan Down": Motion(move=(0.0, -1.0, 0.0)),
        "Pan Left": Motion(move=(1.0, 0.0, 0.0)),
        "Pan Right": Motion(move=(-1.0, 0.0, 0.0)),
        "Zoom In": Motion(move=(0.0, 0.0, -2.0)),
        "Zoom Out": Motion(move=(0.0, 0.0, 2.0)),
        "Anti Clockwise (ACW)": Motion(roll=1.0),
        "ClockWise (CW)": Motion(roll=-1.0),
    }
)
"""By the names that the node WanCameraEmbedding has for them; the values are those of VideoX-Fun (Apache-2.0)."""
