"""A lineage as text, picture, in-toto statement and SPDX document."""

import json
import re
from typing import Any
from xml.etree import ElementTree

import pytest

from graphengine.lineage.asking import find_lineages
from graphengine.lineage.drawing import lineage_picture, lineage_svg
from graphengine.lineage.parts import Lineage
from graphengine.lineage.plain import as_json
from graphengine.lineage.spdx import spdx_document
from graphengine.lineage.statement import statement
from graphengine.lineage.text import text_lines
from tests.lineage.conftest import FIRST, SECOND, Project, model, node, picture

_SPDX_ID = re.compile(r"SPDXRef-[a-zA-Z0-9.-]+")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
_RELATIONSHIPS = {"DESCRIBES", "GENERATED_FROM", "BUILD_TOOL_OF", "BUILD_DEPENDENCY_OF"}


@pytest.fixture
def second(project: Project) -> Lineage:
    (found,) = find_lineages("output/second.png", project.history, project.here)
    return found


def test_the_text_names_runs_values_and_files(second: Lineage, project: Project) -> None:
    text = "\n".join(text_lines(second))
    lines = [line.strip() for line in text.splitlines()]
    assert lines[0] == "output/second.png"
    assert f"output/second.png, made by run {SECOND}" in lines
    assert f"output/first.png, made by run {FIRST}" in lines
    assert "images ← 1 Paint" in lines
    assert "seeds: 1.seed = 7" in lines
    assert f"git: commit {'ab' * 20} on main, all files as committed" in lines
    first = project.runs[FIRST].outputs[0].sha256
    assert f"given.png: sha256 {first}, as recorded, for 4.image, made by run {FIRST}" in lines
    assert "tok3nvalue" not in text


def test_a_graph_of_thousands_of_nodes_is_told_without_recursion(project: Project) -> None:
    document = {"0": node("Load"), **{str(n): node("Paint", image=[str(n - 1), 0]) for n in range(1, 5000)}}
    picture(project.folder / "deep.png", 1, {"prompt": document})
    (found,) = find_lineages("deep.png", project.history, project.here)
    lines = list(text_lines(found))
    assert sum("Paint" in line for line in lines) >= 4999
    assert max(map(len, lines)) < 300


def test_runs_are_drawn_as_one_graph(second: Lineage, project: Project) -> None:
    drawn = lineage_picture(second, project.here.definitions)
    assert set(drawn.boxes) == {"4", "5", "2:1", "2:2"}
    assert {(wire.source, wire.target) for wire in drawn.wires} == {("4", "5"), ("2:1", "2:2"), ("2:2", "4")}
    root = ElementTree.fromstring(lineage_svg(second, project.here.definitions))
    assert "as recorded" in "".join(root.itertext())


def check_statement(raw: dict[str, Any]) -> None:
    """What in-toto Statement v1 and SLSA provenance v1 ask for."""
    assert raw["_type"] == "https://in-toto.io/Statement/v1"
    assert raw["predicateType"] == "https://slsa.dev/provenance/v1"
    assert raw["subject"]
    for each in raw["subject"]:
        assert re.fullmatch(r"[0-9a-f]{64}", each["digest"]["sha256"])
    definition, details = raw["predicate"]["buildDefinition"], raw["predicate"]["runDetails"]
    assert re.match(r"[a-z][a-z0-9+.-]*:", definition["buildType"])
    assert isinstance(definition["externalParameters"], dict)
    assert re.match(r"[a-z]+:", details["builder"]["id"])
    assert all(isinstance(value, str) for value in details["builder"].get("version", {}).values())
    for name in ("startedOn", "finishedOn"):
        assert name not in details["metadata"] or _TIME.fullmatch(details["metadata"][name])
    for each in definition["resolvedDependencies"]:
        assert {"uri", "digest", "content"} & each.keys()
        assert each.keys() <= {"uri", "digest", "name", "annotations"}
        assert all(isinstance(value, str) and value for value in each.get("digest", {}).values())
        if "sha256" in each.get("digest", {}):
            assert re.fullmatch(r"[0-9a-f]{64}", each["digest"]["sha256"])


def test_the_statement_has_what_in_toto_and_slsa_ask_for(second: Lineage, project: Project) -> None:
    raw = json.loads(json.dumps(statement([second])))
    check_statement(raw)
    assert raw["subject"][0]["name"] == "output/second.png"
    assert raw["predicate"]["runDetails"]["metadata"]["invocationId"] == SECOND
    of = {(each["name"], each["annotations"]["run"]): each for each in raw["predicate"]["buildDefinition"][
        "resolvedDependencies"]}  # fmt: skip
    used = of["checkpoints/tiny.safetensors", FIRST]
    assert used["annotations"]["licence"] == "MIT"
    assert used["digest"]["sha256"] == project.runs[FIRST].files[0].sha256
    assert of["painting", FIRST]["digest"] == {"gitCommit": "12" * 20, "graphengineCode": "0123456789abcdef"}
    assert of["project", FIRST]["digest"] == {"gitCommit": "ab" * 20}
    assert of["torch", FIRST]["uri"] == "pkg:pypi/torch@2.6.0"
    assert "tok3nvalue" not in json.dumps(raw)


