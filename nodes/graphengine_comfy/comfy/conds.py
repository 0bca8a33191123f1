"""Values that go with a conditioning into the network."""

import math
from collections.abc import Sequence
from typing import Any

from graphengine_comfy._placeholders import placeholders_of


# Any throughout: a condition is a tensor or whatever a pack gives.
class CONDRegular:
    """A tensor (1, …), repeated for the batch."""

    def __init__(self, cond: Any) -> None:
        self.cond = cond

    def process_cond(self, batch_size: int, device: Any = None, **options: Any) -> "CONDRegular":
        """The condition for a batch, on the device."""
        cond = self.cond.repeat((-(-batch_size // len(self.cond)),) + (1,) * (self.cond.ndim - 1))[:batch_size]
        return type(self)(cond if device is None else cond.to(device))

    def can_concat(self, other: "CONDRegular") -> bool:
        """Whether both can go through the network together."""
        return bool(self.cond.shape == other.cond.shape)

    def concat(self, others: "Sequence[CONDRegular]") -> Any:
        """The values of all, one behind the other."""
        import torch  # packs of plain Python import this module too

        return torch.cat([self.cond, *(other.cond for other in others)])

    def size(self) -> list[int]:
        """The shape."""
        return list(self.cond.size())


class CONDCrossAttn(CONDRegular):
    """Text states (B, T, D); those of other lengths are repeated to a common one."""

    def can_concat(self, other: CONDRegular) -> bool:
        """Whether both can be repeated to a common length that is not much longer."""
        ours, theirs = self.cond.shape, other.cond.shape
        if (ours[0], ours[2]) != (theirs[0], theirs[2]):
            return False
        return bool(math.lcm(ours[1], theirs[1]) <= 4 * min(ours[1], theirs[1]))

    def concat(self, others: Sequence[CONDRegular]) -> Any:
        """The values of all, one behind the other."""
        import torch  # packs of plain Python import this module too

        all_conds = [self.cond, *(other.cond for other in others)]
        length = math.lcm(*(cond.shape[1] for cond in all_conds))
        return torch.cat([cond.repeat(1, length // cond.shape[1], 1) for cond in all_conds])


class CONDConstant(CONDRegular):
    """Any value, the same for all."""

    def process_cond(self, batch_size: int, device: Any = None, **options: Any) -> "CONDConstant":
        """The same value."""
        return type(self)(self.cond)

    def can_concat(self, other: CONDRegular) -> bool:
        """Whether both are equal."""
        return bool(self.cond == other.cond)

    def concat(self, others: Sequence[CONDRegular]) -> Any:
        """The value."""
        return self.cond

    def size(self) -> list[int]:
        """It has no shape."""
        return [1]


__getattr__ = placeholders_of(__name__)
