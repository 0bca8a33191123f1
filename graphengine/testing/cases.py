"""Inputs to call a node with: its defaults, corners that break code, and what hypothesis makes of its types.

The corners are a picture of one pixel, an odd size, a batch of three, least and greatest numbers, empty and
foreign texts. All pictures, masks and latents of a case have one size, as in a workflow.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from graphengine.node.definition import NodeDefinition
from graphengine.node.dynamic import live_inputs
from graphengine.node.folders import Folders
from graphengine.node.inputs import InputSpec
from graphengine.node.types import type_members
from graphengine.testing import fakes
from graphengine.testing.models import NoValue, Values

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

Number = Literal["default", "least", "most"]
_REACH = 8  # how far numbers go where a range says nothing smaller: a size of 16384 would test the memory
_GROWN = 3
_UNICODE = "Ünïcødé, 猫 🍎\n(a:1.2)"


@dataclass(frozen=True, slots=True)
class Corner:
    """How the inputs of one case are chosen."""

    label: str
    width: int = 32
    height: int = 32
    batch: int = 1
    number: Number = "default"
    text: str | None = None
    choice: int = 0
    with_optional: bool = False


DEFAULTS = Corner("defaults")
CORNERS = (
    DEFAULTS,
    Corner("a picture of one pixel, least numbers, empty texts", 1, 1, 1, "least", "", 1, with_optional=True),
    Corner("an odd size, greatest numbers, foreign texts", 7, 5, 1, "most", _UNICODE, 2, with_optional=True),
    Corner("a batch of 3", 16, 8, 3, "default", "text", -1, with_optional=True),
)

# Any throughout: inputs are of all types.


@dataclass(frozen=True, slots=True)
class Case:
    """Inputs of one call by their flat names, and how they came about."""

    label: str
    inputs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Cases:
    """Makes the cases of nodes. `folders` are where choices that are files are looked for."""

    values: Values
    folders: Folders

    def corner(self, definition: NodeDefinition, corner: Corner) -> Case:
        """The case of a corner.

        Raises:
            NoValue: a required input has a type that there is nothing for, or no choice.
        """

        def pick(spec: InputSpec) -> Any:
            return self._at_corner(spec, corner)

        return Case(corner.label, self._inputs(definition, pick, lambda spec: corner.with_optional))

    def drawn(self, definition: NodeDefinition, size: tuple[int, int, int], draw: "DrawFn") -> Case:
        """A case that hypothesis draws; `size` is the width, height and batch of its pictures.

        Raises:
            NoValue: as `corner`.
        """
        from hypothesis import strategies as st  # in the extra `testing`

        def pick(spec: InputSpec) -> Any:
            return self._drawn(spec, size, draw)

        inputs = self._inputs(definition, pick, lambda spec: draw(st.booleans()))
        return Case("generated inputs", inputs)

    def _inputs(
        self, definition: NodeDefinition, pick: Callable[[InputSpec], Any], is_wanted: Callable[[InputSpec], bool]
    ) -> dict[str, Any]:
        """Values for all required inputs and the optional ones that are wanted, as far as there is something."""
        inputs: dict[str, Any] = {}
        left_out: set[str] = set()
        for _ in range(16):  # a choice brings inputs along, which may be choices
            live = live_inputs(definition, inputs)
            new = [spec for spec in live.values() if spec.name not in inputs and spec.name not in left_out]
            if not new:
                return inputs
            for spec in new:
                try:
                    if spec.required or (not _is_one_too_many(spec.name, live, inputs) and is_wanted(spec)):
                        inputs[spec.name] = pick(spec)
                        continue
                except NoValue:
                    if spec.required:
                        raise
                left_out.add(spec.name)
        return inputs

    def _at_corner(self, spec: InputSpec, corner: Corner) -> Any:
        options = spec.options
        if spec.choices is not None:
            names = self._names(spec)
            default = options.get("default")
            at_default = corner is DEFAULTS and default in names
            chosen = default if at_default else names[corner.choice % len(names)]
            return [chosen] if spec.takes_many else chosen
        match spec.type:
            case "INT" | "FLOAT":
                return numbers_of(spec)[corner.number]
            case "STRING":
                return options.get("default", "") if corner.text is None else corner.text
            case "BOOLEAN":
                default = bool(options.get("default", False))
                return default if corner is DEFAULTS else not default
        return self._of_size(spec, (corner.width, corner.height, corner.batch))

    def _drawn(self, spec: InputSpec, size: tuple[int, int, int], draw: "DrawFn") -> Any:
        from hypothesis import strategies as st

        if spec.choices is not None:
            chosen = draw(st.sampled_from(self._names(spec)))
            return [chosen] if spec.takes_many else chosen
        if spec.type in ("INT", "FLOAT"):
            numbers = numbers_of(spec)
            if spec.type == "INT":
                return draw(st.integers(numbers["least"], numbers["most"]))
            return draw(st.floats(numbers["least"], numbers["most"], allow_nan=False, allow_subnormal=False))
        if spec.type == "STRING":
            return draw(st.text(max_size=20))
        return draw(st.booleans()) if spec.type == "BOOLEAN" else self._of_size(spec, size)

    def _names(self, spec: InputSpec) -> Sequence[Any]:
        choices = spec.choices
        names: Sequence[Any] = ()
        if choices is not None:
            names = choices if isinstance(choices, tuple) else choices.names(self.folders)
        if not names:
            raise NoValue(f"input {spec.name!r} has nothing to choose from")
        return names

    def _of_size(self, spec: InputSpec, size: tuple[int, int, int]) -> Any:
        width, height, batch = size
        members = type_members(spec.link_type)
        seed = sum(map(ord, spec.name))  # pictures of one node differ
        if "IMAGE" in members:
            return fakes.image(width, height, batch, seed=seed)
        if "MASK" in members:
            return fakes.mask(width, height, batch, seed=seed)
        if "LATENT" in members:
            return fakes.latent(width, height, batch, seed=seed)
        return self.values.of_input(spec)


def _is_one_too_many(name: str, live: Mapping[str, InputSpec], inputs: Mapping[str, Any]) -> bool:
    """Whether enough of what one input grows is there: it may grow a hundred, and three show a list."""
    parent = name.rpartition(".")[0]
    grows = parent and parent not in live  # a choice brings inputs along too, and is an input itself
    return bool(grows) and sum(other.startswith(f"{parent}.") for other in inputs) >= _GROWN


def sizes() -> "SearchStrategy[tuple[int, int, int]]":
    """Widths, heights and batches of pictures: one pixel, odd sizes and batches of three among them."""
    from hypothesis import strategies as st  # in the extra `testing`

    return st.tuples(st.integers(1, 24), st.integers(1, 24), st.integers(1, 3))


def numbers_of(spec: InputSpec) -> dict[Number, Any]:
    """The default, and numbers at the ends of the range, or not far from the default where it is wide."""
    whole = spec.type == "INT"
    least, most = spec.options.get("min"), spec.options.get("max")
    default = spec.options.get("default")
    if default is None:
        default = min(max(least if least is not None else 1, 1), most if most is not None else 1)
    low = min(default, -_REACH) if least is None else max(least, min(default, -_REACH))
    high = max(default, low, _REACH) if most is None else min(most, max(default, low, _REACH))
    if most is not None and whole and "seed" in spec.name:
        high = most  # seeds are of any size, and overflow where code takes them for 32 bits
    kind = int if whole else float
    return {"default": kind(default), "least": kind(low), "most": kind(max(low, high))}


def corner_cases(cases: Cases, definition: NodeDefinition) -> Iterator[Case]:
    """The fixed cases of a node, each once.

    Raises:
        NoValue: a required input has a type that there is nothing for.
    """
    for corner in CORNERS:
        yield cases.corner(definition, corner)
        if not definition.inputs:
            return
