"""A replayer with all that it needs: an engine on a stage, and the history to compare with."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from graphengine.engine import Engine
from graphengine.execution.events import Listener
from graphengine.execution.hooks import never, silent
from graphengine.provenance.history.history import History
from graphengine.provenance.history.past_run import PastRun
from graphengine.replaying.departures import Here
from graphengine.replaying.digests import EarlierDigests
from graphengine.replaying.here import here_now
from graphengine.replaying.likeness import Tolerance
from graphengine.replaying.replay import Replayer, Warned, unwarned
from graphengine.replaying.stage import MakeEngine, Stage
from graphengine.settings import Settings
from graphengine.workflow.models import Workflow


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
) -> Iterator[Replayer]:
    """A replayer for the runs of a history; its files are gone afterwards.

    Raises:
        SettingsError: the cache folder cannot be used.
        PackError: an installed pack cannot be loaded.
    """
    with Stage.opened(settings, history.root, make) as stage:

        def here(replayed: PastRun | None, workflow: Workflow) -> Here:
            return here_now(stage.engine, history.project, replayed, workflow)

        yield Replayer(
            stage, here, tolerance or Tolerance(), EarlierDigests(history), warned, on_event, is_cancelled
        )
