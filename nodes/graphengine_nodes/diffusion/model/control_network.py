"""What the networks of CONTROL_NET values have in common."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor

from .model import LatentFormat, NetworkCall, Residuals

if TYPE_CHECKING:
    from graphengine_nodes.diffusion.weights.weights import Component

    from .model import Network

# Any: settings are what SetUnionControlNetType and node packs put there.
Features = tuple[Tensor, ...]
"""What a network has read from the pictures, one entry per picture each."""


class StrengthType(Enum):
    """How the strength counts: alike for all residuals, or the less the earlier its block comes."""

    CONSTANT = 1
    LINEAR_UP = 2


class FitsModel(Protocol):
    """What a CONTROL_NET holds: a network, perhaps one that borrows weights of a MODEL. Its copies share it."""

    @property
    def file(self) -> str:
        """The name of its file, for errors."""

    def fitted(self, network: Network | None) -> ControlNetwork:
        """The network for use beside that of a MODEL, which may be unknown.

        Raises:
            ModelError: it was made for another family, or for another width.
        """


class ControlNetwork(Protocol):
    """A network that steers another one by a picture."""

    @property
    def file(self) -> str:
        """The name of its file, for errors."""

    @property
    def component(self) -> Component:
        """Its weights."""

    @property
    def channels(self) -> int:
        """How many channels its picture has."""

    @property
    def latent_format(self) -> LatentFormat | None:
        """How its picture is scaled once a VAE has encoded it; None when it sees the picture itself."""

    def picture_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the picture for a latent of that width and height."""

    def read(self, picture: Tensor, settings: Mapping[str, Any]) -> Features:
        """What it sees in a picture (N, C, H, W), 0..1 or a latent, on its device and in its dtype."""

    def residuals(self, features: Features, call: NetworkCall, settings: Mapping[str, Any]) -> Residuals:
        """What it adds, of strength 1.

        Raises:
            ValueError: the call is not of the family that the network was made for.
        """
