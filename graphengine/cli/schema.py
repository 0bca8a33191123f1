"""`graphengine schema`: the JSON Schema of a document format."""

from enum import StrEnum
from typing import Annotated

import typer

from graphengine.cli.console import say_json
from graphengine.cli.options import DebugOption, examples
from graphengine.workflow.schemas import schemas

EXAMPLES = examples("graphengine schema api > api-document.schema.json", "graphengine schema ui")


class Document(StrEnum):
    """Documents that have a schema."""

    API = "api"
    UI = "ui"


def command(
    document: Annotated[Document, typer.Argument(help="The API document, or the editor's.")] = Document.API,
    debug: DebugOption = False,
) -> None:
    """Print the JSON Schema of a workflow document."""
    say_json(schemas()[f"{document}-document"])
