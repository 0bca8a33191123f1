"""The history of a project: what is written can be found again, whatever happened to the folder meanwhile."""

import logging
import os
import sqlite3
import subprocess
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine.errors import GraphEngineError, SettingsError
from graphengine.provenance.history.history import History, new_run_id
from graphengine.provenance.history.past_run import PAST_RUN, PastRun, UsedFile
from tests.provenance.history.past_runs import CONTENT, DOCUMENT, WORKFLOW, output, past_run


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "project" / ".graphengine")


def ids(history: History) -> list[str]:
    return [run.id for run in history.runs()]


def add(history: History, *runs: PastRun) -> None:
    for run in runs:
        assert history.add(run, {WORKFLOW: CONTENT})


def test_runs_come_back_as_they_were_the_last_first(history: History) -> None:
    first, second = past_run(1), past_run(2, outputs=(output("a"),), seeds={"3.seed": 2**64 - 1})
    add(history, first, second)
    assert list(history.runs()) == [second, first]
    assert list(history.runs(most=1)) == [second]


def test_a_folder_without_a_history_has_no_runs_and_none_is_made_by_looking(history: History) -> None:
    assert list(history.runs()) == list(history.runs(file="flow.json")) == history.of_output("0" * 64) == []
    assert not history.root.exists()


def test_the_folder_keeps_itself_out_of_the_repository(history: History) -> None:
    add(history, past_run())
    environment = {"GIT_CONFIG_GLOBAL": os.devnull, "PATH": os.environ["PATH"]}
    for arguments in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *arguments], cwd=history.project, env=environment, check=True)
    listed = subprocess.run(
        ["git", "ls-files"], cwd=history.project, env=environment, check=True, capture_output=True
    )
    assert listed.stdout == b""


def test_runs_of_a_file_are_found_by_its_path_and_by_its_name(history: History) -> None:
    add(history, past_run(1), past_run(2, file="other.json"), past_run(3))
    by_path = history.runs(file=history.project / "flow.json")
    assert [run.id for run in by_path] == [run.id for run in history.runs(file="flow.json")]
    assert [run.id for run in history.runs(file="other.json")] == [past_run(2).id]


def test_files_below_the_project_are_named_relative_to_it(history: History) -> None:
    assert history.name_of(history.project / "a" / ".." / "b" / "c.png") == "b/c.png"
    assert history.name_of(history.project.parent / "elsewhere.png") == str(
        history.project.parent / "elsewhere.png"
    )


def test_the_runs_of_an_output_are_found_by_its_bytes_and_by_its_path(history: History) -> None:
    add(history, past_run(1, outputs=(output("a"),)), past_run(2, outputs=(output("b"),)))
    assert [run.id for run in history.of_output(output("a").sha256)] == [past_run(1).id]
    of_path = history.of_path(history.project / "output" / "1.txt")
    assert [run.id for run in of_path] == [past_run(2).id, past_run(1).id]


def test_a_run_is_found_by_its_id_by_its_ends_and_by_counting(history: History) -> None:
    first, second = past_run(1), past_run(2)
    add(history, first, second)
    for text in (first.id, first.id[:20], "000001", "@2"):
        assert history.find(text) == first
    assert history.find("@1") == second


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("20261122", f"give more of one id: {past_run(2).id}, {past_run(1).id}"),
        ("20261122-205101001-00000f", f"did you mean {past_run(1).id}?"),
        ("no such", "graphengine log lists the runs"),
        ("", "graphengine log lists the runs"),
        ("@3", "see graphengine log"),
        ("@0", "@1 is the last run, @2 the one before"),
        ("@x", "@1 is the last run, @2 the one before"),
    ],
)
def test_what_names_no_run_or_several_is_refused_with_near_ones(history: History, text: str, hint: str) -> None:
    add(history, past_run(1), past_run(2))
    with pytest.raises(SettingsError) as refused:
        history.find(text)
    assert refused.value.hint == hint


def test_an_id_sorts_by_time_and_is_never_given_twice() -> None:
    made = [new_run_id(1_795_380_661.0 + step / 1000) for step in range(50)]
    assert made == sorted(made)
    assert len({new_run_id(1.0) for _ in range(200)}) == 200


def test_a_document_is_kept_once_and_read_by_its_hash(history: History) -> None:
    add(history, past_run(1), past_run(2))
    assert history.document(WORKFLOW) == DOCUMENT
    assert len(list((history.root / "documents").rglob("*.gz"))) == 1


@pytest.mark.parametrize("damage", [b"", b"no gzip", "other"])
def test_a_damaged_or_exchanged_document_is_refused(history: History, damage: bytes | str) -> None:
    other = sha256(b"{}").hexdigest()
    history.add(past_run(), {WORKFLOW: CONTENT, other: b"{}"})
    place = history.root / "documents" / WORKFLOW[:2] / f"{WORKFLOW}.json.gz"
    exchanged = history.root / "documents" / other[:2] / f"{other}.json.gz"
    place.write_bytes(damage if isinstance(damage, bytes) else exchanged.read_bytes())
    with pytest.raises(GraphEngineError, match=r"cannot be read|not what was written"):
        history.document(WORKFLOW)


