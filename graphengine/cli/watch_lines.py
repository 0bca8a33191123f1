"""What a watch tells, as lines: what changed, what runs and why, files, and troubles."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from graphengine.cli.console import complain, plural, problem_lines, say
from graphengine.cli.progress import PlainProgress
from graphengine.cli.summary import RunRecord, file_lines
from graphengine.cli.watch_words import MANY, words_of
from graphengine.errors import GraphEngineError, Problem, ValidationFailed, node_label
from graphengine.execution.events import Event, Listener
from graphengine.node.folders import Folders

if TYPE_CHECKING:
    from graphengine.foresight import Foresight
    from graphengine.watch.board import PlanWords

_DOES = {"runs": "will run", "perhaps": "will perhaps run"}

#: Called after a good run with the workflow and the files that it gave.
After = Callable[[Path, Sequence[Path]], None]


class WatchLines:
    """Writes lines: results through `write`, all else through `tell`.

    `progress` gives what hears of the nodes of a run; by default it writes lines, too.
    """

    def __init__(
        self,
        folders: Folders,
        *,
        write: Callable[[str], None] = say,
        tell: Callable[[str], None] = complain,
        after: After | None = None,
        now: Callable[[], float] = time.time,
        progress: Callable[[], Listener] | None = None,
        describe: "Callable[[Foresight], PlanWords]" = words_of,
    ) -> None:
        self._folders, self._write, self._tell = folders, write, tell
        self._after, self._now, self._describe = after, now, describe
        self._new_progress = progress or (lambda: PlainProgress(tell))
        self._record = RunRecord()
        self._progress = self._new_progress()

    def waits(self, file: Path, why: str) -> None:
        """The file cannot be run as it is; the next save is waited for."""
        self._tell(f"{self._label(file)}: {why}; waiting for the next save")

    def refused(self, file: Path, error: GraphEngineError) -> None:
        """The workflow has errors, or a run of it failed; the next save is waited for."""
        if isinstance(error, ValidationFailed):
            for line in problem_lines(error.problems):
                self._tell(line)
        self._tell(f"error: {error.message}")
        if error.hint:
            self._tell(f"  hint: {error.hint}")
        self._tell(f"{self._label(file)}: waiting for the next save")

    def unchanged(self, file: Path) -> None:
        """The file was saved, and runs as before."""
        self._tell(f"{self._label(file)}: saved; nothing changed that its nodes read")

    def planned(self, file: Path, foresight: "Foresight") -> None:
        """What changed since the last run, and what will run now."""
        for line in plan_lines(foresight, self._describe(foresight)):
            self._tell(f"  {line}" if line[0] != "=" else f"{self._label(file)}: {line[1:]}")
        self._record = RunRecord()
        self._progress = self._new_progress()

    def happened(self, event: Event) -> None:
        """The run goes on."""
        self._record(event)
        self._progress(event)

    def overtaken(self, file: Path) -> None:
        """A newer save ended the run."""
        self._tell(f"{self._label(file)}: saved again; starting over")

    def finished(self, file: Path) -> None:
        """The run is over, and all is well."""
        record = self._record
        for line in file_lines(record, self._folders, Path.cwd()):
            self._write(line)
        for node, text in record.texts():
            self._write(f"{node_label(node.node_id, node.class_type)}: {text}")
        counts = f"{len(record.executed)} run, {len(record.cached)} from the cache"
        self._tell(f"{self._label(file)}: {record.seconds:.2f} s; {counts}")
        if self._after is not None:
            self._after(file, record.files(self._folders))

    def reloaded(self, packs: Collection[str], problems: Sequence[Problem]) -> None:
        """The code of these packs changed and is in use; with problems, the old code stays."""
        names = ", ".join(packs)
        if not problems:
            self._tell(f"code of {names} changed, and is loaded anew")
            return
        for line in problem_lines(problems):
            self._tell(line)
        self._tell(f"code of {names} changed and cannot be loaded; the code from before stays in use")

    def _label(self, file: Path) -> str:
        return f"{time.strftime('%H:%M:%S', time.localtime(self._now()))} {file.name}"


def plan_lines(foresight: "Foresight", words: "PlanWords") -> Iterator[str]:
    """How many nodes run, behind a `=`, then the first of them with the reasons; those that changed come first."""
    running = [node_id for node_id, each in foresight.of.items() if each.fate in _DOES]
    counts = [f"{sum(foresight.of[node_id].fate == fate for node_id in running)} {word}"
              for fate, word in (("runs", "to run"), ("perhaps", "perhaps"))]  # fmt: skip
    cached = sum(each.fate == "cached" for each in foresight.of.values())
    yield "=" + ", ".join([*(text for text in counts if not text.startswith("0 ")), f"{cached} cached"])
    itself = set(words.itself)
    for node_id in [*words.itself, *(node_id for node_id in running if node_id not in itself)][:MANY]:
        yield f"{foresight.now.label(node_id)} {_DOES[foresight.of[node_id].fate]}: {words.why[node_id]}"
    if len(running) > MANY:
        yield f"and {plural(len(running) - MANY, 'more node')}"
