"""The JSON Schemas in `schemas/` say what the models say, and the models say what commands write."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from graphengine.cli.output_models import RunSummary, ValidationReport
from graphengine.cli.schema import Schema
from graphengine.cli.schemas import FILES, schemas, write_schemas
from graphengine.node.definition import InputSpec, NodeDefinition, OutputSpec
from graphengine.node.object_info import definition_to_object_info
from graphengine.node.object_info_models import OBJECT_INFO
from tests.cli.conftest import CommandLine

ROOT = Path(__file__).parents[2]
FLOW = """{"1": {"class_type": "PrimitiveInt", "inputs": {"value": 5}},
           "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}}}"""


@pytest.fixture
def flow(place: Path) -> Path:
    file = place / "flow.json"
    file.write_text(FLOW)
    return file


def test_the_schemas_in_the_repository_are_fresh() -> None:
    written = {path.name: json.loads(path.read_text("utf-8")) for path in (ROOT / "schemas").glob("*.json")}
    assert written == {FILES[name]: schema for name, schema in schemas().items()}, "run `make schemas`"


def test_each_schema_is_written_to_its_file(tmp_path: Path) -> None:
    files = write_schemas(tmp_path / "new")
    assert [file.name for file in files] == list(FILES.values())
    assert sorted(tmp_path.glob("new/*")) == sorted(files)
    assert json.loads(files[0].read_text(encoding="utf-8")) == schemas()["api"]


def test_the_command_knows_every_schema() -> None:
    assert [name.value for name in Schema if name is not Schema.OPENAPI] == list(FILES) == list(schemas())


def test_the_description_of_the_server_is_printed(graphengine: CommandLine) -> None:
    described = json.loads(graphengine("schema", "openapi").out)
    assert described["openapi"] == "3.1.0"
    assert {"/prompt", "/view", "/ws"} < set(described["paths"])


def test_the_readme_lists_every_schema() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert [name for name, file in FILES.items() if f"| `{name}` | `schemas/{file}`" not in readme] == []


def test_the_schemas_ask_for_what_reading_needs() -> None:
    api, ui = schemas()["api"], schemas()["ui"]
    assert api["$defs"]["ApiNode"]["required"] == ["class_type"]
    assert ui["required"] == ["nodes"]
    assert ui["$defs"]["UiNode"]["required"] == ["id", "type"]
    assert ui["$defs"]["UiNode"]["additionalProperties"] is True


def test_our_own_node_descriptions_have_their_form() -> None:
    inputs = {"n": InputSpec("n", "INT", options={"min": 0}), "m": InputSpec("m", "COMBO", choices=("a", "b"))}
    definition = NodeDefinition("A", inputs, (OutputSpec("out", "IMAGE", tooltip="a picture"),))
    found = OBJECT_INFO.validate_python({"A": definition_to_object_info(definition)}, strict=True)
    assert found["A"].input.required == {"n": ["INT", {"min": 0}], "m": [["a", "b"]]}


@pytest.mark.parametrize(
    "entry", [{}, {"input": {}, "output": "IMAGE"}, {"input": {"required": {"a": []}}, "output": []}]
)
def test_what_describes_no_node_has_not_their_form(entry: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        OBJECT_INFO.validate_python({"A": entry})


def test_the_summary_of_a_run_has_its_form(graphengine: CommandLine, flow: Path) -> None:
    adapter = TypeAdapter(RunSummary)
    good = adapter.validate_json(graphengine("run", "flow.json", "--json").out, strict=True)
    assert (good["status"], len(good["nodes"])) == ("success", 2)
    flow.write_text('{"1": {"class_type": "PreviewAny", "inputs": {}}}')
    bad = adapter.validate_json(graphengine("run", "flow.json", "--json").out, strict=True)
    assert bad["error"]["problems"][0].code == "missing_input"


def test_a_validation_report_has_its_form(graphengine: CommandLine, flow: Path) -> None:
    flow.write_text('{"1": {"class_type": "Mystery", "inputs": {}}}')
    out = graphengine("validate", "flow.json", "nowhere.json", "--format", "json").out
    report = TypeAdapter(ValidationReport).validate_json(out, strict=True)
    assert [file["valid"] for file in report["files"]] == [False, False]
    assert report["files"][0]["unchecked"][0]["class_type"] == "Mystery"


def test_every_event_of_a_run_has_the_fields_of_its_kind(graphengine: CommandLine, flow: Path) -> None:
    kinds = {each["properties"]["kind"]["const"]: each for each in schemas()["event"]["oneOf"]}
    events = [json.loads(line) for line in graphengine("run", "flow.json", "--events", "-").out.splitlines()]
    assert {event["kind"] for event in events} >= {"run_started", "node_started", "node_finished", "run_finished"}
    for event in events:
        assert sorted(event) == kinds[event["kind"]]["required"] == sorted(kinds[event["kind"]]["properties"])
