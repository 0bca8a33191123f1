"""Call a node with a case and judge what it gives, does and raises."""

import inspect
import io
import linecache
import math
import re
import traceback
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from graphengine.errors import GraphEngineError
from graphengine.execution.dynamic_prompt import DynamicPrompt
from graphengine.execution.hidden import HiddenValues, RunExtra
from graphengine.execution.keys import call_with_known
from graphengine.execution.purity_values import compare, copy_value
from graphengine.node.api import ExecutionBlocker, NodeContext, current_context
from graphengine.node.definition import NodeDefinition
from graphengine.node.dynamic import nested_inputs
from graphengine.node.folders import Folders
from graphengine.packs.time_limits import TimeIsUp
from graphengine.testing.cases import Case
from graphengine.testing.deadlines import NO_DEADLINE, Deadline, Told, place_in
from graphengine.testing.layouts import wrong_value
from graphengine.testing.watching import Watch, Watched, random_states, random_states_kept, set_seeds
from graphengine.workflow.models import NodeId, Workflow, WorkflowNode

_SECONDS_OF_IS_CHANGED = 0.5
_SECONDS_ONCE = 8.0  # of the processor: a call that takes more is not made again
_ROUNDING = 1e-4  # of the spread of numbers: sums in several threads add up in any order
#: How torch and numpy tell that there is no memory; the first raises a RuntimeError.
_NO_MEMORY = re.compile(r"can't allocate memory|not enough memory|unable to allocate", re.IGNORECASE)
_COMPLAINTS = re.compile(r"\b(error|exception|traceback|failed|cannot|could not)\b", re.IGNORECASE)
#: What Python raises by itself where code is wrong; a node that raises one on purpose says more.
_BUGS = (
    AttributeError, IndexError, KeyError, NameError, TypeError, ZeroDivisionError, AssertionError, RecursionError,
    UnicodeError, OverflowError,
)  # fmt: skip

# Any throughout: nodes and what they return are their authors'.


