"""What quick nodes gave survives the end of the process, from the moment that it was put."""

import logging
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphengine.cache.disk import DiskStore
from graphengine.cache.journal import Journal, left_journals
from graphengine.cache.rows import Action, Content, marked
from graphengine.cache.store import Made, Outputs
from tests.cache.test_disk_troubles import program

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there are no such locks, and so no journals")


def action(key: str, content: str | None = None) -> Action:
    structure = None if content else '["l",0]'
    return marked(Action(key, content, structure, "{}", "d1 d2", 7, "Add", 0.001, "us 1.0", 1.0, 2.0))


def quick(value: object) -> Outputs:
    return Outputs(((value,),), made=Made("Add", 0.0))


def rows(folder: Path) -> list[tuple[Action, Content | None, str | None]]:
    return [row for left in left_journals(folder) for row in left.rows]


def written(folder: Path, *given: Action) -> Path:
    """A journal whose writer is gone."""
    journal = Journal(folder)
    for each in given:
        journal.add(each, None, None)
    kept = journal.path.read_bytes()
    journal.discard()
    journal.path.write_bytes(kept)
    return journal.path


def test_the_journal_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.add(action("a"), None, None)
    assert list(left_journals(tmp_path)) == []
    journal.discard()
    assert list(tmp_path.iterdir()) == []


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    inline = Content("c1", "", 3, 3, b"\x00\n\xff", 1.0)
    staged = Content("c2", "zstd", 9, 10, None, 1.0)
    journal = Journal(tmp_path)
    journal.add(action("a", "c1"), inline, None)
    journal.add(action("b", "c1"), None, None)
    journal.add(action("ü", "c2"), staged, Path("/cache/v2/tmp/12-ab"))
    kept = journal.path.read_bytes()
    journal.discard()
    journal.path.write_bytes(kept)
    assert rows(tmp_path) == [
        (action("a", "c1"), inline, None),
        (action("b", "c1"), None, None),
        (action("ü", "c2"), staged, "12-ab"),
    ]


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 600), tail=st.binary(max_size=40), flip=st.integers(0, 600))
def test_of_a_damaged_journal_the_sound_rows_at_its_beginning_count(
    tmp_path_factory: pytest.TempPathFactory, cut: int, tail: bytes, flip: int
) -> None:
    folder = tmp_path_factory.mktemp("journals")
    keys = [f"key{number}" for number in range(6)]
    path = written(folder, *(action(key) for key in keys))
    data = bytearray(path.read_bytes())
    if flip < len(data):
        data[flip] ^= 0x41
    path.write_bytes(bytes(data[:cut] if cut < len(data) else data) + tail)
    found = [row[0].key for row in rows(folder)]
    assert found == keys[: len(found)]


def test_a_name_that_leads_out_of_the_folder_is_no_row(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    outside = type("Named", (), {"name": "../../../etc/passwd"})()
    journal.add(action("a", "c"), Content("c", "", 1, 1, None, 1.0), outside)
    kept = journal.path.read_bytes()
    journal.discard()
    journal.path.write_bytes(kept)
    assert rows(tmp_path) == []


@pytest.mark.parametrize("value", [5, 20_000, 200_000], ids=["row", "in the row", "blob"])
def test_what_a_quick_node_gave_is_there_after_a_kill_under_both_keys(tmp_path: Path, value: int) -> None:
    text = f"b'x' * {value}" if value > 5 else "5"
    done = program(
        f"""
store = DiskStore(folder, delay_s=3600)
assert store.put("recipe", outputs({text}, 0.0))
assert store.alias("content", "recipe")
os.kill(os.getpid(), signal.SIGKILL)
""",
        tmp_path,
    )
    assert done.returncode == -9, done.stderr
    with DiskStore(tmp_path) as store:
        assert store.get("recipe") == store.get("content") == quick(b"x" * value if value > 5 else 5)
    assert list((tmp_path / "v2" / "journals").iterdir()) == []


def test_what_was_committed_is_in_no_journal_any_more(tmp_path: Path) -> None:
    with DiskStore(tmp_path, delay_s=3600) as store:
        store.put("a", quick(1))
        assert len(list((tmp_path / "v2" / "journals").iterdir())) == 1
        store.flush()
        assert list((tmp_path / "v2" / "journals").iterdir()) == []


def test_without_room_for_a_journal_quick_nodes_are_committed_at_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with DiskStore(tmp_path, delay_s=3600) as store, DiskStore(tmp_path) as other:
        (tmp_path / "v2" / "journals").write_text("no folder")
        with caplog.at_level(logging.WARNING):
            assert store.put("a", quick(1))
        assert other.get("a") == quick(1)
    assert caplog.records == []


def test_a_journal_that_was_committed_and_not_removed_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with DiskStore(tmp_path, delay_s=3600) as store:
        store.put("a", quick(b"x" * 200_000))
        (journal,) = (tmp_path / "v2" / "journals").iterdir()
        kept = journal.read_bytes()
    journal.write_bytes(kept)
    with DiskStore(tmp_path) as store:
        assert store.get("a") == quick(b"x" * 200_000)
    assert not journal.exists()
    assert caplog.records == []
