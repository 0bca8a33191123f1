"""`graphengine run --record`: what it tells, and what it refuses."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine

ADDING = {
    "1": {"class_type": "PrimitiveInt", "inputs": {"value": 4}},
    "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}, "_meta": {"title": "Shown"}},
    "3": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
}


@pytest.fixture
def flow(place: Path) -> str:
    """A workflow that shows a number twice."""
    (place / "flow.json").write_text(json.dumps(ADDING))
    return "flow.json"


def test_a_node_is_named_by_its_title_and_the_test_is_told_with_its_size(
    graphengine: CommandLine, flow: str, place: Path
) -> None:
    done = graphengine("run", flow, "--record", "Shown")
    assert done.code == 0, done.err
    line = done.out.splitlines()[-1]
    assert line.startswith(
        f"recorded node 2 (PreviewAny): {Path('tests/recorded/test_recorded_flow_previewany_2.py')} ("
    )
    assert "2 files, " in line or "3 files, " in line
    assert "source=4," in (place / "tests/recorded/test_recorded_flow_previewany_2.py").read_text()


def test_changes_and_targets_count(graphengine: CommandLine, flow: str, place: Path) -> None:
    options = ("--target", "3", "--set", "1.value=7", "-o", "recorded", "--quiet")
    done = graphengine("run", flow, "--record", "PrimitiveInt", "--record", "3", *options)
    assert done.code == 0, done.err
    assert done.out.splitlines()[-2:] == [
        "recorded/test_recorded_flow_primitiveint_1.py",
        "recorded/test_recorded_flow_previewany_3.py",
    ]
    assert "value=7," in (place / "recorded" / "test_recorded_flow_primitiveint_1.py").read_text()


def test_json_stays_json(graphengine: CommandLine, flow: str) -> None:
    done = graphengine("run", flow, "--record", "1", "--json")
    assert json.loads(done.out)["status"] == "success"
    assert "recorded node 1 (PrimitiveInt)" in done.err


def test_an_edited_test_is_told_of(graphengine: CommandLine, flow: str, place: Path) -> None:
    graphengine("run", flow, "--record", "1")
    test = place / "tests" / "recorded" / "test_recorded_flow_primitiveint_1.py"
    test.write_text("# mine\n")
    done = graphengine("run", flow, "--record", "1")
    assert done.out.splitlines()[-2].startswith(
        "recorded node 1 (PrimitiveInt): tests/recorded/test_recorded_flow_primi"
    )
    assert done.out.splitlines()[-1] == f"  {test.relative_to(place)} was edited, so it was left alone"
    assert test.read_text() == "# mine\n"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--record", "1", "--jobs", "2"], "it does not go with --jobs"),
        (["--record", "1", "--check-pure"], "it does not go with --check-pure"),
        (["--record", "1", "--sweep", "1.value=1..3"], "it does not go with --sweep"),
        (["--record", "1", "--record-max", "much"], "'much' is no size"),
        (["--record", "1", "--record-max", "0"], "leaves nothing to record"),
        (["--record-max", "1MB"], "it needs --record"),
        (["-o", "x"], "it needs --record"),
    ],
)
def test_what_does_not_go_together_is_refused(
    graphengine: CommandLine, flow: str, options: list[str], told: str
) -> None:
    done = graphengine("run", flow, *options)
    assert done.code == 2
    assert told in " ".join(done.err.replace("│", " ").split())


def test_a_node_that_is_not_there_is_named(graphengine: CommandLine, flow: str) -> None:
    done = graphengine("run", flow, "--record", "Showm")
    assert done.code == 2
    assert "did you mean 'Shown'?" in done.err


def test_a_folder_that_cannot_be_written_to_is_named(graphengine: CommandLine, flow: str, place: Path) -> None:
    (place / "taken").write_text("")
    done = graphengine("run", flow, "--record", "1", "-o", "taken/below")
    assert done.code == 1
    assert "the recording cannot be written to 'taken/below'" in done.err