@pytest.mark.parametrize("name", ["0" * 64, "../../etc/passwd", "", "A" * 64])
def test_what_names_no_document_is_refused(history: History, name: str) -> None:
    add(history, past_run())
    with pytest.raises(GraphEngineError, match="document"):
        history.document(name)


def test_what_a_killed_process_left_is_passed_over_and_goes_with_the_next_run(
    history: History, caplog: pytest.LogCaptureFixture
) -> None:
    add(history, past_run(1))
    log = history.root / "runs.jsonl"
    whole = PAST_RUN.dump_json(past_run(2))
    with log.open("ab") as file:
        file.write(whole[:-20])
    assert ids(history) == [past_run(1).id]
    assert history.find("@1") == past_run(1)
    add(history, past_run(3))
    assert ids(history) == [past_run(3).id, past_run(1).id]
    assert b'"20261122-205101002' not in log.read_bytes()
    assert caplog.records == []


def test_damaged_lines_are_left_out_with_their_numbers(history: History, caplog: pytest.LogCaptureFixture) -> None:
    add(history, past_run(1))
    newer = PAST_RUN.dump_json(past_run(2)).replace(b'"format":1', b'"format":2')
    deep = b'{"id":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    with (history.root / "runs.jsonl").open("ab") as file:
        file.write(b"\n".join([b'{"id": 5}', newer, b"\xff\xfe", b"", deep]) + b"\n")
    add(history, past_run(3))
    assert ids(history) == [past_run(3).id, past_run(1).id]
    told = sorted(record.getMessage().partition(" is left out")[0] for record in caplog.records)
    log = history.root / "runs.jsonl"
    assert told == [f"line {number} of {log}" for number in (2, 3, 4, 6)]
    assert [run.id for run in history.runs(file="flow.json")] == [past_run(3).id, past_run(1).id]


@pytest.mark.parametrize("damage", ["missing", "text", "empty", "cut", "other tables"])
def test_an_index_that_is_not_sound_is_made_anew(history: History, damage: str) -> None:
    add(history, *(past_run(number, outputs=(output(str(number)),)) for number in range(1, 40)))
    wanted = history.of_output(output("7").sha256)
    index = history.root / "index.sqlite"
    match damage:
        case "missing":
            index.unlink()
        case "text":
            index.write_text("this is no database, whatever it is called; " * 100)
        case "empty":
            index.write_bytes(b"")
        case "cut":
            index.write_bytes(index.read_bytes()[:5000])
        case _:
            index.unlink()
            with sqlite3.connect(index) as other:
                other.execute("CREATE TABLE runs (id INTEGER)")
            other.close()
    assert history.of_output(output("7").sha256) == wanted == [past_run(7, outputs=(output("7"),))]


def test_the_index_follows_lines_that_are_added_removed_and_exchanged(history: History) -> None:
    add(history, past_run(1), past_run(2))
    assert len(list(history.runs(file="flow.json"))) == 2
    log = history.root / "runs.jsonl"
    add(history, past_run(3))
    assert len(list(history.runs(file="flow.json"))) == 3
    log.write_bytes(log.read_bytes().partition(b"\n")[0] + b"\n")
    assert len(list(history.runs(file="flow.json"))) == 1
    log.write_bytes(PAST_RUN.dump_json(past_run(9, file="elsewhere.json"), exclude_defaults=True) + b"\n")
    assert list(history.runs(file="flow.json")) == []
    log.unlink()
    assert list(history.runs(file="elsewhere.json")) == []


def test_what_cannot_be_written_is_told_once_and_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    history = History(tmp_path / "file" / ".graphengine")
    assert not history.add(past_run(1), {WORKFLOW: CONTENT})
    assert not history.add(past_run(2), {WORKFLOW: CONTENT})
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_a_history_whose_index_cannot_be_written_is_read_all_the_same(history: History) -> None:
    add(history, past_run(1))
    (history.root / "index.sqlite").mkdir()
    assert [run.id for run in history.runs(file="flow.json")] == [past_run(1).id]


def test_a_history_that_cannot_be_read_is_an_error_that_names_it(history: History) -> None:
    (history.root / "runs.jsonl").mkdir(parents=True)
    for ask in (lambda: list(history.runs()), lambda: history.of_output("0" * 64), lambda: history.find("x")):
        with pytest.raises(GraphEngineError, match="cannot be read"):
            ask()


@given(
    texts=st.lists(st.text(max_size=20), min_size=1, max_size=4),
    seconds=st.floats(0, 1e9),
    value=st.recursive(st.none() | st.booleans() | st.text(max_size=5) | st.integers(-(2**70), 2**70), st.lists),
)
def test_whatever_names_and_values_a_run_has_it_is_one_line(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], seconds: float, value: object
) -> None:
    history = History(tmp_path_factory.mktemp("project") / ".graphengine")
    file = UsedFile("1", "image", "input", texts[0], texts[-1], "0" * 64)
    run = replace(past_run(), seconds=seconds, parameters={"1.value": value}, files=(file,), targets=tuple(texts))  # type: ignore[dict-item]  # JSON
    can_be_written = all(text.isascii() or text.encode("utf-8", "replace").decode() == text for text in texts)
    if history.add(run, {}):
        assert list(history.runs()) == [run]
    else:
        assert not can_be_written
