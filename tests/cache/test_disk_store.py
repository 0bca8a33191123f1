import errno
import json
import logging
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import JsonValue

from graphengine.cache.disk import DiskStore
from graphengine.cache.hashing import FileStamp
from graphengine.cache.store import Entry, Outputs, StoreStats
from graphengine.errors import SettingsError

LARGE = b"large " * 1000  # too long for the index, so it becomes a blob
SHOWN: dict[str, JsonValue] = {"images": [{"filename": "a.png"}]}


class Clock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def one(value: object) -> Outputs:
    return Outputs(((value,),))


def the_blob(root: Path) -> Path:
    (path,) = root.glob("blobs/??/*.safetensors")
    return path


def kept(store: DiskStore, keys: str) -> str:
    return "".join(key for key in keys if store.get(key) is not None)


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """The folder of a closed store with a small entry, "small", and one with a blob, "large"."""
    with DiskStore(tmp_path) as store:
        store.put("small", Outputs(((1,),), {"text": ["shown"]}))
        store.put("large", Outputs(((LARGE,),), SHOWN))
    return tmp_path


# --- between processes ---


def test_another_store_on_the_folder_finds_what_was_kept(filled: Path) -> None:
    with DiskStore(filled) as store:
        assert store.get("small") == Outputs(((1,),), {"text": ["shown"]})
        assert store.get("large") == Outputs(((LARGE,),), SHOWN)


def test_a_store_that_nobody_closed_keeps_what_was_put(tmp_path: Path) -> None:
    store = DiskStore(tmp_path, clock=Clock())
    store.put("key", one(1))
    del store
    with DiskStore(tmp_path) as again:
        assert again.get("key") == one(1)


def test_small_entries_wait_for_a_flush(tmp_path: Path) -> None:
    with DiskStore(tmp_path, clock=Clock()) as store, DiskStore(tmp_path) as other:
        store.put("key", one(1))
        assert other.get("key") is None
        store.flush()
        assert other.get("key") == one(1)


def test_a_put_after_a_quarter_of_a_second_writes_what_waits(tmp_path: Path) -> None:
    clock = Clock()
    with DiskStore(tmp_path, clock=clock) as store, DiskStore(tmp_path) as other:
        store.put("first", one(1))
        clock.now += 0.3
        store.put("second", one(2))
        assert set(other.peek_many(["first", "second"])) == {"first", "second"}


def test_an_entry_with_a_blob_is_written_at_once(tmp_path: Path) -> None:
    with DiskStore(tmp_path, clock=Clock()) as store, DiskStore(tmp_path) as other:
        store.put("key", one(LARGE))
        assert other.get("key") == one(LARGE)


def test_a_clock_that_jumps_back_loses_nothing(tmp_path: Path) -> None:
    clock = Clock()
    with DiskStore(tmp_path, clock=clock) as store:
        store.put("first", one(1))
        clock.now -= 10_000
        store.put("second", one(2))
        assert kept(store, ["first", "second"]) == "firstsecond"  # type: ignore[arg-type]  # keys of several letters


def test_a_closed_store_misses_and_keeps_nothing(filled: Path) -> None:
    store = DiskStore(filled)
    store.close()
    assert store.get("small") is None
    assert store.peek("small") is None
    assert not store.put("small", one(1))


WORKER = """
import sys
from pathlib import Path
from graphengine.cache.disk import DiskStore
from graphengine.cache.store import Outputs

first = int(sys.argv[2])
with DiskStore(Path(sys.argv[1])) as store:
    for number in range(first, first + 60):
        size = 10_000 if number % 5 == 0 else 10
        assert store.put(f"key{number}", Outputs(((bytes([number]) * size,),)))
        found = store.get(f"key{number - 20}")
        assert found is None or found.slots[0][0][0] == number - 20
"""


def test_several_processes_may_write_the_same_folder(tmp_path: Path) -> None:
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, tmp_path, str(first)], stderr=subprocess.PIPE)
        for first in (20, 20, 50, 80)
    ]
    errors = [worker.communicate()[1].decode() for worker in workers]
    assert errors == ["", "", "", ""]
    with DiskStore(tmp_path) as store:
        for number in range(20, 140):
            size = 10_000 if number % 5 == 0 else 10
            assert store.get(f"key{number}") == one(bytes([number]) * size)