def test_a_statement_about_a_changed_picture_is_about_what_was_recorded(project: Project) -> None:
    picture(project.folder / "output" / "first.png", 11, {"graphengine": {"run": FIRST}})
    (found,) = find_lineages("output/first.png", project.history, project.here)
    raw = statement([found])
    assert raw["subject"][0]["digest"]["sha256"] == project.runs[FIRST].outputs[0].sha256
    assert "was changed" in raw["predicate"]["buildDefinition"]["internalParameters"]["notes"][0]


def test_a_statement_may_be_about_all_outputs_of_a_run(project: Project) -> None:
    raw = statement(find_lineages(FIRST, project.history, project.here))
    check_statement(raw)
    assert [each["name"] for each in raw["subject"]] == ["output/first.png", "output/other.png"]
    assert raw["predicate"]["buildDefinition"]["externalParameters"]["targets"] == ["2", "9"]


def test_outputs_of_two_runs_need_two_statements(project: Project, second: Lineage) -> None:
    (first,) = find_lineages("output/first.png", project.history, project.here)
    with pytest.raises(ValueError, match="outputs of one run"):
        statement([first, second])


def check_spdx(raw: dict[str, Any]) -> None:
    """What SPDX 2.3 asks of a document: fields, identifiers that are unique and resolve, licences."""
    assert raw["spdxVersion"] == "SPDX-2.3"
    assert raw["dataLicense"] == "CC0-1.0"
    assert raw["SPDXID"] == "SPDXRef-DOCUMENT"
    assert raw["name"]
    assert re.match(r"https?://", raw["documentNamespace"])
    assert "#" not in raw["documentNamespace"]
    assert _TIME.fullmatch(raw["creationInfo"]["created"])
    assert all(re.match(r"(Tool|Person|Organization): ", each) for each in raw["creationInfo"]["creators"])
    ids = [package["SPDXID"] for package in raw["packages"]]
    assert len(set(ids)) == len(ids)
    refs = {each["licenseId"] for each in raw.get("hasExtractedLicensingInfos", ())}
    for package in raw["packages"]:
        assert _SPDX_ID.fullmatch(package["SPDXID"])
        assert package["name"]
        assert package["downloadLocation"] == "NOASSERTION" or "://" in package["downloadLocation"]
        assert package["filesAnalyzed"] is False
        for name in re.findall(r"LicenseRef-[A-Za-z0-9.-]+", package["licenseDeclared"]):
            assert name in refs
        assert all(re.fullmatch("[0-9a-f]{64}", each["checksumValue"]) for each in package.get("checksums", ()))
    for each in raw["relationships"]:
        assert each["relationshipType"] in _RELATIONSHIPS
        assert {each["spdxElementId"], each["relatedSpdxElement"]} <= {*ids, "SPDXRef-DOCUMENT"}
    assert any(each["relationshipType"] == "DESCRIBES" for each in raw["relationships"])


def test_the_spdx_document_lists_models_packs_packages_and_licences(second: Lineage) -> None:
    raw = json.loads(json.dumps(spdx_document([second], 1_800_000_000)))
    check_spdx(raw)
    packages = {package["name"]: package for package in raw["packages"]}
    assert packages["checkpoints/tiny.safetensors"]["licenseDeclared"] == "MIT"
    assert packages["painting"]["licenseDeclared"] == "GPL-3.0-only"
    assert packages["painting"]["downloadLocation"] == f"git+https://host.example/p.git@{'12' * 20}"
    assert packages["torch"]["versionInfo"] == "2.6.0"
    by_id = {package["SPDXID"]: package["name"] for package in raw["packages"]}
    related = {
        (by_id.get(each["spdxElementId"]), each["relationshipType"], by_id.get(each["relatedSpdxElement"]))
        for each in raw["relationships"]
    }
    assert ("output/second.png", "GENERATED_FROM", "output/first.png") in related
    assert ("output/first.png", "GENERATED_FROM", "checkpoints/tiny.safetensors") in related
    assert (None, "DESCRIBES", "output/second.png") in related


def test_a_licence_that_spdx_does_not_list_is_quoted(project: Project) -> None:
    model(project.folder / "models/checkpoints/odd.safetensors", **{"modelspec.license": "CreativeML Open RAIL-M"})
    document = {"1": node("Paint", ckpt_name="odd.safetensors"), "2": node("Save", images=["1", 0])}
    picture(project.folder / "foreign.png", 3, {"prompt": document})
    raw = spdx_document(find_lineages("foreign.png", project.history, project.here), 0)
    check_spdx(raw)
    assert raw["hasExtractedLicensingInfos"][0]["extractedText"] == "CreativeML Open RAIL-M"


def test_the_json_has_workflows_as_api_documents(second: Lineage) -> None:
    raw = json.loads(json.dumps(as_json(second)))
    assert raw["subject"]["name"] == "output/second.png"
    assert raw["makings"][0]["workflow"]["5"] == {"class_type": "Save", "inputs": {"images": ["4", 0]}}
    assert raw["makings"][1]["models"][0]["licence"]["text"] == "MIT"
