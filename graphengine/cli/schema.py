"""`graphengine schema`: the JSON Schemas of documents that are read and written."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from graphengine.cli.console import say_json
from graphengine.cli.options import DebugOption, examples
from graphengine.cli.schemas import schemas
from graphengine.cli.serve import require_aiohttp

EXAMPLES = examples(
    "graphengine schema api > api-document.schema.json",
    "graphengine schema object-info",
    "graphengine schema openapi",
)


class Schema(StrEnum):
    """What has a schema."""

    API = "api"
    UI = "ui"
    OBJECT_INFO = "object-info"
    EVENT = "event"
    RUN_SUMMARY = "run-summary"
    RUN_RECORD = "run-record"
    PAST_RUN = "past-run"
    RUN_COMPARISON = "run-comparison"
    PLAN = "plan"
    EXPLANATION = "explanation"
    SWEEP_MANIFEST = "sweep-manifest"
    PURITY_REPORT = "purity-report"
    VALIDATION_REPORT = "validation-report"
    OPENAPI = "openapi"


def command(
    name: Annotated[
        Schema,
        typer.Argument(
            metavar="NAME",
            help="api and ui: workflow documents; object-info: node definitions; event: a line of run --events; "
            "run-summary: run --json; run-record: what a run leaves for explain; past-run, run-comparison: show "
            "and compare --json; plan, explanation: plan and explain --json; sweep-manifest: what run --sweep "
            "leaves; purity-report: run --check-pure --json; validation-report: validate --format json; "
            "openapi: what serve answers.",
        ),
    ] = Schema.API,
    debug: DebugOption = False,
) -> None:
    """Print the JSON Schema of a document, or the OpenAPI description of the server."""
    say_json(_openapi() if name is Schema.OPENAPI else schemas()[name])


# Any: an OpenAPI description is open-ended JSON.
def _openapi() -> dict[str, Any]:
    require_aiohttp()
    from graphengine.server.app import description  # brings aiohttp, which no other schema needs

    return description()
