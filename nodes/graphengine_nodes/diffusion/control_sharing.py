"""Controls that the positive side of a run lends to the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .model import Conditioning, ControlSource


def share_controls(conditionings: Mapping[str, Conditioning]) -> dict[str, Conditioning]:
    """The conditionings, with the positive side's controls on the other sides where they ask for that.

    A conditioning whose "control_apply_to_uncond" is set lends its control to the other sides, in turn to each of
    their conditionings without an area; a side that has a control of its own borrows none.
    """
    lent = [
        options["control"]
        for _, options in conditionings.get("positive", ())
        if options.get("control_apply_to_uncond") and options.get("control") and "area" not in options
    ]
    return {side: given if side == "positive" else _borrowed(given, lent) for side, given in conditionings.items()}


def _borrowed(conditioning: Conditioning, lent: Sequence[ControlSource]) -> Conditioning:
    free = [place for place, (_, options) in enumerate(conditioning) if "area" not in options]
    if not free or any(conditioning[place][1].get("control") for place in free):
        return conditioning
    shared = list(conditioning)
    for number, control in enumerate(lent):
        states, options = conditioning[free[number % len(free)]]
        entry = (states, {**options, "control": control})
        if number < len(free):
            shared[free[number]] = entry
        else:  # more controls than conditionings: the later ones act on copies
            shared.append(entry)
    return shared