def test_a_process_that_is_killed_leaves_a_sound_store(tmp_path: Path) -> None:
    script = WORKER.replace(
        "found = ", "number == 50 and __import__('os').kill(__import__('os').getpid(), 9); found = "
    )
    dead = subprocess.run([sys.executable, "-c", script, tmp_path, "20"], check=False, capture_output=True)
    assert dead.returncode == -9
    with DiskStore(tmp_path) as store:
        assert store.get("key25") == one(bytes([25]) * 10_000)
        assert store.put("key50", one(LARGE))
        assert store.get("key50") == one(LARGE)


# --- blobs ---


def test_blobs_are_named_by_their_digest(filled: Path) -> None:
    from hashlib import sha256

    path = the_blob(filled)
    assert path.parent.name + path.stem == sha256(path.read_bytes()).hexdigest()


def test_equal_outputs_share_a_blob(filled: Path) -> None:
    with DiskStore(filled) as store:
        assert store.put("other", one(LARGE))
    assert the_blob(filled).exists()


def test_nothing_temporary_is_left(filled: Path) -> None:
    assert list((filled / "tmp").iterdir()) == []


def test_temporary_files_of_dead_processes_are_removed_after_an_hour(filled: Path) -> None:
    old, new = filled / "tmp" / "old", filled / "tmp" / "new"
    old.touch()
    new.touch()
    os.utime(old, (1e9, 1e9))
    DiskStore(filled).close()
    assert (old.exists(), new.exists()) == (False, True)


def truncate(path: Path) -> None:
    os.truncate(path, 100)


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [truncate, flip_a_bit, Path.unlink])
def test_a_damaged_blob_is_a_miss_and_can_be_put_again(
    filled: Path, caplog: pytest.LogCaptureFixture, damage: object
) -> None:
    assert callable(damage)
    damage(the_blob(filled))
    with DiskStore(filled) as store:
        assert store.get("large") is None
        assert "a damaged entry" in messages(caplog)[0]
        assert store.peek("large") is None
        assert store.get("small") is not None
        assert store.put("large", one(LARGE))
        assert store.get("large") == one(LARGE)


def test_a_blob_swapped_for_another_is_a_miss(filled: Path) -> None:
    with DiskStore(filled) as store:
        swapped = the_blob(filled)
        store.put("other", one(LARGE + b"!"))
        (other,) = set(filled.glob("blobs/??/*.safetensors")) - {swapped}
        swapped.write_bytes(other.read_bytes())
        assert store.get("large") is None
        assert store.get("other") == one(LARGE + b"!")


def test_a_peek_reads_no_blob(filled: Path) -> None:
    the_blob(filled).unlink()
    with DiskStore(filled) as store:
        assert store.peek("large") == Entry(SHOWN)


# --- the index ---


@pytest.mark.parametrize("column", ["structure", "ui"])
def test_a_damaged_row_is_a_miss(filled: Path, column: str) -> None:
    index = sqlite3.connect(filled / "index.sqlite")
    index.execute(f"UPDATE actions SET {column} = '[' WHERE key = 'small'")
    index.commit()
    index.close()
    with DiskStore(filled) as store:
        assert store.get("small") is None
        assert store.peek("small") is None
        assert store.get("large") is not None


@pytest.mark.parametrize(
    "content", [b"no database at all, but some text " * 200, b"SQLite format 3\0" + b"\xff" * 9000]
)
def test_a_damaged_index_is_moved_aside(filled: Path, caplog: pytest.LogCaptureFixture, content: bytes) -> None:
    (filled / "index.sqlite").write_bytes(content)
    with DiskStore(filled) as store:
        assert "is damaged" in messages(caplog)[0]
        assert store.get("small") is None
        assert store.put("small", one(2))
        assert store.get("small") == one(2)
    (aside,) = filled.glob("index.sqlite.damaged-*")
    assert aside.read_bytes() == content


