"""A replayer with all that it needs: an engine on a stage, and the history to compare with."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from graphengine.engine import Engine
from graphengine.execution.events import Listener
from graphengine.execution.hooks import never, silent
from graphengine.provenance.folder import RecordFolder
from graphengine.provenance.history.history import History
from graphengine.provenance.history.past_run import PastRun
from graphengine.replaying.code_files import with_changed_files
from graphengine.replaying.departures import Departure, Here
from graphengine.replaying.digests import EarlierDigests
from graphengine.replaying.here import here_now
from graphengine.replaying.likeness import Tolerance
from graphengine.replaying.replay import Replayer, Warned, unwarned
from graphengine.replaying.stage import MakeEngine, Stage
from graphengine.settings import Settings


@contextmanager
def opened_replayer(
    settings: Settings,
    history: History,
    *,
    tolerance: Tolerance | None = None,
    warned: Warned = unwarned,
    on_event: Listener = silent,
    is_cancelled: Callable[[], bool] = never,
    make: MakeEngine = Engine.from_settings,
    records: RecordFolder | None = None,
) -> Iterator[Replayer]:
    """A replayer for the runs of a history; its files are gone afterwards.

    `records` are those beside the cache, which remember for a while which files of packs had been used.

    Raises:
        SettingsError: the cache folder cannot be used.
        PackError: an installed pack cannot be loaded.
    """
    with Stage.opened(settings, history.root, make) as stage:

        def here(run: PastRun, replayed: PastRun | None) -> Here:
            return here_now(stage, history.project, run, replayed)

        def detailed(run: PastRun, found: list[Departure]) -> list[Departure]:
            file = history.project / run.file if run.file is not None else None
            if records is None:
                return found
            return with_changed_files(found, run, file, records, stage.engine.registry)

        yield Replayer(
            stage,
            here,
            tolerance or Tolerance(),
            EarlierDigests(history),
            detailed,
            warned,
            on_event,
            is_cancelled,
        )
