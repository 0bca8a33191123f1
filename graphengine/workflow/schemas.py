"""JSON Schemas of the documents, from the models; `python -m graphengine.workflow.schemas DIR` writes them."""

import json
import sys
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from graphengine.workflow.api_format import API_DOCUMENT
from graphengine.workflow.ui_models import UiDocument

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


# Any: a JSON Schema is open-ended JSON.
def schemas() -> dict[str, dict[str, Any]]:
    """JSON Schemas by name: `api-document` and `ui-document`."""
    return {
        "api-document": _schema("API document", API_DOCUMENT.json_schema(by_alias=True)),
        "ui-document": _schema("UI document", UiDocument.model_json_schema(by_alias=True)),
    }


def write_schemas(folder: Path) -> list[Path]:
    """Write each schema to `NAME.schema.json` in the folder; gives the files."""
    folder.mkdir(parents=True, exist_ok=True)
    return [_write(folder / f"{name}.schema.json", schema) for name, schema in schemas().items()]


def _schema(title: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"$schema": _DIALECT, **schema, "title": title}


def _write(path: Path, schema: dict[str, Any]) -> Path:
    with NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False, encoding="utf-8") as file:
        file.write(json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    return Path(file.name).replace(path)


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]))
