"""Check the nodes of a pack: what they declare, and what they do with fixed and generated inputs."""

import importlib.util
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time

from graphengine.engine import Engine
from graphengine.errors import GraphEngineError
from graphengine.node.definition import NodeDefinition
from graphengine.packs.load import LoadedPack
from graphengine.packs.time_limits import TimeIsUp
from graphengine.testing import samples
from graphengine.testing.cases import Case, Cases, corner_cases, sizes
from graphengine.testing.checks import Finding, NodeReport, SwitchedOff, place_of, switched_off
from graphengine.testing.deadlines import NO_DEADLINE, Deadline, Told
from graphengine.testing.declarations import declared_findings
from graphengine.testing.engines import loaded_pack, pack_at, temporary_engine
from graphengine.testing.models import NoValue, Values
from graphengine.testing.trials import Trial
from graphengine.testing.watching import Watch

EXAMPLES = 5
_UNFIT = frozenset({"signature", "input_types", "return_types"})
_SECONDS = 20.0  # of the processor: a node that took more is called with no further case
_PATIENCE = 120.0  # seconds of the clock for all cases of a node, or twice the deadline of a call if that is more


@dataclass(frozen=True, slots=True)
class Contract:
    """The checks of one pack. `off` are those that do not count, `examples` how many inputs are generated.

    `deadline` is how long each call of a node's code may take.
    """

    engine: Engine
    pack: LoadedPack
    off: SwitchedOff
    values: Values
    examples: int = EXAMPLES
    deadline: Deadline = NO_DEADLINE

    @property
    def root(self) -> Path:
        """The folder or file that the pack's code is in."""
        return (self.pack.pack.path or self.pack.code.source.root).resolve()

    @property
    def class_types(self) -> list[str]:
        """The nodes that there are, those that could not be read as well."""
        return list(self.pack.classes)

    def check(self, class_type: str) -> NodeReport:
        """All that is wrong with one node."""
        node_class = self.pack.classes[class_type]
        definition = next((d for d in self.pack.definitions if d.class_type == class_type), None)
        notes: list[str] = []
        calls = 0
        try:
            with self.deadline.of("INPUT_TYPES"):
                told = list(declared_findings(node_class, definition))
            if definition is None:
                problems = [p for p in self.pack.problems if p.class_type == class_type]
                told += [("input_types", problem.message) for problem in problems if not told]
            elif not self._is_unfit(class_type, told):
                called, notes, calls = self._called(definition)
                told += called
        except TimeIsUp as error:  # calls say it themselves; this is INPUT_TYPES, IS_CHANGED or VALIDATE_INPUTS
            told = [self.deadline.missed("asking the class", error, self.root)]
        return self._report(class_type, told, notes, calls)

    def _is_unfit(self, class_type: str, told: Iterable[Told]) -> bool:
        """Whether what a node declares is too wrong to call it; what is switched off is as it is meant to be."""
        reasons, _ = self.off.of(class_type, self.pack.classes[class_type])
        return any(code in _UNFIT and code not in reasons for code, _ in told)

    def lost(self, class_type: str, told: str) -> NodeReport:
        """The report of a node that ended the process which checked it."""
        return self._report(class_type, [("comes_back", told)], [], 0)

    def check_all(self) -> Iterator[NodeReport]:
        """The reports of all nodes, one after the other."""
        return (self.check(class_type) for class_type in self.class_types)

    def pack_findings(self) -> list[Finding]:
        """What is wrong with what the pack says of all its nodes."""
        start = self.root / "pyproject.toml" if self.root.is_dir() else self.root
        return [Finding("switched_off", text, file=start) for text in self.off.wrong]

    def _report(self, name: str, told: list[Told], notes: list[str], calls: int) -> NodeReport:
        node_class = self.pack.classes[name]
        reasons, wrong = self.off.of(name, node_class)
        told = [*told, *(("switched_off", text) for text in wrong)]
        file, line = place_of(node_class)
        first = {(code, text.partition(" (with ")[0]): text for code, text in reversed(told)}
        every = [Finding(code, text, name, file, line) for (code, _), text in reversed(first.items())]
        return NodeReport(
            name,
            tuple(finding for finding in every if finding.code not in reasons),
            tuple((finding, reasons[finding.code]) for finding in every if finding.code in reasons),
            tuple(dict.fromkeys(notes)),
            calls,
        )

    def _called(self, definition: NodeDefinition) -> tuple[list[Told], list[str], int]:
        """What calls of a node showed, what could not be tried, and how many cases there were."""
        folders = self.engine.folders
        samples.put_into(folders.input[0])
        models = [path for paths in folders.models.values() for path in paths]
        watch = Watch((folders.temp, folders.output, *folders.input), (self.root, *models))
        trial = Trial(definition, folders, watch, self.root, self.deadline)
        cases = Cases(self.values, folders)
        told: list[Told] = []
        notes: list[str] = []
        calls = 0
        budget = _Budget.of(self.deadline)
        try:
            for case in corner_cases(cases, definition):
                if calls == 0:
                    told += trial.judge_is_changed(case)
                found, refused = trial.judge(case)
                calls += 1
                told += found
                if any(code == "comes_back" for code, _ in found):
                    return told, notes, calls
                if budget.is_spent():
                    return told, [*notes, f"it is slow: {calls} of the cases took all the time there was"], calls
                notes += [] if refused is None else [f"it refuses {case.label}: {refused}"]
        except NoValue as error:
            return told, [f"not called: {error.message}"], calls
        if not told and self.examples and definition.inputs:
            told += _generated(trial, cases, definition, self.examples, budget)
            calls += self.examples
        return told, notes, calls