def test_a_database_of_somebody_else_is_moved_aside(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "index.sqlite")
    other.execute("CREATE TABLE actions (name TEXT)")
    other.close()
    with DiskStore(tmp_path) as store:
        assert store.put("key", one(1))
    assert len(list(tmp_path.glob("index.sqlite.damaged-*"))) == 1


def test_an_index_damaged_while_it_is_open_is_replaced(filled: Path, caplog: pytest.LogCaptureFixture) -> None:
    size = (filled / "index.sqlite").stat().st_size
    with DiskStore(filled) as store:
        with (filled / "index.sqlite").open("r+b") as file:
            file.write(b"\xff" * size)
        assert store.get("small") is None
        assert "is damaged" in messages(caplog)[0]
        assert store.put("small", one(2))
        store.flush()
        assert store.get("small") == one(2)


def test_an_index_of_a_later_release_is_left_alone(filled: Path, caplog: pytest.LogCaptureFixture) -> None:
    index = sqlite3.connect(filled / "index.sqlite")
    index.execute("PRAGMA user_version = 99")
    index.close()
    before = (filled / "index.sqlite").read_bytes()
    with DiskStore(filled) as store:
        assert store.get("small") is None
        assert not store.put("new", one(1))
        assert store.stats() == StoreStats(entries=0, bytes=0)
    assert len(messages(caplog)) == 1
    assert "later release (schema 99, this release knows 1)" in messages(caplog)[0]
    assert (filled / "index.sqlite").read_bytes() == before


# --- no room, no permission ---


