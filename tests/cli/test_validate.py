"""`graphengine validate`: every problem of every file."""

import json
from pathlib import Path

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
    assert lines[-3:] == [
        "nowhere/x.json: 1 problem",
        "  error: there is no such file [unreadable]",
        "    hint: the folder nowhere does not exist or cannot be read",
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
    good, bad = json.loads(graphengine("validate", "good.json", "bad.json", "--json").out)
    assert good == {"file": "good.json", "valid": True, "problems": []}
    assert bad["valid"] is False
    assert {problem["node_id"] for problem in bad["problems"]} == {"1", "3"}
    assert all(problem["severity"] == "error" and problem["code"] for problem in bad["problems"])


def test_packs_are_loaded_when_asked(graphengine: CommandLine, place: Path) -> None:
    (place / "flow.json").write_text('{"1": {"class_type": "TrialSteps", "inputs": {"steps": 1000}}}')
    assert "steps" not in graphengine("validate", "flow.json").out
    done = graphengine("validate", "flow.json", "--load-packs")
    assert "input 'steps' is 1000, larger than its maximum 100" in done.out
