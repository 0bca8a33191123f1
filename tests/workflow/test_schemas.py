"""The JSON Schemas in `schemas/` say what the models say."""

import json
from pathlib import Path

from graphengine.workflow.schemas import schemas, write_schemas

FOLDER = Path(__file__).parents[2] / "schemas"


def test_the_schemas_in_the_repository_are_fresh() -> None:
    for name, schema in schemas().items():
        written = json.loads((FOLDER / f"{name}.schema.json").read_text(encoding="utf-8"))
        assert written == schema, "run `make schemas`"


def test_each_schema_is_written_to_its_file(tmp_path: Path) -> None:
    files = write_schemas(tmp_path / "new")
    assert [file.name for file in files] == ["api-document.schema.json", "ui-document.schema.json"]
    assert sorted(tmp_path.glob("new/*")) == sorted(files)
    assert json.loads(files[0].read_text(encoding="utf-8")) == schemas()["api-document"]


def test_the_schemas_ask_for_what_reading_needs() -> None:
    api, ui = schemas()["api-document"], schemas()["ui-document"]
    assert api["$defs"]["ApiNode"]["required"] == ["class_type"]
    assert ui["required"] == ["nodes"]
    assert ui["$defs"]["UiNode"]["required"] == ["id", "type"]
    assert ui["$defs"]["UiNode"]["additionalProperties"] is True
