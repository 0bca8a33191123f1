"""`graphengine show`."""

import json
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from graphengine.provenance.history.past_run import PAST_RUN
from tests.cli.conftest import CommandLine
from tests.cli.test_log import FLOW


@pytest.fixture
def flow(place: Path) -> Path:
    file = place / "flow.json"
    file.write_text(json.dumps(FLOW))
    return file


def test_a_run_is_shown_with_all_that_is_known_of_it(graphengine: CommandLine, flow: Path) -> None:
    graphengine("run", "flow.json", "--set", "1.value=6")
    done = graphengine("show", "@1")
    assert (done.code, done.err) == (0, "")
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    for expected in ("file flow.json", "1.value 6", "2 TrialSave"):
        assert any(line.startswith(expected) for line in lines), expected
    assert any(line.startswith("2 output/saved.txt 1 bytes") for line in lines)


def test_as_json_it_is_the_record_itself(graphengine: CommandLine, flow: Path) -> None:
    graphengine("run", "flow.json")
    done = graphengine("show", "@1", "--json")
    run = PAST_RUN.validate_json(done.out)
    assert TypeAdapter(dict[str, object]).validate_json(done.out)["id"] == run.id
    assert graphengine("show", run.id[-6:], "--json").out == done.out


def test_the_document_can_be_run_again(graphengine: CommandLine, flow: Path) -> None:
    graphengine("run", "flow.json", "--set", "2.text=again")
    Path("copy.json").write_text(graphengine("show", "@1", "--document").out)
    done = graphengine("run", "copy.json", "-q")
    assert (done.code, done.out) == (0, "output/saved.txt\n")
    assert Path("output/saved.txt").read_text() == "again"


def test_a_saved_file_names_the_run_that_wrote_it(graphengine: CommandLine, flow: Path) -> None:
    graphengine("run", "flow.json")
    graphengine("run", "flow.json")
    last, first = json.loads(graphengine("log", "--json").out)
    assert last["outputs"][0]["is_new"] is False
    assert json.loads(graphengine("show", "output/saved.txt", "--json").out)["id"] == first["id"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("@9", "there is no @9"),
        ("zzz", "the history has no run 'zzz'"),
        ("flow.json", "no run in the history made"),
    ],
)
def test_what_names_no_run_is_refused(graphengine: CommandLine, flow: Path, name: str, told: str) -> None:
    graphengine("run", "flow.json")
    done = graphengine("show", name)
    assert (done.code, done.out) == (2, "")
    assert told in done.err
