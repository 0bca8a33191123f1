"""`graphengine validate`: every problem of every file."""

import json
from pathlib import Path
from typing import Any

from tests.cli.conftest import CommandLine

GOOD = '{"1": {"class_type": "PreviewAny", "inputs": {"source": 1}}}'
BAD = """{"1": {"class_type": "StringLength", "inputs": {}},
          "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
          "3": {"class_type": "PreviewAny", "inputs": {"source": ["9", 0]}}}"""


def write(place: Path) -> None:
    (place / "good.json").write_text(GOOD)
    (place / "bad.json").write_text(BAD)


def test_problems_are_grouped_by_file(graphengine: CommandLine, place: Path) -> None:
    write(place)
    done = graphengine("validate", "good.json", "bad.json", "nowhere/x.json")
    lines = done.out.splitlines()
    assert done.code == 1
    assert lines[:2] == ["good.json: fine", "bad.json: 2 problems"]
    assert lines[2].startswith("  error: node 1 (StringLength): ")
    assert lines[-4:] == [
        "nowhere/x.json: 1 problem",
        "  error: there is no such file [unreadable]",
        "    hint: the folder nowhere does not exist or cannot be read",
        "3 files: 1 without errors, 2 with errors (3 problems, 0 warnings)",
    ]
    assert done.err == ""


def test_a_good_file_is_code_0(graphengine: CommandLine, place: Path) -> None:
    write(place)
    assert graphengine("validate", "good.json").code == 0


def test_warnings_do_not_fail(graphengine: CommandLine, place: Path) -> None:
    (place / "extra.json").write_text(GOOD[:-1] + ', "2": {"class_type": "Unknown", "inputs": {}}}')
    done = graphengine("validate", "extra.json")
    assert done.code == 0
    assert done.out.splitlines()[0] == "extra.json: 1 warning"


def test_json_lists_files_and_problems(graphengine: CommandLine, place: Path) -> None:
    write(place)
    report = json.loads(graphengine("validate", "good.json", "bad.json", "--json").out)
    good, bad = report["files"]
    assert good == {"file": "good.json", "valid": True, "problems": [], "unchecked": []}
    assert bad["valid"] is False
    assert {problem["node_id"] for problem in bad["problems"]} == {"1", "3"}
    assert all(problem["severity"] == "error" and problem["code"] for problem in bad["problems"])
    assert report["summary"] == {"files": 2, "valid": 1, "errors": 2, "warnings": 0, "unchecked": 0}


def test_json_is_a_format_as_well(graphengine: CommandLine, place: Path) -> None:
    write(place)
    assert graphengine("validate", "bad.json", "--format", "json") == graphengine("validate", "bad.json", "--json")


def test_two_formats_are_wrong_usage(graphengine: CommandLine, place: Path) -> None:
    write(place)
    assert graphengine("validate", "good.json", "--json", "--format", "sarif").code == 2


def test_what_is_not_checked_is_listed(graphengine: CommandLine, place: Path) -> None:
    (place / "odd.json").write_text(GOOD[:-1] + ', "2": {"class_type": "Unknown", "inputs": {}}}')
    done = graphengine("validate", "odd.json")
    assert done.out.splitlines()[-1] == (
        "  not checked: node 2 (Unknown): its inputs and links, because no definition of its type is known"
    )


def test_a_pack_that_is_not_loaded_is_told(graphengine: CommandLine, place: Path) -> None:
    (place / "flow.json").write_text('{"1": {"class_type": "TrialSteps", "inputs": {"steps": 1}}}')
    assert "because its pack is not loaded" in graphengine("validate", "flow.json").out


def drawn(*nodes: dict[str, Any]) -> str:
    return json.dumps({"nodes": list(nodes), "links": [], "version": 0.4}, indent=1)


UNKNOWN = {
    "id": 5,
    "type": "LoadMoon",
    "inputs": [{"name": "moon_name", "type": "COMBO", "widget": {"name": "moon_name"}, "link": None}],
    "widgets_values": ["sub/moon.safetensors"],
    "properties": {
        "cnr_id": "moon-nodes",
        "aux_id": "someone/moon-nodes",
        "ver": "1.2",
        "models": [
            {
                "name": "moon.safetensors",
                "directory": "moons",
                "url": "https://example.com/moon.safetensors",
                "hash": "ab12",
                "hash_type": "SHA256",
            }
        ],
    },
}


def test_the_document_tells_which_pack_and_which_model_are_missing(graphengine: CommandLine, place: Path) -> None:
    (place / "moon.json").write_text(drawn(UNKNOWN))
    out = graphengine("validate", "moon.json", "--models", ".").out
    assert "the pack 'moon-nodes' at https://github.com/someone/moon-nodes (version 1.2) defines it" in out
    assert "input 'moon_name': no file 'sub/moon.safetensors' in the moons folder [missing_model]" in out
    assert "get it from https://example.com/moon.safetensors, its hash is SHA256:ab12" in out


