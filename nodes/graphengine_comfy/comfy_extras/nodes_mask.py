"""Node classes of masks, and the composition of pictures or latents."""

from typing import TYPE_CHECKING, Any

from graphengine_comfy._node_classes import class_or
from graphengine_comfy._placeholders import placeholders_of

if TYPE_CHECKING:
    from torch import Tensor


def composite(
    destination: "Tensor",
    source: "Tensor",
    x: int,
    y: int,
    mask: "Tensor | None" = None,
    multiplier: int = 8,
    resize_source: bool = False,
) -> "Tensor":
    """The destination (B, C, H, W) with the source at a place in pixels, where a mask (B, H, W) says so.

    `multiplier` is how many pixels a cell has.
    """
    from graphengine_nodes.image.compositing import composite as compose  # brings torch

    return compose(destination, source, x, y, mask, multiplier, resize_source=resize_source)


_give = class_or(placeholders_of(__name__))


# Any: a class or a placeholder.
def __getattr__(name: str) -> Any:
    """The class of a node type of the engine, or a placeholder."""
    return _give(name)
