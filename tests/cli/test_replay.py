"""`graphengine replay`: what it says, what it writes, and its exit codes."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine

SAVED = {
    "1": {"class_type": "PrimitiveString", "inputs": {"value": "hello"}},
    "2": {"class_type": "TrialSave", "inputs": {"text": ["1", 0]}},
}


@pytest.fixture
def ran(graphengine: CommandLine, place: Path) -> Path:
    """The file that one recorded run saved."""
    (place / "flow.json").write_text(json.dumps(SAVED))
    assert graphengine("run", "flow.json", "--quiet").code == 0
    return place / "output" / "saved.txt"


def test_a_run_that_comes_out_the_same_ends_with_zero(graphengine: CommandLine, ran: Path) -> None:
    done = graphengine("replay", "@1", "--device", "cpu")
    assert done.code == 0
    assert done.out.splitlines()[0] == f"{ran}: identical bytes"
    assert done.out.splitlines()[1].startswith("identical bytes: 1 file, 1 of 1 nodes known to give the same, ")
    assert "2 nodes to run" in done.err


def test_a_file_is_found_by_its_bytes_and_its_place_left_alone(graphengine: CommandLine, ran: Path) -> None:
    written = ran.stat().st_mtime_ns
    done = graphengine("replay", "output/saved.txt", "--quiet", "--device", "cpu")
    assert (done.code, done.err) == (0, "")
    assert ran.stat().st_mtime_ns == written


def test_a_changed_file_ends_with_one_and_is_named(graphengine: CommandLine, ran: Path) -> None:
    ran.write_text("hullo")
    done = graphengine("replay", "output/saved.txt", "--device", "cpu")
    assert done.code == 1
    assert "warning: output/saved.txt is not as run" in done.err
    assert "changed since it was saved, bytes: the bytes differ from byte 1 on" in done.out


def test_json_holds_the_outcome_alone(graphengine: CommandLine, ran: Path) -> None:
    done = graphengine("replay", "@1", "--json", "--device", "cpu")
    told = json.loads(done.out)
    assert (told["level"], told["holds"], told["files"][0]["path"]) == ("bytes", True, str(ran))
    assert done.err == ""


def test_what_is_made_is_kept_when_asked_for(graphengine: CommandLine, ran: Path, place: Path) -> None:
    for _ in range(2):
        graphengine("replay", "@1", "-q", "--keep", "again", "--device", "cpu")
    assert sorted(path.name for path in (place / "again").iterdir()) == ["saved-2.txt", "saved.txt"]
    assert (place / "again" / "saved-2.txt").read_text() == "hello"


def test_a_page_is_written_when_asked_for(graphengine: CommandLine, ran: Path, place: Path) -> None:
    graphengine("replay", "@1", "-q", "--html", "page.html", "--device", "cpu")
    page = (place / "page.html").read_text()
    assert "saved.txt" in page
    assert "identical bytes" in page
    assert "<script" not in page


def test_set_gives_secrets_alone(graphengine: CommandLine, ran: Path) -> None:
    done = graphengine("replay", "@1", "--set", "1.value=other", "--device", "cpu")
    assert done.code == 2
    assert "node 1 (PrimitiveString): input 'value' is recorded, and a replay takes it as it is" in done.err


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("gone.png",), 2, "gone.png: there is no such file"),
        (("zzz",), 2, "the history has no run 'zzz'"),
        (("@9",), 2, "the history has 1 runs, there is no @9"),
        (("@1", "--tolerance", "near"), 2, "the tolerance 'near' is none"),
        (("flow.json",), 2, "flow.json is neither a saved output nor a record of a run"),
    ],
)
def test_wrong_words_are_explained(
    graphengine: CommandLine, ran: Path, words: tuple[str, ...], code: int, text: str
) -> None:
    done = graphengine("replay", *words, "--device", "cpu")
    assert done.code == code
    assert text in done.err + done.out


def test_a_run_that_failed_is_not_replayed(graphengine: CommandLine, place: Path) -> None:
    (place / "flow.json").write_text(
        json.dumps({"1": {"class_type": "TrialFailure", "inputs": {"message": "no"}}})
    )
    graphengine("run", "flow.json", "--quiet")
    done = graphengine("replay", "@1", "--device", "cpu")
    assert done.code == 1
    assert "cannot be replayed: run" in done.err
