"""The part of `graphengine bisect` that searches commits."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from graphengine.cli.console import complain, plural, say
from graphengine.cli.overrides import find_node
from graphengine.cli.replaying_options import ReplayPlaces
from graphengine.cli.trust_options import TrustOptions
from graphengine.errors import GraphEngineError
from graphengine.provenance.lock_digest import LOCK_FILE
from graphengine.replaying.bisect_revisions import CommitSearch, FirstBad
from graphengine.replaying.judging import Judge, Measure, Metric, Observation, SameAs, judge_by, read_metric
from graphengine.replaying.minimal import Verdict
from graphengine.replaying.repository import Commit, Repository
from graphengine.replaying.revision_runs import Apart, RevisionRuns, Sharing, same_packs
from graphengine.replaying.stage import Stage
from graphengine.settings import Settings
from graphengine.workflow.models import NodeId, Workflow


@dataclass(frozen=True, slots=True)
class AskedCommits:
    """Two commits and a workflow file, and how to judge what it gives."""

    good: str
    bad: str
    file: Path
    metric: str | None
    output: str | None
    is_cancelled: Callable[[], bool]
    tell: bool

    # Any: what `json` writes.
    def find(self, places: ReplayPlaces, trusting: TrustOptions) -> dict[str, Any]:
        """The first bad commit, also as lines.

        Raises:
            SettingsError: a commit is not there, or not before the other.
            GraphEngineError: it cannot be found out.
        """
        repository = Repository.around(self.file)
        name = repository.name_of(self.file)
        good, bad = repository.commit(self.good), repository.commit(self.bad)
        base = (places.base_dir or Path.cwd()).absolute()
        below = "" if base.resolve() == repository.top.resolve() else f"{repository.name_of(base)}/"
        packs = f"{below}custom_nodes"
        commits = repository.between(good, bad, [name, f"{below}{LOCK_FILE}", packs])
        settings = trusting.applied(places.settings([self.file], cached=True))
        metric = None if self.metric is None else read_metric(self.metric, self.is_cancelled)
        if self.tell:
            complain(f"{plural(len(commits), 'commit')} between {good.id[:10]} and {bad.id[:10]} to look at")
        with self._runs(repository, name, below, [good, *commits], settings, places, trusting) as runs:
            first = self._search(runs, good, commits, metric)
        if self.tell:
            for line in _lines(first):
                say(line)
        return _json(first, good, bad, name)

    def _search(self, runs: RevisionRuns, good: Commit, commits: list[Commit], metric: Metric | None) -> FirstBad:
        """Try both ends, then search between them."""
        search = CommitSearch(commits, lambda commit: "unclear", self._say_trial)
        if not commits:
            return search.find()  # raises
        before, good_measure = _tried(runs, good, metric)
        after, bad_measure = _tried(runs, commits[-1], metric)
        judge: Judge = SameAs(before)
        if metric is not None and good_measure is not None and bad_measure is not None:
            judge = judge_by(metric, good_measure, bad_measure)
        elif after.same(before):
            raise GraphEngineError(
                "both commits give the same", hint="name commits whose outputs differ, or see --output"
            )

        def test(commit: Commit) -> Verdict:
            return judge(runs(commit))

        search.test = test
        return search.find()

    @contextmanager
    def _runs(
        self,
        repository: Repository,
        name: str,
        below: str,
        commits: list[Commit],
        settings: Settings,
        places: ReplayPlaces,
        trusting: TrustOptions,
    ) -> Iterator[RevisionRuns]:
        """How commits are run: by one engine, or each apart where their packs differ."""
        packs = f"{below}custom_nodes"
        if same_packs(repository, commits, packs):
            with Stage.opened(settings, places.history().root) as stage:
                yield Sharing(repository, name, stage, self._finder(), self.is_cancelled)
            return
        with TemporaryDirectory(prefix="graphengine-bisect-") as folder:
            options = _options(settings, places, trusting, Path(folder))
            yield Apart(repository, name, below, packs, Path(folder), options, self.output, self.is_cancelled)

    def _finder(self) -> Callable[[Workflow], NodeId] | None:
        output = self.output
        return None if output is None else lambda workflow: find_node(output, workflow)

    def _say_trial(self, number: int, commit: Commit, verdict: Verdict, left: int) -> None:
        if self.tell:
            complain(f"trial {number}: {commit}: {verdict}, {plural(left, 'commit')} left")


def _tried(runs: RevisionRuns, commit: Commit, metric: Metric | None) -> tuple[Observation, Measure | None]:
    """What a commit gives, and what the metric says of it.

    Raises:
        GraphEngineError: it cannot be run.
    """
    observed = runs(commit)
    if observed is None:
        raise GraphEngineError(f"{commit} cannot be run", hint="name a commit whose workflow runs")
    return observed, metric.measure(observed) if metric is not None else None


def _options(settings: Settings, places: ReplayPlaces, trusting: TrustOptions, folder: Path) -> list[str]:
    """What `graphengine run` is given beside the workflow."""
    options = ["--cache", str(settings.cache or folder / "cache")]
    options += ["--input", str(settings.folders.input[0])] if settings.folders.input[0].is_dir() else []
    models = places.models or [(places.base_dir or Path.cwd()) / "models"]
    for path in models:
        options += ["--models", str(path.absolute())] if path.is_dir() else []
    options += ["--device", places.device] if places.device is not None else []
    for pack in trusting.trust or ():
        options += ["--trust", pack]
    return [*options, "--trust-changed"] if trusting.trust_changed else options


def _lines(first: FirstBad) -> Iterator[str]:
    yield f"first bad commit: {first.commit}"
    if first.unclear:
        yield "or one of these, which cannot be tried:"
        yield from (f"  {commit}" for commit in first.unclear)
    yield f"{plural(first.trials, 'trial')}"


# Any: what `json` writes.
def _json(first: FirstBad, good: Commit, bad: Commit, name: str) -> dict[str, Any]:
    return {
        "good": good.id,
        "bad": bad.id,
        "file": name,
        "first_bad": {"commit": first.commit.id, "date": first.commit.date, "subject": first.commit.subject},
        "unclear": [commit.id for commit in first.unclear],
        "trials": first.trials,
    }