@dataclass(slots=True)
class _Called:
    """One call: what it returned or raised, what was seen, what it printed and how long it took."""

    answer: Any = None
    error: BaseException | None = None
    watched: Watched = field(default_factory=Watched)
    printed: str = ""
    seconds: float = 0.0
    changed: list[str] = field(default_factory=list)
    random: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trial:
    """Tries one node. `root` is where its pack's code is: errors that are raised there on purpose are fine.

    `deadline` is how long each call may take.
    """

    definition: NodeDefinition
    folders: Folders
    watch: Watch
    root: Path
    deadline: Deadline = NO_DEADLINE

    def judge(self, case: Case) -> tuple[list[Told], str | None]:
        """What the node does wrong with a case, as codes and texts; and why it refused the case, if it did."""
        with random_states_kept():
            refusal = self._refused(case)
            if refusal is not None:
                return refusal
            first = self._call(case, seed=1)
            if lost := self._lost(first.error):
                return _labelled([lost], case), None
            found = [*self._of_call(first)]
            if first.error is not None:
                return _labelled(found, case), None if found else _message(first.error)
            found += self._of_answer(first.answer)
            if first.seconds < _SECONDS_ONCE:
                kept = copy_value(_result(first.answer))
                found += self._of_second(self._call(case, seed=2), first, kept, case)
        return _labelled(found, case), None

    def judge_is_changed(self, case: Case) -> Iterator[Told]:
        """What is wrong with `IS_CHANGED`.

        Raises:
            TimeIsUp: it has not ended in time.
        """
        if not self.definition.has_fingerprint:
            return
        literals = _literals(case)
        answers, seconds = [], []
        for _ in range(2):
            start = perf_counter()
            try:
                with self.deadline.of("IS_CHANGED"):
                    answers.append(call_with_known(self._class().IS_CHANGED, literals))
            except Exception as error:  # noqa: BLE001 (a node may raise anything)
                yield "is_changed", f"IS_CHANGED raises {_message(error)}"
                return
            seconds.append(perf_counter() - start)
        both_nan = all(isinstance(answer, float) and math.isnan(answer) for answer in answers)
        if not both_nan and compare(*answers).differences:
            yield (
                "is_changed",
                "IS_CHANGED answers something else the second time; give NaN for a node that always runs",
            )
        if min(seconds) > _SECONDS_OF_IS_CHANGED:
            yield "is_changed", f"IS_CHANGED takes {min(seconds):.1f} s, before every run"

    def _refused(self, case: Case) -> tuple[list[Told], str | None] | None:
        """What `VALIDATE_INPUTS` says against a case; None when it agrees."""
        if not self.definition.checked_by_node:
            return None
        try:
            with self.deadline.of("VALIDATE_INPUTS"):
                answer = call_with_known(self._class().VALIDATE_INPUTS, _literals(case))
        except Exception as error:  # noqa: BLE001 (a node may raise anything)
            return _labelled([("unclear_error", f"VALIDATE_INPUTS raises {_message(error)}")], case), None
        return None if answer is True else ([], str(answer))

    def _class(self) -> type[Any]:
        assert self.definition.load is not None
        return self.definition.load()

    def _call(self, case: Case, seed: int) -> _Called:
        """Call a new object of the class with copies of the inputs."""
        called = _Called()
        inputs = copy_value(dict(case.inputs))
        text = io.StringIO()
        context = NodeContext(node_id="1", folders=self.folders, prompt_id="check")
        token = current_context.set(context)
        set_seeds(seed)
        start = process_time()
        try:
            with (
                redirect_stdout(text),
                redirect_stderr(text),
                self.watch.watching() as called.watched,
                self.deadline.of(f"a call with {case.label}"),
            ):
                called.answer = _invoke(self.definition, self._class()(), inputs, context)
        except (Exception, SystemExit, TimeIsUp) as error:  # noqa: BLE001 (a node may raise anything)
            called.error = error
        finally:
            current_context.reset(token)
        called.seconds = process_time() - start
        called.random = random_states()
        called.printed = text.getvalue()
        called.changed = [name for name, value in case.inputs.items() if compare(value, inputs[name]).differences]
        return called

    def _lost(self, error: BaseException | None) -> Told | None:
        """What is wrong with a call that was interrupted, had no memory left or meant to end the process."""
        if isinstance(error, TimeIsUp):
            return self.deadline.missed("a call", error, self.root)
        if isinstance(error, SystemExit):
            return (
                "comes_back",
                f"ends the process: it raises SystemExit({error.code!r}){place_in(self.root, error)}",
            )
        if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error))):
            return "comes_back", f"takes more memory than there is: {_message(error)}{place_in(self.root, error)}"
        return None

    def _of_call(self, called: _Called) -> Iterator[Told]:
        for name in called.changed:
            yield "changed_input", f"changes its input {name!r} in place"
        yield from called.watched.seen
        if called.error is not None:
            unclear = self._unclear(called.error)
            if unclear:
                yield "unclear_error", unclear
        elif complaint := next((line for line in called.printed.splitlines() if _COMPLAINTS.search(line)), None):
            yield "printed_error", f"prints {complaint.strip()[:100]!r} and goes on"

    def _unclear(self, error: BaseException) -> str | None:
        """Why an exception tells the user nothing; None when somebody raised it on purpose, with a message."""
        if isinstance(error, GraphEngineError):
            return None
        if not str(error).strip():
            return f"raises {type(error).__name__} without a message"
        frames = traceback.extract_tb(error.__traceback__)
        last = frames[-1] if frames else None
        if last is None:
            return f"raises {_message(error)}"
        on_purpose = linecache.getline(last.filename, last.lineno or 0).strip().startswith("raise")
        own = Path(last.filename).resolve().is_relative_to(self.root)
        if on_purpose and own and not isinstance(error, _BUGS[:4]):
            return None
        where = place_in(self.root, error) or f" ({Path(last.filename).name}:{last.lineno})"
        return f"raises {_message(error)}{where}"

    def _of_answer(self, answer: Any) -> Iterator[Told]:
        if isinstance(answer, dict) and answer.get("expand") is not None:
            return  # the nodes in its place are checked themselves
        result, outputs = _result(answer), self.definition.outputs
        if isinstance(result, ExecutionBlocker) or (result is None and not outputs):
            return
        if isinstance(answer, dict) and not answer.keys() & {"ui", "result", "expand"}:
            yield (
                "wrong_result",
                f"returns a dict with {sorted(map(str, answer))[:4]}; there are ui, result and expand",
            )
        elif not isinstance(result, tuple | list):
            yield "wrong_result", f"returns {type(result).__name__} in place of a tuple"
        elif len(result) != len(outputs) and not self.definition.further_output:
            yield "wrong_result", f"returns {len(result)} values, RETURN_TYPES has {len(outputs)}"
        else:
            yield from self._of_values(result)

    def _of_values(self, result: Any) -> Iterator[Told]:
        for index, (spec, value) in enumerate(zip(self.definition.outputs, result, strict=False)):
            label = f"output {index} ({spec.name})"
            if isinstance(value, ExecutionBlocker):
                continue
            if spec.is_list and not isinstance(value, tuple | list):
                yield "wrong_result", f"{label} is a list by OUTPUT_IS_LIST, and {type(value).__name__} is given"
                continue
            for item in value if spec.is_list else (value,):
                yield from ((code, f"{label} {text}") for code, text in wrong_value(spec.type, item))

    def _of_second(self, second: _Called, first: _Called, kept: Any, case: Case) -> Iterator[Told]:
        if lost := self._lost(second.error):
            yield lost
            return
        if second.error is not None:
            yield "not_deterministic", f"a second call raises {_message(second.error)}"
            return
        for name in second.watched.settings:
            yield "global_state", f"changes {name}"
        untouched: dict[str, object] = {}
        set_seeds(2)
        untouched.update(random_states())
        for name, state in second.random.items():
            if state == first.random[name] and state != untouched[name]:
                yield "global_state", f"seeds {name} global generator"
        if self._may_differ(case):
            return
        found = compare(kept, _result(second.answer), _ROUNDING)
        if found.differences:
            yield "not_deterministic", f"gives something else the second time: {found.differences[0]}"

    def _may_differ(self, case: Case) -> bool:
        """Whether the class says that it is no function of its inputs."""
        if not self.definition.pure or self.definition.not_idempotent:
            return True
        if not self.definition.has_fingerprint:
            return False
        try:
            answer = call_with_known(self._class().IS_CHANGED, _literals(case))
        except Exception:  # noqa: BLE001 (a finding of its own)
            return True
        return isinstance(answer, float) and math.isnan(answer)


