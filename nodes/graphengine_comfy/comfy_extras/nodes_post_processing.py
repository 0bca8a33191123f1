"""Node classes of picture filters, and the weights of a blur."""

from typing import TYPE_CHECKING, Any

from graphengine_comfy._node_classes import class_or
from graphengine_comfy._placeholders import placeholders_of

if TYPE_CHECKING:
    from torch import Tensor


# Any: a device of torch; a class or a placeholder.
def gaussian_kernel(kernel_size: int, sigma: float, device: Any = None) -> "Tensor":
    """Weights (kernel_size, kernel_size) of a Gaussian whose centre is that of the square; `sigma` in half sides.

    They add up to 1.
    """
    import torch  # packs of plain Python import this module too

    places = torch.linspace(-1, 1, kernel_size, device=device)
    line = torch.exp(-(places**2) / (2 * sigma**2))
    weights = line[:, None] * line[None, :]
    return weights / weights.sum()


_give = class_or(placeholders_of(__name__))


def __getattr__(name: str) -> Any:
    """The class of a node type of the engine, or a placeholder."""
    return _give(name)
