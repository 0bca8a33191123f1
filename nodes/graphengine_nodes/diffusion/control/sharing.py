"""Controls and text boxes that the positive side of a run lends to the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphengine_nodes.diffusion.model.model import Conditioning


def share_controls(conditionings: Mapping[str, Conditioning]) -> dict[str, Conditioning]:
    """The conditionings, with the positive side's controls on the other sides where they ask for that.

    A conditioning whose "control_apply_to_uncond" is set lends its control to the other sides, in turn to each of
    their conditionings without an area; a side that has a control of its own borrows none. GLIGEN's boxes are
    always lent.
    """
    positive = [options for _, options in conditionings.get("positive", ()) if "area" not in options]
    asking = [options for options in positive if options.get("control_apply_to_uncond")]
    lent = {
        "control": [options["control"] for options in asking if options.get("control")],
        "gligen": [options["gligen"] for options in positive if options.get("gligen")],
    }
    shared = dict(conditionings)
    for name, values in lent.items():
        for side in shared.keys() - {"positive"}:
            shared[side] = _borrowed(shared[side], name, values)
    return shared


# Any: the options of a conditioning are whatever nodes put there.
def _borrowed(conditioning: Conditioning, name: str, lent: Sequence[Any]) -> Conditioning:
    free = [place for place, (_, options) in enumerate(conditioning) if "area" not in options]
    if not lent or not free or any(conditioning[place][1].get(name) for place in free):
        return conditioning
    shared = list(conditioning)
    for number, value in enumerate(lent):
        states, options = conditioning[free[number % len(free)]]
        entry = (states, {**options, name: value})
        if number < len(free):
            shared[free[number]] = entry
        else:  # more of them than conditionings: the later ones act on copies
            shared.append(entry)
    return shared