def _invoke(definition: NodeDefinition, node: Any, inputs: dict[str, Any], context: NodeContext) -> Any:
    """Call the method as a run does, and wait for it if it is a coroutine."""
    nodes = {NodeId("1"): WorkflowNode(definition.class_type, _plain(inputs))}
    hidden = HiddenValues(DynamicPrompt(Workflow(nodes)), RunExtra("check")).of(context, definition)
    many = definition.input_is_list
    values = nested_inputs(definition, {name: [value] for name, value in inputs.items()} if many else inputs)
    if many:
        hidden = {name: value if isinstance(value, NodeContext) else [value] for name, value in hidden.items()}
    answer = getattr(node, definition.function)(**values, **hidden)
    if not inspect.isawaitable(answer):
        return answer
    import asyncio  # few nodes are coroutines

    async def waited() -> Any:
        return await answer

    return asyncio.run(waited())


def _plain(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in inputs.items() if isinstance(value, str | int | float | bool)}


def _literals(case: Case) -> dict[str, Any]:
    """What is known before a run: links count as None."""
    plain = _plain(case.inputs)
    return {name: plain.get(name) for name in case.inputs}


def _result(answer: Any) -> Any:
    return answer.get("result") if isinstance(answer, dict) else answer


def _message(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:160]}" if text else type(error).__name__


def _labelled(found: list[Told], case: Case) -> list[Told]:
    return [(code, f"{text} (with {case.label})") for code, text in found]