def test_a_full_disk_makes_put_say_no_with_one_warning(
    filled: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with DiskStore(filled) as store:
        monkeypatch.setattr("graphengine.cache.blobs.os.fsync", full)
        assert not store.put("a", one(LARGE + b"a"))
        assert not store.put("b", one(LARGE + b"b"))
        assert len(messages(caplog)) == 1
        assert "No space left on device" in messages(caplog)[0]
        assert list((filled / "tmp").iterdir()) == []
        monkeypatch.undo()
        assert store.put("a", one(LARGE + b"a"))
        assert store.get("large") is not None


def test_a_full_index_makes_put_say_no_with_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    with DiskStore(tmp_path, clock=clock) as store:
        store.put("before", one(1))
        store.flush()
        limit_pages(store, 8)
        kept_all = []
        for number in range(100):
            clock.now += 1
            kept_all.append(store.put(f"key{number}", one("x" * 3000)))
        assert kept_all[0]
        assert not kept_all[-1]
        assert len(messages(caplog)) == 1
        assert "full" in messages(caplog)[0]
        assert store.get("before") == one(1)


def limit_pages(store: DiskStore, pages: int) -> None:
    """Make the index full at this size, as a full disk would."""
    index = store._index._index
    assert index is not None
    index._connection.execute(f"PRAGMA max_page_count = {pages}")


def test_a_file_in_place_of_the_folder_is_a_settings_error(tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(SettingsError, match=r"cache folder .* cannot be used") as caught:
        DiskStore(tmp_path / "cache")
    assert caught.value.hint == "choose another folder with --cache, or run with --no-cache"


def test_a_folder_in_place_of_the_index_is_a_settings_error(tmp_path: Path) -> None:
    (tmp_path / "index.sqlite").mkdir()
    with pytest.raises(SettingsError, match="unable to open database file"):
        DiskStore(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_read_only_folder_is_a_settings_error(filled: Path) -> None:
    filled.joinpath("tmp").chmod(0o500)
    with pytest.raises(SettingsError, match="Permission denied"):
        DiskStore(filled)


def test_a_vanished_folder_is_made_again(tmp_path: Path) -> None:
    import shutil

    with DiskStore(tmp_path / "cache") as store:
        shutil.rmtree(tmp_path / "cache")
        store.put("key", one(LARGE))
        assert store.get("key") in (None, one(LARGE))


def test_what_a_node_shows_must_be_json(tmp_path: Path) -> None:
    with DiskStore(tmp_path) as store:
        assert not store.put("key", Outputs((), {"picture": object()}))  # type: ignore[dict-item]  # a careless node
        assert store.get("key") is None


# --- how much ---


def test_the_least_recently_used_entries_are_evicted(tmp_path: Path) -> None:
    clock = Clock()
    with DiskStore(tmp_path, limit_bytes=30_000, clock=clock) as store:
        for key in "abc":
            store.put(key, one(key.encode() * 8000))
            clock.now += 3600
        store.get("a")
        clock.now += 3600
        store.put("d", one(b"d" * 8000))
        assert kept(store, "abcd") == "acd"
        assert len(list(tmp_path.glob("blobs/??/*.safetensors"))) == 3


def test_a_blob_that_another_key_names_survives_eviction(tmp_path: Path) -> None:
    clock = Clock()
    with DiskStore(tmp_path, limit_bytes=20_000, clock=clock) as store:
        for key, value in (("a", b"1"), ("b", b"1"), ("c", b"2")):
            store.put(key, one(value * 8000))
            clock.now += 3600
        store.get("b")
        clock.now += 3600
        store.put("d", one(b"4" * 8000))
        assert kept(store, "abcd") == "bd"


def test_a_lower_limit_holds_from_the_start(filled: Path) -> None:
    with DiskStore(filled, limit_bytes=100) as store:
        assert store.get("large") is None
    assert list(filled.glob("blobs/??/*.safetensors")) == []


def test_an_entry_above_the_limit_is_not_kept(tmp_path: Path) -> None:
    with DiskStore(tmp_path, limit_bytes=1000) as store:
        assert store.put("small", one(1))
        assert not store.put("large", one(LARGE))
        assert kept(store, ["small", "large"]) == "small"  # type: ignore[arg-type]  # keys of several letters


def test_stats_count_entries_and_bytes(filled: Path) -> None:
    with DiskStore(filled) as store:
        size = the_blob(filled).stat().st_size
        assert store.stats().entries == 2
        assert 0 < store.stats().bytes - size < 100


def test_clearing_removes_every_blob(filled: Path) -> None:
    with DiskStore(filled) as store:
        store.clear()
        assert store.get("small") is None
        assert store.stats() == StoreStats(entries=0, bytes=0)
        assert list(filled.glob("blobs/??/*")) == []


# --- files ---


def test_fingerprints_are_remembered_for_the_next_process(tmp_path: Path) -> None:
    stamp = FileStamp("/models/\udcff.safetensors", 2**40, 1_700_000_000_123_456_789, 2**64 - 1)
    with DiskStore(tmp_path) as store:
        assert store.recall(stamp) is None
        store.remember(stamp, "sampled:00")
        assert store.recall(stamp) == "sampled:00"
        assert store.recall(stamp._replace(size=1)) is None
    with DiskStore(tmp_path) as again:
        assert again.recall(stamp) == "sampled:00"
        assert again.recall(stamp._replace(mtime_ns=0)) is None
        assert again.recall(stamp._replace(inode=0)) is None


def test_a_path_has_one_fingerprint(tmp_path: Path) -> None:
    stamp = FileStamp("/a.png", 1, 2, 3)
    with DiskStore(tmp_path) as store:
        store.remember(stamp, "sha256:old")
        store.flush()
        store.remember(stamp._replace(mtime_ns=4), "sha256:new")
        assert store.recall(stamp) is None
        store.flush()
        assert store.recall(stamp) is None
        assert store.recall(stamp._replace(mtime_ns=4)) == "sha256:new"


# --- without torch ---

READER = """
import json, sys
from pathlib import Path
from graphengine.cache.disk import DiskStore

with DiskStore(Path(sys.argv[1])) as store:
    shown = {key: dict(entry.ui) for key, entry in store.peek_many(["small", "tensor"]).items()}
    small = store.get("small").slots[0][0]
print(json.dumps([shown, small, sorted({"torch", "numpy", "safetensors"} & set(sys.modules))]))
"""


def test_peeks_and_plain_entries_import_neither_torch_nor_numpy(filled: Path) -> None:
    import torch

    with DiskStore(filled) as store:
        store.put("tensor", Outputs(((torch.ones(2),),), {"text": ["tensor"]}))
    done = subprocess.run([sys.executable, "-c", READER, filled], check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == [{"small": {"text": ["shown"]}, "tensor": {"text": ["tensor"]}}, 1, []]