@dataclass(frozen=True, slots=True)
class _Budget:
    """When to stop trying further cases: what the processor did, and what the clock says."""

    of_the_processor: float
    of_the_clock: float

    @classmethod
    def of(cls, deadline: Deadline) -> "_Budget":
        wait = math.inf if deadline.seconds is None else max(_PATIENCE, 2 * deadline.seconds)
        return cls(process_time() + _SECONDS, perf_counter() + wait)

    def is_spent(self) -> bool:
        return process_time() > self.of_the_processor or perf_counter() > self.of_the_clock


def contract_of(root: Path, pack: Path, examples: int = EXAMPLES, deadline: Deadline = NO_DEADLINE) -> Contract:
    """The checks of the pack at a path, with an engine whose folders lie below `root`. Imports the pack.

    Raises:
        GraphEngineError: there is no pack, or it cannot be imported.
    """
    engine = temporary_engine(root, pack)
    loaded = loaded_pack(engine, pack_at(pack).name)
    return Contract(engine, loaded, switched_off(pack), Values(engine), examples, deadline)


def contract_of_installed(
    engine: Engine, name: str, examples: int = EXAMPLES, deadline: Deadline = NO_DEADLINE
) -> Contract:
    """The checks of an installed pack, the built-in `image` for instance.

    Raises:
        PackError: there is no such pack, or it cannot be imported.
    """
    return Contract(engine, loaded_pack(engine, name), SwitchedOff({}), Values(engine), examples, deadline)


def _generated(
    trial: Trial, cases: Cases, definition: NodeDefinition, examples: int, budget: _Budget
) -> list[Told]:
    """What generated inputs show first that is wrong, as far as time allows; nothing without hypothesis."""
    if importlib.util.find_spec("hypothesis") is None:
        return []
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as st

    shown: list[list[Told]] = []

    class Wrong(Exception):
        """Tells hypothesis that a case shows something."""

    @st.composite
    def drawn(draw: st.DrawFn) -> Case:
        return cases.drawn(definition, draw(sizes()), draw)

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(drawn())
    def try_one(case: Case) -> None:
        if budget.is_spent():
            return
        found, _ = trial.judge(case)
        if found:
            shown.append([(code, f"{text} {_shown(case)}") for code, text in found])
            raise Wrong

    try:
        try_one()
    except (Wrong, GraphEngineError):
        return shown[-1] if shown else []
    return []


def _shown(case: Case) -> str:
    """The inputs of a generated case, in short."""
    parts = []
    for name, value in list(case.inputs.items())[:6]:
        shape = getattr(value, "shape", None)
        plain = isinstance(value, str | int | float | bool)
        parts.append(f"{name}={tuple(shape) if shape is not None else repr(value)[:40] if plain else '…'}")
    return f"[{', '.join(parts)}]"
