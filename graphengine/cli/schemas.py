"""The catalogue of JSON Schemas, all made from models; `make schemas` writes them to files."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import TypeAdapter

from graphengine.cli.check_pure import PurityReport
from graphengine.cli.files import write_whole
from graphengine.cli.output_models import RunSummary, ValidationReport
from graphengine.cli.sweep_manifest import SweepManifest
from graphengine.execution.events import Event
from graphengine.node.object_info_models import OBJECT_INFO
from graphengine.workflow.api_format import API_DOCUMENT
from graphengine.workflow.ui_models import UiDocument

_DIALECT = "https://json-schema.org/draft/2020-12/schema"

#: The file of each schema, by the name that the command takes.
FILES: Mapping[str, str] = {
    "api": "api-document.schema.json",
    "ui": "ui-document.schema.json",
    "object-info": "object-info.schema.json",
    "event": "event.schema.json",
    "run-summary": "run-summary.schema.json",
    "run-record": "run-record.schema.json",
    "past-run": "past-run.schema.json",
    "run-comparison": "run-comparison.schema.json",
    "plan": "plan.schema.json",
    "explanation": "explanation.schema.json",
    "sweep-manifest": "sweep-manifest.schema.json",
    "purity-report": "purity-report.schema.json",
    "validation-report": "validation-report.schema.json",
}


# Any throughout: a JSON Schema is open-ended JSON.
def schemas() -> dict[str, dict[str, Any]]:
    """All JSON Schemas by name."""
    # bring networkx (0.2 s), which other commands that come by here do not need
    from graphengine.cli.plan_models import Explanation, PlanReport
    from graphengine.cli.run_changes import RunChanges
    from graphengine.provenance.history.past_run import PAST_RUN
    from graphengine.provenance.record import RECORD

    return {
        "api": _schema("API document", API_DOCUMENT.json_schema(by_alias=True)),
        "ui": _schema("UI document", UiDocument.model_json_schema(by_alias=True)),
        "object-info": _schema("Node definitions (object_info)", OBJECT_INFO.json_schema()),
        "event": _schema("Event of a run", _event_schema()),
        "run-summary": _schema("Summary of a run", _written(TypeAdapter(RunSummary))),
        "run-record": _schema("Record of a run", RECORD.json_schema()),
        "past-run": _schema("A run of a project's history", PAST_RUN.json_schema()),
        "run-comparison": _schema("Two runs compared", _written(TypeAdapter(RunChanges))),
        "plan": _schema("What a run would do", _written(TypeAdapter(PlanReport))),
        "explanation": _schema("Why nodes run", _written(TypeAdapter(Explanation))),
        "sweep-manifest": _schema("Manifest of a sweep", _written(TypeAdapter(SweepManifest))),
        "purity-report": _schema("Report of nodes called twice", _written(TypeAdapter(PurityReport))),
        "validation-report": _schema("Validation report", _written(TypeAdapter(ValidationReport))),
    }


def write_schemas(folder: Path) -> list[Path]:
    """Write each schema to its file in the folder; gives the files."""
    folder.mkdir(parents=True, exist_ok=True)
    return [_write(folder / FILES[name], schema) for name, schema in schemas().items()]


def _event_schema() -> dict[str, Any]:
    """A schema for each kind of event, told apart by `kind`, which is no field of the class."""
    kinds, shared = [], {}
    for event in get_args(Event):
        schema = _written(TypeAdapter(event))
        shared.update(schema.pop("$defs", {}))
        _without(shared.get("Preview", {}), "image")
        schema["properties"] = {"kind": {"const": event.kind}, **schema["properties"]}
        schema["required"] = ["kind", *schema["properties"].keys() - {"kind"}]
        schema["required"].sort()
        kinds.append(schema)
    return {"oneOf": kinds, **({"$defs": shared} if shared else {})}


def _without(schema: dict[str, Any], name: str) -> None:
    """Leave out a property that is not written."""
    if name in schema.get("properties", {}):
        del schema["properties"][name]
        schema["required"] = [other for other in schema["required"] if other != name]


# Any: adapters of all kinds of values.
def _written(adapter: TypeAdapter[Any]) -> dict[str, Any]:
    """The schema of what is written, in which fields with a default are always there."""
    return adapter.json_schema(mode="serialization")


def _schema(title: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"$schema": _DIALECT, **schema, "title": title}


def _write(path: Path, schema: dict[str, Any]) -> Path:
    write_whole(path, json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    return path
