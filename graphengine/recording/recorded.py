"""Has the records of a run written when it ends, however it ends."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from uuid import uuid4

from graphengine.errors import GraphEngineError, NodeExecutionError, RunCancelled
from graphengine.execution.hidden import RunExtra
from graphengine.execution.run import Run
from graphengine.packs.discover import Pack
from graphengine.provenance.folder import RecordFolder
from graphengine.provenance.history.history import History, new_run_id
from graphengine.provenance.record import RunFailure
from graphengine.recording.past_run import BegunRun, make_past_run
from graphengine.recording.run_record import Ended, disk_of, make_record
from graphengine.workflow.collector import collector_paused
from graphengine.workflow.models import NodeId

Status = Literal["success", "error", "cancelled"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RecordPlaces:
    """Where runs are recorded: `records` beside the cache, `history` in the project; None is nowhere.

    `custom` are the packs in `custom_nodes`.
    """

    records: RecordFolder | None = None
    history: History | None = None
    custom: tuple[Pack, ...] = ()


def with_run_id(extra: RunExtra | None, history: History | None, *, strip_metadata: bool) -> RunExtra:
    """What a caller hands to a run, with the id of the run where it gets into a history.

    Whether metadata is left out is the engine's to say, since it stands in keys too.
    """
    extra = extra or RunExtra()
    run_id = extra.run_id or (new_run_id() if history is not None else "")
    return replace(extra, run_id=run_id, strip_metadata=strip_metadata)


@contextmanager
def recorded(run: Run, places: RecordPlaces, file: Path | None) -> Iterator[None]:
    """Write records of what the run does in the block, however it ends; the store remembers what it used."""
    if places.records is None and places.history is None:
        yield
        return
    begun = _begun(places.history, run) if places.history is not None else None
    started, before = time.time(), time.perf_counter()
    status: Status = "error"
    failure: RunFailure | None = None
    try:
        yield
        status = "success"
    except (RunCancelled, KeyboardInterrupt):
        status = "cancelled"
        raise
    except GraphEngineError as error:
        node_id = error.node_id if isinstance(error, NodeExecutionError) else None
        failure = RunFailure(node_id, run.known.prompt.open.text(error.message))
        raise
    finally:
        ended = Ended(started, time.perf_counter() - before, status, failure)
        if places.records is not None:
            _log(run, file, started)
            _write(places.records, run, file, ended)
        if places.history is not None and begun is not None:
            _add(places.history, run, file, begun, ended, places.custom)


def _write(records: RecordFolder, run: Run, file: Path | None, ended: "Ended") -> None:
    disk = disk_of(run.store)
    if disk is not None and not disk.index.can_keep:  # the folder cannot be used, and one warning is enough
        return
    try:
        with collector_paused():
            record = make_record(run.account, run.saved.folders, file, ended)
            for node_id in _not_stored(run):
                record.nodes[node_id].stored = False
            records.write(record)
    except (OSError, GraphEngineError, ValueError) as error:  # the code of a pack is gone, for instance
        logger.warning("the run is not recorded: %s", error)


def _not_stored(run: Run) -> set[NodeId]:
    """The nodes that ran and whose outputs no other process will find."""
    account, disk = run.account, disk_of(run.store)
    recall, keys = account.recall, account.known.keys
    lost = account.executed.keys() - recall.kept
    if disk is not None:  # memory may have taken what the disk cannot hold
        of = {keys.of[node_id]: node_id for node_id in recall.sizes if keys.of[node_id] not in keys.volatile}
        found = disk.peek_many(of)
        lost.update(node_id for key, node_id in of.items() if key not in found)
    return {node_id for node_id in lost if node_id not in account.known.places}


def _log(run: Run, file: Path | None, started: float) -> None:
    """Have the disk remember which entries the run used, so that it keeps them longer than others."""
    disk, account = disk_of(run.store), run.account
    if disk is not None:
        keys = [account.known.keys.of[node_id] for node_id in (*account.executed, *account.cached)]
        disk.runs.record(uuid4().hex, file, started, keys)


def _begun(history: History, run: Run) -> BegunRun | None:
    try:
        return BegunRun(history, run.known.prompt.open)
    except (OSError, TypeError, ValueError) as error:  # no document that JSON could say
        logger.warning("the run is not in the history: %s", error)
        return None


def _add(
    history: History, run: Run, file: Path | None, begun: BegunRun, ended: Ended, custom: tuple[Pack, ...]
) -> None:
    try:
        with collector_paused():
            entry = make_past_run(run.account, run.saved, history, begun, ended, run.extra, file, custom)
            history.add(entry, begun.documents)
    except (OSError, GraphEngineError, TypeError, ValueError) as error:
        logger.warning("the run is not in the history: %s", error)
    finally:
        begun.git.close()
