"""`graphengine test` and `graphengine nodes new`: what they write, and with which exit code they end."""

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine

BROKEN = Path(__file__).parent.parent / "testing" / "packs" / "broken_nodes.py"


@pytest.fixture
def pack(place: Path) -> str:
    return Path(shutil.copy(BROKEN, place)).name


def test_findings_stand_below_their_node_with_file_and_line(graphengine: CommandLine, pack: str) -> None:
    done = graphengine("test", pack, "--node", "To255", "--node", "Picture")
    assert done.code == 1
    first, finding, *_, last = done.out.splitlines()
    assert first == "To255"
    assert finding.startswith("  output 0 (IMAGE) holds numbers from ")
    assert "[out_of_range] (broken_nodes.py:" in finding
    assert last.startswith("2 nodes: 1 keep what they promise, 1 do not (")


def test_a_good_node_ends_with_zero(graphengine: CommandLine, pack: str) -> None:
    done = graphengine("test", pack, "--node", "Picture", "--examples", "2")
    assert (done.code, done.out) == (0, "1 node: 1 keep what they promise, 0 do not (0 findings)\n")


def test_json_has_a_summary_and_a_badge(graphengine: CommandLine, pack: str) -> None:
    done = graphengine("test", pack, "--node", "GradMode", "--node", "Picture", "--format", "json")
    report = json.loads(done.out)
    assert report["summary"] == {"nodes": 2, "good": 1, "findings": 1, "switched_off": 0, "not_called": 0}
    assert report["badge"]["message"] == "1 of 2"
    assert report["nodes"][0]["findings"][0]["code"] == "global_state"


def test_sarif_and_annotations_point_at_the_class(graphengine: CommandLine, pack: str) -> None:
    line = BROKEN.read_text().splitlines().index("class NamesOfTwoOutputs(Picture):") + 1
    log = json.loads(graphengine("test", pack, "--node", "NamesOfTwoOutputs", "--format", "sarif").out)
    [result] = log["runs"][0]["results"]
    [rule] = log["runs"][0]["tool"]["driver"]["rules"]
    assert (rule["id"], "return_types in docs/node-checks.md" in rule["help"]["text"]) == ("return_types", True)
    place = result["locations"][0]["physicalLocation"]
    assert (result["ruleId"], place["region"]["startLine"]) == ("return_types", line)
    assert place["artifactLocation"]["uri"] == "broken_nodes.py"
    done = graphengine("test", pack, "--node", "NamesOfTwoOutputs", "--format", "github")
    assert done.out.startswith(f"::error file=broken_nodes.py,line={line},title=return_types::NamesOfTwoOutputs")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("raise ValueError('no key is set')\n", "ValueError: no key is set"),
        ("import os\nos._exit(3)\n", "ends the process with code 3"),
        ("print('hello')\n", "has no NODE_CLASS_MAPPINGS and no comfy_entrypoint"),
        ("def broken(:\n", "invalid syntax"),
    ],
    ids=["raises", "exits", "no nodes", "syntax"],
)
def test_a_pack_that_cannot_be_imported_is_a_finding(
    graphengine: CommandLine, place: Path, content: str, told: str
) -> None:
    (place / "wrong.py").write_text(content)
    done = graphengine("test", "wrong.py")
    assert done.code == 1
    assert done.out.startswith("the pack\n")
    assert told in done.out
    assert "[imports_alone]" in done.out


def test_what_is_no_pack_is_told(graphengine: CommandLine, place: Path, pack: str) -> None:
    assert graphengine("test", "nowhere").code == 2
    assert graphengine("test", pack, "--node", "Nothing").code == 2
    (place / "empty").mkdir()
    done = graphengine("test", "empty")
    assert done.code == 1
    assert "there is no pack at" in done.out


def test_a_new_pack_is_written_once(graphengine: CommandLine, place: Path) -> None:
    done = graphengine("nodes", "new", "my-nodes", "--style", "typed")
    assert done.code == 0
    assert done.out.splitlines()[-1] == "try it: cd my-nodes && pytest"
    assert "comfy_entrypoint" in (place / "my-nodes" / "__init__.py").read_text()
    again = graphengine("nodes", "new", "my-nodes")
    assert again.code == 1
    assert "there is something at" in again.err
