"""Runs of a history, and what differs between two, in words."""

from collections.abc import Iterator
from datetime import datetime

from graphengine.provenance.history.comparison import Differing
from graphengine.provenance.history.past_run import PastRun
from graphengine.workflow.json_text import one_line

_LONGEST = 60  # letters of a value
_SHORT = 12  # digits of a hash


def short_id(run: PastRun) -> str:
    """The end of a run's id, by which it can be named too."""
    return run.id.rpartition("-")[2] or run.id


def when(started: float) -> str:
    """A moment on this machine's clock: `2026-11-22 20:59:37`."""
    try:
        return f"{datetime.fromtimestamp(started):%Y-%m-%d %H:%M:%S}"
    except (OverflowError, OSError, ValueError):  # a record that was edited
        return str(started)


def counts(run: PastRun) -> str:
    """`9 run, 2 cached`."""
    ran = sum(node.state == "executed" for node in run.nodes.values())
    cached = sum(node.state in ("cached", "cut off", "equal") for node in run.nodes.values())
    return f"{ran} run" + (f", {cached} cached" if cached else "")


def fact_text(fact: Differing) -> str:
    """`6.seed 1 → 2`, `pack image: code 48079bbc8e12 → 51c2…`, `git commit 81500cbb77aa → 067a2213d0e1`."""
    name = {"set": fact.name, "seed": fact.name, "file": fact.name}.get(fact.group, f"{fact.group} {fact.name}")
    if fact.group in ("workflow", "lock"):
        name = f"the {'workflow' if fact.group == 'workflow' else 'lock file'}"
    return f"{name} {value_text(fact.old)} → {value_text(fact.new)}"


def value_text(value: object) -> str:
    """A value, shortened; a hash by its first digits."""
    if value is None:
        return "none"
    if isinstance(value, str):
        is_hash = len(value) in (40, 64) and all(digit in "0123456789abcdef" for digit in value)
        text = value[:_SHORT] if is_hash else value
    else:
        text = one_line(value)  # type: ignore[arg-type]  # JSON
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def set_texts(run: PastRun) -> Iterator[str]:
    """What was set for a run: `6.seed=7`."""
    yield from (f"{name}={value_text(value)}" for name, value in run.parameters.items())
