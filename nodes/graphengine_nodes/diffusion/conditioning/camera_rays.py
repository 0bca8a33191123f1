"""What a moving camera sees, as the ray of each pixel: Plücker coordinates.

As He et al. (2024, CameraCtrl) do it, with the numbers of VideoX-Fun, whose models are told of it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from graphengine.node.api import GraphEngineError

from .camera_motions import Motion

_STEP = 1.5  # the unit of a movement
_TURN = math.pi / 3  # the unit of a turn
_FRAMES = 4  # of the video per latent frame
_TAKEN = 1280 / 720  # width by height of the pictures that focal lengths are told for


class Lens(NamedTuple):
    """Focal lengths and the centre of view, in parts of the width and the height of a picture of 16 : 9."""

    fx: float = 0.5
    fy: float = 0.5
    cx: float = 0.5
    cy: float = 0.5


def camera_embedding(motion: Motion, width: int, height: int, length: int, speed: float, lens: Lens) -> Tensor:
    """The rays of a video's pixels, (1, 24, T, height, width): six numbers of each of the four frames of a cell.

    The first frame stands for four. T: latent frames, (length - 1) / 4 + 1. speed: a factor of the movement.

    Raises:
        GraphEngineError: a focal length is 0.
    """
    if not (lens.fx > 0 and lens.fy > 0):
        raise GraphEngineError(
            f"inputs 'fx' and 'fy' are {lens.fx:g} and {lens.fy:g}; a lens has a focal length above 0"
        )
    cells = (length - 1) // _FRAMES + 1
    rays = plucker(_poses(motion, length, speed), _scaled(lens, width, height), width, height)
    video = torch.cat([rays[:1].expand(_FRAMES, -1, -1, -1), rays[1 : (cells - 1) * _FRAMES + 1]])
    return video.reshape(1, cells, _FRAMES * 6, height, width).transpose(1, 2)


def _poses(motion: Motion, length: int, speed: float) -> Tensor:
    """From the eyes of the camera to those of its first frame, (length, 4, 4)."""
    poses = torch.eye(4, dtype=torch.float64).repeat(length, 1, 1)
    part = torch.arange(length, dtype=torch.float64) / length * speed
    angle = part * motion.roll * _TURN
    poses[:, 0, 0] = poses[:, 1, 1] = angle.cos()
    poses[:, 1, 0], poses[:, 0, 1] = angle.sin(), -angle.sin()
    poses[:, :3, 3] = part[:, None] * _STEP * torch.tensor(motion.move, dtype=torch.float64)
    return poses.inverse().float()


def _scaled(lens: Lens, width: int, height: int) -> tuple[float, float, float, float]:
    """The lens in pixels of a picture of this size, cut from one of 16 : 9 of the same height or width."""
    fx, fy = lens.fx, lens.fy
    if width / height < _TAKEN:
        fx = height * _TAKEN * fx / width
    else:
        fy = width / _TAKEN * fy / height
    return fx * width, fy * height, lens.cx * width, lens.cy * height


def plucker(poses: Tensor, lens: tuple[float, float, float, float], width: int, height: int) -> Tensor:
    """Moment and direction of the ray through the middle of each pixel, (N, 6, height, width).

    poses: from the camera to the world, (N, 4, 4). lens: focal lengths and centre, in pixels.
    """
    fx, fy, cx, cy = lens
    rows, columns = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    seen = torch.stack([(columns - cx) / fx, (rows - cy) / fy, torch.ones_like(rows)])
    seen = seen / seen.norm(dim=0)
    directions = torch.einsum("nij,jhw->nihw", poses[:, :3, :3], seen)
    origins = poses[:, :3, 3, None, None].expand_as(directions)
    return torch.cat([torch.linalg.cross(origins, directions, dim=1), directions], dim=1)
