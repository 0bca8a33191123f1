import json
from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine

PACK = (
    'import subprocess\nfrom pathlib import Path\nPath("imported").touch()\ndef run(x):\n    subprocess.run(x)\n'
)


@pytest.fixture
def pack(place: Path) -> Path:
    """A pack that says when it is imported."""
    folder = place / "packs" / "starter"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(PACK)
    return folder


def test_findings_are_told_with_file_and_line(graphengine: CommandLine, pack: Path) -> None:
    done = graphengine("nodes", "check", "starter", "--custom-nodes", "packs")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "starter: 0 errors, 1 warning, 1 note",
        "  warning: __init__.py:5: subprocess.run(): starts other programs [starts_process]",
        "  note: __init__.py:3: line 3: importing the file calls functions, which may do anything "
        "[acts_at_import]",
    ]
    assert not Path("imported").exists()


def test_an_error_is_exit_code_1(graphengine: CommandLine, pack: Path) -> None:
    (pack / "lib.so").write_bytes(b"")
    done = graphengine("nodes", "check", str(pack), "--least", "error")
    assert done.code == 1
    assert done.out.splitlines()[1:] == [
        "  error: lib.so:1: a compiled library or program, which cannot be read [binary_file]"
    ]


def test_programs_read_json_and_sarif(graphengine: CommandLine, pack: Path) -> None:
    report = json.loads(graphengine("nodes", "check", str(pack), "--json").out)
    assert [each["code"] for each in report["packs"][0]["findings"]] == ["acts_at_import", "starts_process"]
    log = json.loads(graphengine("nodes", "check", str(pack), "--format", "sarif").out)
    (run,) = log["runs"]
    result = run["results"][1]
    assert (result["ruleId"], result["level"]) == ("starts_process", "warning")
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"].endswith("packs/starter/__init__.py")
    assert place["region"] == {"startLine": 5}
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == "starts_process"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["nothing-there"], 1, "there is no pack 'nothing-there'"),
        (["trial_nodes", "--json", "--format", "sarif"], 2, "two reports"),
        ([], 2, "Missing argument"),
    ],
)
def test_wrong_usage_is_told(graphengine: CommandLine, arguments: list[str], code: int, told: str) -> None:
    done = graphengine("nodes", "check", *arguments)
    assert done.code == code
    assert told in done.err
