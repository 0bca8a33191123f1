"""What a sweep goes through: axes of values, each combination of them a run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

from pydantic import JsonValue

from graphengine.cli.console import plural
from graphengine.cli.overrides import Change, Definitions, find_input, find_only_input
from graphengine.cli.sweep_values import read_values
from graphengine.errors import SettingsError
from graphengine.node.definition import InputSpec
from graphengine.node.secrets import is_secret_input, is_secret_name, without_secret, without_tokens
from graphengine.workflow.models import Link, NodeId, Workflow

Row = tuple[JsonValue, ...]


@dataclass(frozen=True, slots=True)
class SweptInput:
    """An input that gets other values in other runs; `replaced` is the link it had."""

    node_id: NodeId
    class_type: str
    title: str | None
    name: str
    spec: InputSpec | None
    replaced: Link | None = None

    @property
    def address(self) -> str:
        """`6.seed`: what names this input and no other."""
        return f"{self.node_id}.{self.name}"

    def shown(self, value: JsonValue) -> JsonValue:
        """A value as it may be written down: a secret is replaced."""
        if is_secret_name(self.name) or (self.spec is not None and is_secret_input(self.spec)):
            hidden: JsonValue = without_secret(value)
            return hidden
        return without_tokens(value) if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class Axis:
    """Inputs that change together; a row has a value for each."""

    inputs: tuple[SweptInput, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Sweep:
    """All combinations of the rows of its axes, of which the last changes fastest."""

    axes: tuple[Axis, ...]

    @property
    def inputs(self) -> tuple[SweptInput, ...]:
        """The inputs of all axes."""
        return tuple(swept for axis in self.axes for swept in axis.inputs)

    @property
    def count(self) -> int:
        """The number of runs."""
        return prod(len(axis.rows) for axis in self.axes)

    def rows(self) -> Iterator[Row]:
        """The values of each run, in the order of `inputs`."""
        for combination in product(*(axis.rows for axis in self.axes)):
            yield tuple(value for row in combination for value in row)

    def changes(self, row: Row) -> list[Change]:
        """What a run changes in the workflow."""
        return [
            Change(swept.node_id, swept.class_type, swept.name, value, swept.replaced)
            for swept, value in zip(self.inputs, row, strict=True)
        ]


def read_axis(text: str, workflow: Workflow, definitions: Definitions, most: int) -> Axis:
    """The axis that `NODE.INPUT=VALUES` asks for; NODE may be left out when one node alone has such an input.

    Raises:
        SettingsError: the text has another form, or names what is not there.
    """
    place, equals, values = text.partition("=")
    if not equals or not place.strip(". "):
        raise SettingsError(
            f"cannot read --sweep {text!r}", hint="write NODE.INPUT=VALUES, for example KSampler.seed=1..8"
        )
    swept = find_swept(place, workflow, definitions)
    try:
        rows = tuple((value,) for value in read_values(values, swept.spec, most))
    except SettingsError as error:
        raise SettingsError(f"--sweep {place}: {error.message}", hint=error.hint)
    return Axis((swept,), rows)


def find_swept(place: str, workflow: Workflow, definitions: Definitions) -> SweptInput:
    """The input that `NODE.INPUT` or `INPUT` names.

    Raises:
        SettingsError: there is none, or there are several.
    """
    place = place.strip()
    if "." in place:
        node_id, name = find_input(place, workflow, definitions)
    else:
        node_id, name = find_only_input(place, workflow, definitions)
    node = workflow.nodes[node_id]
    definition = definitions.get(node.class_type)
    given = node.inputs.get(name)
    return SweptInput(
        node_id,
        node.class_type,
        node.title,
        name,
        definition.inputs.get(name) if definition else None,
        given if isinstance(given, Link) else None,
    )


def make_sweep(axes: Sequence[Axis], *, zipped: bool, most: int) -> Sweep:
    """The sweep over these axes: their product, or side by side when zipped.

    Raises:
        SettingsError: an input is swept twice, zipped axes differ in length, or there are more than `most` runs.
    """
    sweep = Sweep((_zipped(axes),) if zipped else tuple(axes))
    seen: set[str] = set()
    for swept in sweep.inputs:
        if swept.address in seen:
            raise SettingsError(f"the input {swept.address} is swept twice", hint="give all its values at once")
        seen.add(swept.address)
    if sweep.count > most:
        raise SettingsError(
            f"the sweep has {plural(sweep.count, 'run')}, the limit is {most}",
            hint="take fewer values, or raise --max-runs",
        )
    return sweep


def _zipped(axes: Sequence[Axis]) -> Axis:
    lengths = {len(axis.rows) for axis in axes}
    if len(lengths) > 1:
        told = ", ".join(f"{swept.name}: {len(axis.rows)}" for axis in axes for swept in axis.inputs)
        raise SettingsError(f"--zip takes equally many values of each input, not {told}", hint="leave out --zip")
    inputs = tuple(swept for axis in axes for swept in axis.inputs)
    rows = zip(*(axis.rows for axis in axes), strict=True)
    return Axis(inputs, tuple(tuple(value for row in joined for value in row) for joined in rows))
