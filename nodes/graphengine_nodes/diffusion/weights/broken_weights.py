"""What to say when a network gives numbers that are none: which of its weights are broken."""

from __future__ import annotations

from torch import Tensor

from graphengine.node.api import ModelError

from .weights import Component

_NAMED = 4  # how many tensors an error names


def check_result(result: Tensor, component: Component, file: str) -> None:
    """Look for broken weights where a result is not a number; one that no weight is to blame for may stay so.

    The weights are looked at in that case only, since reading them all takes seconds.

    Raises:
        ModelError: some weights are not finite; it names the file and the first of them.
    """
    if not result.isnan().any():
        return
    broken = [name for name in component.shapes() if not component.weight(name).isfinite().all()]
    if not broken:
        return
    more = f" and {len(broken) - _NAMED} more" if len(broken) > _NAMED else ""
    raise ModelError(
        f"model file {file!r} is damaged: not all weights are numbers in {', '.join(broken[:_NAMED])}{more}",
        hint="a merge or a conversion went wrong, or a patch of the weights did; use another file",
    )
