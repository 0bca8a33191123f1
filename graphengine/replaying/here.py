"""What there is now to compare a recorded run with: this machine, the lock, the code of packs."""

from collections.abc import Mapping
from pathlib import Path

from graphengine.cache.hashing import fingerprint_file
from graphengine.engine import Engine
from graphengine.packs.source import digest_of
from graphengine.provenance.history.past_run import PastRun
from graphengine.provenance.lock_digest import digest_of_lock
from graphengine.recording.machine import this_machine
from graphengine.replaying.departures import Here
from graphengine.workflow.models import Workflow

_CUSTOM = "custom_nodes."


def here_now(engine: Engine, project: Path, replayed: PastRun | None, workflow: Workflow | None = None) -> Here:
    """What is there now: as the record of a replay says, and before there is one, as far as nothing need run.

    The code of packs is known beforehand when all nodes of the workflow are.
    """
    if replayed is not None:
        environment: Mapping[str, str] = replayed.environment
        machine = replayed.machine
        packs: Mapping[str, str | None] | None = {pack.name: pack.sha256 for pack in replayed.packs}
    else:
        environment = {}  # a replay computes as the record says; what cannot be had shows afterwards
        device = {"device": engine.device.partition(":")[0]} if engine.device else {}
        machine = this_machine(device)
        packs = _packs(engine, workflow) if workflow is not None else None

    def fingerprint(path: Path) -> str:
        return fingerprint_file(path, engine.memo)

    return Here(machine, digest_of_lock(project), engine.folders, fingerprint, environment, packs)


def _packs(engine: Engine, workflow: Workflow) -> dict[str, str | None] | None:
    """The hashes of the code behind the nodes of a workflow, by pack; None when some node is not known."""
    codes: dict[str, dict[str, str]] = {}
    for class_type in dict.fromkeys(node.class_type for node in workflow.nodes.values()):
        definition = engine.registry.get(class_type)
        if definition is None:
            return None
        codes.setdefault(definition.module, {}).update(definition.code)
    custom = {f"{_CUSTOM}{pack.name}": pack.name for pack in engine.custom}
    return {custom.get(module, module): digest_of(code) if code else None for module, code in codes.items()}
