"""The first layer of Wan's network in the models of the Fun series, which are shown more than a video's latent.

After VideoX-Fun (Apache-2.0): videox_fun/models/wan_transformer3d.py and wan_camera_adapter.py.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

Patch = tuple[int, int, int]


class CameraAdapter(nn.Module):
    """What is added to the patches of a video for the rays of its camera.

    channels: of rays that were laid out by cell of the latent, see `torch.nn.functional.pixel_unshuffle`.
    """

    def __init__(self, channels: int, width: int, patch: Patch, blocks: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, kernel_size=patch[1:], stride=patch[1:])
        self.residual_blocks = nn.ModuleList(ResidualBlock(width) for _ in range(blocks))

    def forward(self, rays: Tensor) -> Tensor:
        """rays (B, channels, T, H, W) → (B, width, T, H / patch, W / patch)."""
        states: Tensor = self.conv(rays.transpose(1, 2).flatten(0, 1))
        for block in self.residual_blocks:
            states = block(states)
        return states.reshape(len(rays), -1, *states.shape[1:]).transpose(1, 2)


class ResidualBlock(nn.Module):
    """Two convolutions, added to what they are given."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, width, H, W) → the same shape."""
        changed: Tensor = self.conv2(self.conv1(x).relu())
        return x + changed


class FunPatches(nn.Module):
    """Patches of a video, with rays of a camera added and a reference picture before them.

    video: the layer of the plain model. With a reference layer the first frame of x is the reference picture, in
    its first channels. What x has beyond the channels of the video are the rays.
    """

    def __init__(self, video: nn.Conv3d, camera: CameraAdapter | None, reference: nn.Conv2d | None) -> None:
        super().__init__()
        self.video, self.camera, self.reference = video, camera, reference

    def forward(self, x: Tensor) -> Tensor:
        """x (B, channels, T, H, W) → (B, width, T, H / patch, W / patch)."""
        first, channels = x[:, :, 0], self.video.in_channels
        if self.reference is not None:
            x = x[:, :, 1:]
        states: Tensor = self.video(x[:, :channels])
        if self.camera is not None and x.shape[1] > channels:
            states = states + self.camera(x[:, channels:])
        if self.reference is None:
            return states
        picture: Tensor = self.reference(first[:, : self.reference.in_channels])
        return torch.cat([picture[:, :, None], states], dim=2)
