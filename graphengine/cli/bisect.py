"""`graphengine bisect`: finds what changed an output, a difference between two runs or a commit."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphengine.cli.console import complain, plural, say, say_json
from graphengine.cli.interrupt import cancel_on_signals
from graphengine.cli.option_groups import with_option_groups
from graphengine.cli.options import DebugOption, JsonOption, examples
from graphengine.cli.overrides import find_node
from graphengine.cli.replaying_options import ReplayPlaces
from graphengine.cli.trust_options import TrustOptions
from graphengine.errors import SettingsError
from graphengine.provenance.history.history import History
from graphengine.provenance.history.past_run import PastRun

if TYPE_CHECKING:
    from graphengine.replaying.bisect_runs import Found
    from graphengine.replaying.edits import Edit

EXAMPLES = examples(
    "graphengine bisect @7 @1",
    "graphengine bisect v1.2 HEAD workflows/portrait.json",
    "graphengine bisect @7 @1 --output 9 --metric 'python sharpness.py {}'",
)
_SHOWN = 3  # differences of a trial that are named


@with_option_groups
def command(
    good: Annotated[str, typer.Argument(metavar="GOOD", help="A run, or a commit, whose output is good.")],
    bad: Annotated[str, typer.Argument(metavar="BAD", help="A later one whose output is bad.")],
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="With commits: the workflow file to look at.")
    ] = None,
    *,
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric",
            metavar="CMD",
            help="Judge outputs by a command, {} is the file: exit code 0 good, 125 cannot tell, others bad; or a "
            "number that it writes, nearer to that of GOOD or of BAD. Default: bad is what differs from GOOD.",
        ),
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", metavar="NODE", help="The output node to look at. Default: all.")
    ] = None,
    places: ReplayPlaces,
    trusting: TrustOptions,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Find what changed an output.

    Between two runs: the fewest differences of their workflows that change it, else the models, the code or the
    versions that were others. Between two commits: the first one that changes it, of those that touch the workflow
    file, the lock or the packs; documents are read out of git, and your files stay as they are. Each trial is told
    of, and results are shared through the cache. Exit code: 0 found, 1 not.
    """
    with cancel_on_signals() as is_cancelled:
        if file is None:
            asked = _Asked(good, bad, metric, output, is_cancelled, tell=not as_json)
            told = asked.find(places, trusting)
        else:
            from graphengine.cli.bisect_commits import AskedCommits  # another way, which this one does not need

            commits = AskedCommits(good, bad, file, metric, output, is_cancelled, tell=not as_json)
            told = commits.find(places, trusting)
    if as_json:
        say_json(told)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Two runs to compare, and how to judge what they give."""

    good: str
    bad: str
    metric: str | None
    output: str | None
    is_cancelled: Callable[[], bool]
    tell: bool

    # Any: what `json` writes.
    def find(self, places: ReplayPlaces, trusting: TrustOptions) -> dict[str, Any]:
        """What changed the output, also as lines.

        Raises:
            SettingsError: a run is not there.
            GraphEngineError: it cannot be found out.
        """
        from graphengine.replaying.bisect_runs import RunBisection  # brings the engine
        from graphengine.replaying.digests import EarlierDigests
        from graphengine.replaying.judging import read_metric
        from graphengine.replaying.stage import Stage
        from graphengine.replaying.subject import subject_of_run

        history = places.history()
        then, now = (self._run(name, history) for name in (self.good, self.bad))
        metric = None if self.metric is None else read_metric(self.metric, self.is_cancelled)
        files = [history.project / run.file for run in (then, now) if run.file is not None]
        settings = trusting.applied(places.settings(files, cached=True))
        with Stage.opened(settings, history.root) as stage:
            known = stage.engine.registry
            good, bad = (subject_of_run(run, history, known) for run in (then, now))
            output = None if self.output is None else find_node(self.output, good.workflow)
            tell, stop, earlier = self._say_trial, self.is_cancelled, EarlierDigests(history)
            bisection = RunBisection(stage, then, now, good, bad, metric, output, tell, stop, earlier)
            found = bisection.find()
        if self.tell:
            for line in _lines(found, then, now):
                say(line)
        return _json(found, then, now)

    def _run(self, name: str, history: History) -> PastRun:
        try:
            return history.find(name)
        except SettingsError as error:
            raise SettingsError(
                error.message, hint=f"{error.hint}; for commits name the workflow file as well: GOOD BAD FILE"
            ) from None

    def _say_trial(self, number: int, tried: "Sequence[Edit]", verdict: str, left: int) -> None:
        if not self.tell:
            return
        names = "; ".join(edit.told for edit in tried[:_SHOWN])
        more = f" and {len(tried) - _SHOWN} more" if len(tried) > _SHOWN else ""
        complain(f"trial {number}: {names}{more}: {verdict}, {plural(left, 'difference')} left")


def _lines(found: "Found", then: PastRun, now: PastRun) -> Iterator[str]:
    """What was found, for people."""
    outputs = ", ".join(f"node {node_id}" for node_id in found.targets)
    yield f"{then.id} → {now.id}: {outputs}"
    for number, cause in enumerate(found.causes):
        head = "changed by" if number == 0 else "and, by itself, by"
        yield f"{head} {'these together' if len(cause) > 1 else 'this'}:"
        yield from (f"  {edit.told}" for edit in cause)
    if found.causes:
        if found.harmless:
            yield "without effect:"
            yield from (f"  {edit.told}" for edit in found.harmless)
        yield f"{plural(found.trials, 'run')}"
        return
    yield (
        "what the workflows say differently does not change it" if found.harmless else "the workflows say the same"
    )
    if found.first is not None:
        yield f"first node whose recorded output differs: node {found.first}"
    if not found.departures:
        yield "and nothing that was recorded beside them is another one"
    for departure in found.departures:
        yield f"  another one: {departure.told()}"


# Any: what `json` writes.
def _json(found: "Found", then: PastRun, now: PastRun) -> dict[str, Any]:
    return {
        "good": then.id,
        "bad": now.id,
        "outputs": list(found.targets),
        "causes": [[_edit_json(edit) for edit in cause] for cause in found.causes],
        "without_effect": [_edit_json(edit) for edit in found.harmless],
        "first": found.first,
        "departures": [
            {"part": each.part, "name": each.name, "then": each.then, "now": each.now} for each in found.departures
        ],
        "runs": found.trials,
    }


def _edit_json(edit: "Edit") -> dict[str, Any]:
    return {"node_id": edit.node, "inputs": sorted([*edit.inputs, *edit.gone]), "told": edit.told}
