"""How what a recorded node gave is kept: as golden files, with the lines of the test that compare them."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from graphengine.cache.store import Outputs
from graphengine.errors import GraphEngineError, Problem
from graphengine.node.definition import NodeDefinition
from graphengine.node.secrets import is_secret_name
from graphengine.testing.calling import named_outputs
from graphengine.testing.golden import Golden
from graphengine.testing.golden_pictures import is_picture
from graphengine.testing.recorded import comparable, shown
from graphengine.testing.recorded_capture import Captured, KeptItems
from graphengine.testing.recorded_recipe import holds_secret
from graphengine.testing.recorded_source import literal
from graphengine.workflow.models import NodeId

_LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class Tolerances:
    """How far outputs may be off: `rtol` and `atol` as `golden` has them, pictures `psnr` decibels at least."""

    rtol: float = 1e-3
    atol: float = 1e-4
    psnr: float = 40.0

    @classmethod
    def of_device(cls, device: str) -> "Tolerances":
        """What another machine's CPU may differ by from a device."""
        return cls() if device == "cpu" else cls(1e-2, 1e-2, 30.0)


@dataclass(slots=True)
class OutputWriter:
    """Writes golden files into `folder`; `secrets` are texts that must not be written.

    `checks` are the lines of the test, `problems` what could not be kept.
    """

    node_id: NodeId
    definition: NodeDefinition
    folder: Path
    tolerances: Tolerances
    secrets: Collection[str] = ()
    checks: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    _names: set[str] = field(default_factory=set)

    def write(self, captured: Captured) -> None:
        """Keep the outputs and what the node shows, as far as files can hold them."""
        slots = captured.slots or ()
        values = tuple(kept.items() if kept.encoded is not None else (None,) for kept in slots)
        outputs = named_outputs(self.definition, Outputs(values))
        for name, kept in zip(outputs.names, slots, strict=True):
            reason = self._why_not(name, kept)
            if reason is None:
                self.checks.append(self._compared(outputs[name], name))
            else:
                self._refuse(name, kept, reason)
        if captured.ui and not holds_secret(repr(captured.ui), self.secrets):
            self._golden(comparable(shown(captured.ui)), self._free("ui"))
            self.checks.append('golden(comparable(shown(outputs.ui)), "ui")')
        if not self.checks:
            self.checks.append(f"assert len(outputs) == {len(slots)}")

    def _why_not(self, name: str, kept: KeptItems) -> str | None:
        if kept.encoded is None:
            return kept.refusal
        if is_secret_name(name):
            return "it is named as a secret"
        return "a secret of the workflow stands in it" if holds_secret(kept.encoded, self.secrets) else None

    def _refuse(self, name: str, kept: KeptItems, reason: str) -> None:
        """Tell what is not compared; of an object, the test compares the type."""
        hint = None if kept.encoded is not None or kept.is_object else "raise --record-max"
        message = f"output {name!r} is not recorded: {reason}"
        class_type = self.definition.class_type
        self.problems.append(
            Problem("not_recorded", message, self.node_id, class_type, hint=hint, severity="warning")
        )
        if kept.is_object and len(kept.types) == 1:
            self.checks.append(f"assert type(outputs[{literal(name)}]).__name__ == {literal(kept.types[0])}")

    # Any: nodes give whatever they like.
    def _golden(self, value: Any, name: str) -> None:
        Golden(self.folder, self.folder, update=True)(value, name)

    def _compared(self, value: Any, name: str) -> str:
        """Write the golden file of a value; gives the line that compares it."""
        given, kept_as = f"outputs[{literal(name)}]", self._free(name)
        told = self.tolerances
        if is_picture(value):
            if bool(((value >= 0.0) & (value <= 1.0)).all()):
                self._golden(value, kept_as)
                return f"golden({given}, {literal(kept_as)}, psnr={told.psnr:g})"
            value, given = [value], f"[{given}]"  # no picture: its numbers count
        try:
            self._golden(value, kept_as)
        except GraphEngineError:
            value, given = comparable(value), f"comparable({given})"
            self._golden(value, kept_as)
        if isinstance(value, str | bool | int) or value is None:
            return f"golden({given}, {literal(kept_as)})"
        return f"golden({given}, {literal(kept_as)}, rtol={told.rtol:g}, atol={told.atol:g})"

    def _free(self, name: str) -> str:
        """A name for a golden file: what the output is called, as far as a file can be."""
        clean = re.sub(r"[^A-Za-z0-9_]+", "_", name)[:_LONGEST_NAME].strip("_") or "output"
        clean = clean if clean[0].isalpha() else f"output_{clean}"
        tried = (clean if number == 1 else f"{clean}_{number}" for number in count(1))
        chosen = next(each for each in tried if each.lower() not in self._names)
        self._names.add(chosen.lower())
        return chosen
