"""`watch --events FILE`: what changed, the plan, and each event of each run, as lines of JSON."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphengine.cli.event_lines import WriteLine
from graphengine.errors import GraphEngineError, Problem, ValidationFailed
from graphengine.execution.events import Event, event_to_json

if TYPE_CHECKING:
    from graphengine.foresight import Foresight
    from graphengine.watch.board import PlanWords


class WatchEvents:
    """An audience that writes all that it hears; `kind` is that of the event, or begins with `watch_`."""

    def __init__(self, write: WriteLine, describe: "Callable[[Foresight], PlanWords]") -> None:
        self._write, self._describe = write, describe

    def waits(self, file: Path, why: str) -> None:
        """The file cannot be run as it is; the next save is waited for."""
        self._tell("waits", file, why=why)

    def refused(self, file: Path, error: GraphEngineError) -> None:
        """The workflow has errors, or a run of it failed; the next save is waited for."""
        problems = error.problems if isinstance(error, ValidationFailed) else ()
        told = [_problem(problem) for problem in problems]
        self._tell("refused", file, message=error.message, hint=error.hint, problems=told)

    def unchanged(self, file: Path) -> None:
        """The file was saved, and runs as before."""
        self._tell("unchanged", file)

    def planned(self, file: Path, foresight: "Foresight") -> None:
        """What changed since the last run, and what will run now."""
        words = self._describe(foresight)
        nodes = [
            {
                "node_id": node_id,
                "class_type": foresight.plan.graph.nodes[node_id].class_type,
                "fate": foreseen.fate,
                "why": words.why[node_id],
                "changed": node_id in words.itself,
            }
            for node_id, foreseen in foresight.of.items()
        ]
        self._tell("planned", file, changed=list(words.changed), nodes=nodes)

    def happened(self, event: Event) -> None:
        """The run goes on."""
        self._write(event_to_json(event))

    def overtaken(self, file: Path) -> None:
        """A newer save ended the run."""
        self._tell("overtaken", file)

    def finished(self, file: Path) -> None:
        """The run is over, and all is well."""
        self._tell("finished", file)

    def reloaded(self, packs: Collection[str], problems: Sequence[Problem]) -> None:
        """The code of these packs changed and is in use; with problems, the old code stays."""
        self._write({"kind": "watch_reloaded", "packs": [*packs], "problems": [*map(_problem, problems)]})

    def tested(self, pack: str, good: bool, lines: Sequence[str]) -> None:
        """The tests of a pack have ended."""
        self._write({"kind": "watch_tested", "pack": pack, "good": good, "lines": [*lines]})

    # Any: what `json` writes.
    def _tell(self, kind: str, file: Path, **more: Any) -> None:
        self._write({"kind": f"watch_{kind}", "file": str(file), **more})


def _problem(problem: Problem) -> dict[str, Any]:
    return {"code": problem.code, "severity": problem.severity, "message": str(problem), "hint": problem.hint}
