"""`graphengine schema`: the JSON Schemas of documents that are read and written."""

from enum import StrEnum
from typing import Annotated

import typer

from graphengine.cli.console import say_json
from graphengine.cli.options import DebugOption, examples
from graphengine.cli.schemas import schemas

EXAMPLES = examples(
    "graphengine schema api > api-document.schema.json",
    "graphengine schema object-info",
    "graphengine schema validation-report",
)


class Schema(StrEnum):
    """What has a schema."""

    API = "api"
    UI = "ui"
    OBJECT_INFO = "object-info"
    EVENT = "event"
    RUN_SUMMARY = "run-summary"
    VALIDATION_REPORT = "validation-report"


def command(
    name: Annotated[
        Schema,
        typer.Argument(
            metavar="NAME",
            help="api and ui: workflow documents; object-info: node definitions; event: a line of run --events; "
            "run-summary: run --json; validation-report: validate --format json.",
        ),
    ] = Schema.API,
    debug: DebugOption = False,
) -> None:
    """Print the JSON Schema of a document that is read or written."""
    say_json(schemas()[name])
