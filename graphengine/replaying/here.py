"""What there is now to compare a recorded run with: this machine, the lock, the code of packs."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from graphengine.cache.hashing import fingerprint_file
from graphengine.engine import Engine
from graphengine.packs.source import digest_of
from graphengine.provenance.history.past_run import PastRun
from graphengine.provenance.lock_digest import digest_of_lock
from graphengine.recording.machine import this_machine
from graphengine.replaying.departures import Here
from graphengine.replaying.stage import Stage

_CUSTOM = "custom_nodes."


def here_now(stage: Stage, project: Path, run: PastRun, replayed: PastRun | None) -> Here:
    """What is there now of what a run used: before it is replayed, as far as nothing need run, and after.

    The code of packs is that of all node types of the run, as its record has it; a replay may need fewer.
    """
    engine = stage.engine
    environment: Mapping[str, str]
    if replayed is not None:
        environment, machine = replayed.environment, replayed.machine
    else:
        environment = {}  # a replay computes as the record says; what cannot be had shows afterwards
        machine = this_machine({"device": engine.device.partition(":")[0]} if engine.device else {})

    def fingerprint(path: Path) -> str:
        return fingerprint_file(path, engine.memo)

    packs = _packs(engine, {node.class_type for node in run.nodes.values()})
    return Here(machine, digest_of_lock(project), stage.actual, fingerprint, environment, packs)


def _packs(engine: Engine, class_types: Iterable[str]) -> dict[str, str | None] | None:
    """The hashes of the code behind node types, by pack; None when some type is not known, or not yet."""
    codes: dict[str, dict[str, str]] = {}
    for class_type in class_types:
        definition = engine.registry.get(class_type)
        if definition is None:
            return None
        codes.setdefault(definition.module, {}).update(definition.code)
    custom = {f"{_CUSTOM}{pack.name}": pack.name for pack in engine.custom}
    return {custom.get(module, module): digest_of(code) if code else None for module, code in codes.items()}