def test_a_model_that_is_there_is_not_missing(graphengine: CommandLine, place: Path) -> None:
    (place / "moon.json").write_text(drawn(UNKNOWN))
    (place / "models" / "moons" / "sub").mkdir(parents=True)
    (place / "models" / "moons" / "sub" / "moon.safetensors").touch()
    done = graphengine("validate", "moon.json")
    assert "missing_model" not in done.out
    assert "unknown_node" in done.out


def test_definitions_of_a_server_are_used(graphengine: CommandLine, place: Path) -> None:
    inputs = {"moon_name": [["other.safetensors"]]}
    described = {"LoadMoon": {"input": {"required": inputs}, "output": [], "output_node": True}}
    (place / "object_info.json").write_text(json.dumps(described))
    (place / "moon.json").write_text(drawn(UNKNOWN))
    done = graphengine("validate", "moon.json", "--definitions", "object_info.json")
    assert "input 'moon_name' has no choice 'sub/moon.safetensors' [not_in_list]" in done.out
    assert "get it from https://example.com/moon.safetensors" in done.out


def test_github_annotations_name_file_and_line(graphengine: CommandLine, place: Path) -> None:
    write(place)
    done = graphengine("validate", "bad.json", "good.json", "--format", "github")
    lines = done.out.splitlines()
    assert done.code == 1
    assert lines[0].startswith("::error file=bad.json,line=1,title=missing_input::node 1 (StringLength): ")
    assert "%0Ahint: " in lines[0]
    assert lines[1].startswith("::error file=bad.json,line=3,title=missing_node::node 3 (PreviewAny): ")
    assert lines[-1] == "2 files: 1 without errors, 1 with errors (2 problems, 0 warnings)"


def test_github_annotations_are_escaped(graphengine: CommandLine, place: Path) -> None:
    (place / "a,b%.json").write_text('{"1": {"class_type": "x\\n::error::100%", "inputs": {}}}')
    lines = graphengine("validate", "a,b%.json", "--format", "github").out.splitlines()
    assert all(line.startswith(("::", "1 file")) for line in lines)
    assert any("file=a%2Cb%25.json," in line and "100%25" in line for line in lines)


def test_sarif_has_rules_results_and_what_was_not_checked(graphengine: CommandLine, place: Path) -> None:
    (place / "my flow.json").write_text(drawn(UNKNOWN))
    done = graphengine("validate", "my flow.json", "--format", "sarif")
    log = json.loads(done.out)
    (run,) = log["runs"]
    assert log["version"] == "2.1.0"
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert rules == sorted(rules)
    result = next(each for each in run["results"] if each["ruleId"] == "unknown_node")
    assert rules[result["ruleIndex"]] == "unknown_node"
    (location,) = result["locations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": "my%20flow.json"},
        "region": {"startLine": 4},
    }
    assert location["logicalLocations"][0]["fullyQualifiedName"] == "5"
    (note,) = run["invocations"][0]["toolExecutionNotifications"]
    assert note["message"]["text"].startswith("not checked: node 5 (LoadMoon)")


def test_sarif_of_an_absolute_path_is_a_file_uri(graphengine: CommandLine, place: Path) -> None:
    write(place)
    log = json.loads(graphengine("validate", str(place / "bad.json"), "--format", "sarif").out)
    uri = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == (place / "bad.json").as_uri()


def test_packs_are_loaded_when_asked(graphengine: CommandLine, place: Path) -> None:
    (place / "flow.json").write_text('{"1": {"class_type": "TrialSteps", "inputs": {"steps": 1000}}}')
    assert "steps" not in graphengine("validate", "flow.json").out
    done = graphengine("validate", "flow.json", "--load-packs")
    assert "input 'steps' is 1000, larger than its maximum 100" in done.out


BOTH = json.dumps(
    {
        "prompt": {"1": {"class_type": "PreviewAny", "inputs": {"source": 1}}},
        "workflow": {"nodes": [{"id": 1, "type": "Mystery"}], "links": []},
    }
)


def test_of_two_documents_the_one_that_ran_is_checked_and_their_difference_told(
    graphengine: CommandLine, place: Path
) -> None:
    (place / "both.json").write_text(BOTH)
    done = graphengine("validate", "both.json")
    assert done.code == 0
    assert "node 1 (PreviewAny) is of class Mystery in the editor's document [documents_differ]" in done.out
    assert "unknown_node" not in done.out


def test_from_ui_checks_what_the_editor_drew(graphengine: CommandLine, place: Path) -> None:
    (place / "both.json").write_text(BOTH)
    done = graphengine("validate", "both.json", "--from", "ui")
    assert done.code == 1
    assert "[documents_differ]" in done.out
    assert "node 1 (Mystery)" in done.out


def test_a_document_that_is_not_there_is_a_problem(graphengine: CommandLine, place: Path) -> None:
    write(place)
    done = graphengine("validate", "good.json", "--from", "ui")
    assert done.code == 1
    assert done.out.splitlines()[:3] == [
        "good.json: 1 problem",
        "  error: the file holds no document of the editor [unreadable]",
        "    hint: read it without --from ui",
    ]
