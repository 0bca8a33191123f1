"""Which files of a pack are others than when a run was recorded, as far as the records beside the cache tell."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from graphengine.node.definition import NodeDefinition
from graphengine.provenance.folder import RecordFolder
from graphengine.provenance.history.past_run import PastRun
from graphengine.provenance.record import RunRecord
from graphengine.replaying.departures import Departure

_MOST = 20  # records that are looked through


def with_changed_files(
    found: Iterable[Departure],
    run: PastRun,
    file: Path | None,
    records: RecordFolder,
    definitions: Mapping[str, NodeDefinition],
) -> list[Departure]:
    """The departures, those of packs with the files that are others; `file` is the workflow's."""
    listed = list(found)
    if not any(departure.part == "pack" for departure in listed):
        return listed
    record = _record_of(run, file, records)
    if record is None:
        return listed
    changed = _changed(record, definitions)
    return [
        replace(departure, files=tuple(changed.get(departure.name, ()))) if departure.part == "pack" else departure
        for departure in listed
    ]


def _record_of(run: PastRun, file: Path | None, records: RecordFolder) -> RunRecord | None:
    """The record beside the cache of the same run: both have the same moment."""
    snapshots = records.read(file, "", _MOST) if file is not None else []
    return next((each.record for each in snapshots if each.record.started == run.started), None)


def _changed(record: RunRecord, definitions: Mapping[str, NodeDefinition]) -> dict[str, list[str]]:
    """The paths of changed, new and removed files by the name of their pack."""
    changed: dict[str, dict[str, None]] = {}
    for class_type, entry in record.classes.items():
        definition = definitions.get(class_type)
        then = record.codes[entry.code] if 0 <= entry.code < len(record.codes) else {}
        if definition is None or not then:
            continue
        now = definition.code
        paths = [path for path in {**then, **now} if then.get(path) != now.get(path)]
        for name in (entry.module, entry.module.removeprefix("custom_nodes.")):
            changed.setdefault(name, {}).update(dict.fromkeys(paths))
    return {name: sorted(paths) for name, paths in changed.items()}
