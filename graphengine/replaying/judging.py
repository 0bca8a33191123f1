"""Whether what a run gave is good or bad: the same as a good one's, or as a command says."""

import json
import shlex
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from graphengine.errors import GraphEngineError, RunCancelled, SettingsError
from graphengine.execution.hooks import never
from graphengine.replaying.likeness import content_digest
from graphengine.replaying.minimal import Verdict
from graphengine.replaying.stage import Performance

_PLACE = "{}"
_SKIPPED = 125  # the exit code with which `git bisect run` says that it cannot tell
_TICK = 0.2  # seconds between two looks at whether the user wants to stop


@dataclass(frozen=True, slots=True)
class Observation:
    """What output nodes gave: `files`, digests (hex) of what these hold but for metadata, and what was shown."""

    files: tuple[Path, ...]
    contents: tuple[str, ...]
    shown: str

    def same(self, other: "Observation") -> bool:
        """Whether another one gave the same."""
        return (self.contents, self.shown) == (other.contents, other.shown)


def observe(done: Performance, nodes: Iterable[str]) -> Observation | None:
    """What some nodes gave; None when the run failed.

    Raises:
        FileRefused: a file cannot be read.
    """
    if done.failure is not None:
        return None
    files: list[Path] = []
    shown = []
    for node_id in nodes:
        found = done.files.get(node_id, ())
        files += found
        if not found:
            shown.append([node_id, done.shown.get(node_id)])
    text = json.dumps(shown, sort_keys=True, default=repr)
    return Observation(tuple(files), tuple(content_digest(file) for file in files), text)


class Judge(Protocol):
    """Tells good from bad."""

    def __call__(self, observation: Observation | None) -> Verdict:
        """Whether what a run gave is good, bad, or cannot be told."""


@dataclass(frozen=True, slots=True)
class SameAs:
    """Good is what holds the same as a good one."""

    good: Observation

    def __call__(self, observation: Observation | None) -> Verdict:
        """Good when it is the same."""
        if observation is None:
            return "unclear"
        return "good" if observation.same(self.good) else "bad"


@dataclass(frozen=True, slots=True)
class Metric:
    """A command that judges a file: by the number that it writes, else by its exit code.

    `{}` in `words` stands for the file; without it the file comes last. No shell takes part.
    """

    words: tuple[str, ...]
    is_cancelled: Callable[[], bool] = never

    def measure(self, observation: Observation) -> "Measure":
        """The exit code, and the number in the last line that the command writes.

        Raises:
            GraphEngineError: there is no file to judge, or the command cannot be run.
            RunCancelled: somebody asked to stop.
        """
        if not observation.files:
            raise GraphEngineError("the output saved no file to judge", hint="leave out --metric, or see --output")
        file = str(observation.files[0])
        words = [word.replace(_PLACE, file) for word in self.words]
        if not any(_PLACE in word for word in self.words):
            words.append(file)
        try:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        except OSError as error:
            raise GraphEngineError(
                f"cannot run {words[0]!r}: {error.strerror}", hint="give a program that can be run"
            ) from error
        while True:
            try:
                told, _ = process.communicate(timeout=_TICK)
                return process.returncode, _number(told)
            except subprocess.TimeoutExpired:
                if self.is_cancelled():
                    process.kill()
                    process.communicate()
                    raise RunCancelled from None


def read_metric(text: str, is_cancelled: Callable[[], bool] = never) -> Metric:
    """The command in a text.

    Raises:
        SettingsError: the text is no command.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise SettingsError(f"--metric {text!r}: {error}", hint="close the quotes") from None
    if not words:
        raise SettingsError("--metric is empty", hint='give a command: --metric "python score.py {}"')
    return Metric(tuple(words), is_cancelled)


#: The exit code of a metric, and the number that it wrote, if any.
Measure = tuple[int, float | None]


def judge_by(metric: Metric, good: Measure, bad: Measure) -> Judge:
    """A judge that tells good from bad as the metric does, which measured one of each.

    Raises:
        GraphEngineError: it does not tell them apart.
    """
    (good_code, good_number), (bad_code, bad_number) = good, bad
    if good_code == 0 and bad_code == 0 and good_number is not None and bad_number is not None:
        if good_number == bad_number:
            raise GraphEngineError(f"the metric is {good_number:g} for the good one and for the bad one")
        return _ByNumber(metric, good_number, bad_number)
    if good_code == 0 and bad_code not in (0, _SKIPPED):
        return _ByCode(metric)
    raise GraphEngineError(
        f"the metric ends with {good_code} for the good one and {bad_code} for the bad one, so it tells nothing",
        hint="it is to end with 0 for good and 1 for bad, or to write a number",
    )


@dataclass(frozen=True, slots=True)
class _ByNumber:
    metric: Metric
    good: float
    bad: float

    def __call__(self, observation: Observation | None) -> Verdict:
        code, number = self.metric.measure(observation) if observation is not None else (1, None)
        if code != 0 or number is None:
            return "unclear"
        return "bad" if abs(number - self.bad) < abs(number - self.good) else "good"


@dataclass(frozen=True, slots=True)
class _ByCode:
    metric: Metric

    def __call__(self, observation: Observation | None) -> Verdict:
        code = _SKIPPED if observation is None else self.metric.measure(observation)[0]
        return "unclear" if code == _SKIPPED or code < 0 else "bad" if code else "good"


def _number(text: str) -> float | None:
    lines = [line for line in text.splitlines() if line.strip()]
    try:
        number = float(lines[-1]) if lines else None
    except ValueError:
        return None
    return number if number is not None and number == number else None
