import errno
import json
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from pydantic import JsonValue

from graphengine.cache.disk import DiskStore
from graphengine.cache.hashing import FileStamp
from graphengine.cache.rows import Eviction
from graphengine.cache.store import UNKNOWN, Entry, Made, Outputs, StoreStats
from graphengine.cache.upkeep import clear
from graphengine.errors import SettingsError

LARGE = b"large " * 20_000  # too long for the index, so it becomes a blob
QUICK = Made(seconds=0.0)
SLOW = Made("KSampler", 3.0)
SHOWN: dict[str, JsonValue] = {"images": [{"filename": "a.png"}]}


class Clock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def one(value: object, made: Made = UNKNOWN) -> Outputs:
    return Outputs(((value,),), made=made)


def the_blob(root: Path) -> Path:
    (path,) = root.glob("v2/blobs/??/*.safetensors")
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
    store = DiskStore(tmp_path, delay_s=3600)
    store.put("key", one(1, QUICK))
    del store
    with DiskStore(tmp_path) as again:
        assert again.get("key") == one(1)


def test_small_entries_wait_for_a_flush(tmp_path: Path) -> None:
    with DiskStore(tmp_path, delay_s=3600) as store, DiskStore(tmp_path) as other:
        store.put("small", one(1, QUICK))
        store.put("large", one(LARGE, QUICK))
        assert other.peek_many(["small", "large"]) == {}
        assert (store.get("small"), store.get("large")) == (one(1), one(LARGE))
        store.flush()
        assert (other.get("small"), other.get("large")) == (one(1), one(LARGE))


def test_what_quick_nodes_gave_is_committed_soon_although_nobody_puts(tmp_path: Path) -> None:
    with DiskStore(tmp_path, delay_s=0.001) as store, DiskStore(tmp_path) as other:
        store.put("key", one(LARGE, QUICK))
        for thread in threading.enumerate():
            if isinstance(thread, threading.Timer):
                thread.join()
        assert other.get("key") == one(LARGE)


@pytest.mark.parametrize("value", [1, LARGE], ids=["small", "large"])
def test_what_a_slow_node_gave_is_committed_at_once(tmp_path: Path, value: object) -> None:
    with DiskStore(tmp_path, delay_s=3600) as store, DiskStore(tmp_path) as other:
        store.put("quick", one(2, QUICK))
        store.put("slow", one(value, SLOW))
        assert (other.get("quick"), other.get("slow")) == (one(2), one(value))


def test_a_thousand_entries_are_committed_at_once(tmp_path: Path) -> None:
    with DiskStore(tmp_path, delay_s=3600) as store, DiskStore(tmp_path) as other:
        for number in range(1001):
            store.put(f"key{number}", one(number, QUICK))
        assert other.get("key999") == one(999)
        assert other.get("key1000") is None


def test_a_clock_that_jumps_back_loses_nothing(tmp_path: Path) -> None:
    clock = Clock()
    with DiskStore(tmp_path, clock=clock) as store:
        store.put("first", one(1, QUICK))
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
import threading
from pathlib import Path
from graphengine.cache.disk import DiskStore
from graphengine.cache.store import Made, Outputs

first = int(sys.argv[2])
with DiskStore(Path(sys.argv[1])) as store:
    for number in range(first, first + 60):
        size = 100_000 if number % 5 == 0 else 10
        assert store.put(f"key{number}", Outputs(((bytes([number]) * size,),), made=Made(seconds=number % 3)))
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
            size = 100_000 if number % 5 == 0 else 10
            assert store.get(f"key{number}") == one(bytes([number]) * size)


def test_a_process_that_is_killed_leaves_a_sound_store(tmp_path: Path) -> None:
    script = WORKER.replace(
        "found = ", "number == 51 and __import__('os').kill(__import__('os').getpid(), 9); found = "
    )
    dead = subprocess.run([sys.executable, "-c", script, tmp_path, "20"], check=False, capture_output=True)
    assert dead.returncode == -9
    with DiskStore(tmp_path) as store:
        assert store.get("key25") == one(bytes([25]) * 100_000)
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
    assert list((filled / "v2" / "tmp").iterdir()) == []


def test_temporary_files_of_dead_processes_are_removed_after_an_hour(filled: Path) -> None:
    old, new = filled / "v2" / "tmp" / "old", filled / "v2" / "tmp" / "new"
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
        store.put("other", one(LARGE + b"!", SLOW))
        (other,) = set(filled.glob("v2/blobs/??/*.safetensors")) - {swapped}
        swapped.write_bytes(other.read_bytes())
        assert store.get("large") is None
        assert store.get("other") == one(LARGE + b"!")


def test_a_peek_reads_no_blob(filled: Path) -> None:
    the_blob(filled).unlink()
    with DiskStore(filled) as store:
        assert store.peek("large") == Entry(SHOWN)


# --- the index ---


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("structure", "'['"),
        ("structure", "replace(structure, '1', '2')"),
        ("structure", "NULL"),
        ("content", "(SELECT content FROM actions WHERE key = 'large')"),
        ("ui", "'['"),
        ("ui", "'{}'"),
        ("ui", "x'ff'"),
        ("digests", "'00'"),
        ("mark", "'mark'"),
    ],
)
def test_a_damaged_row_is_a_miss(filled: Path, column: str, value: str) -> None:
    index = sqlite3.connect(filled / "v2" / "index.sqlite")
    index.execute(f"UPDATE actions SET {column} = {value} WHERE key = 'small'")
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
    (filled / "v2" / "index.sqlite").write_bytes(content)
    with DiskStore(filled) as store:
        assert "is damaged" in messages(caplog)[0]
        assert store.get("small") is None
        assert store.put("small", one(2))
        assert store.get("small") == one(2)
    (aside,) = filled.glob("v2/index.sqlite.damaged-*")
    assert aside.read_bytes() == content


def test_a_database_of_somebody_else_is_moved_aside(tmp_path: Path) -> None:
    (tmp_path / "v2").mkdir()
    other = sqlite3.connect(tmp_path / "v2" / "index.sqlite")
    other.execute("CREATE TABLE actions (name TEXT)")
    other.close()
    with DiskStore(tmp_path) as store:
        assert store.put("key", one(1))
    assert len(list(tmp_path.glob("v2/index.sqlite.damaged-*"))) == 1


def test_an_index_damaged_while_it_is_open_is_replaced(filled: Path, caplog: pytest.LogCaptureFixture) -> None:
    size = (filled / "v2" / "index.sqlite").stat().st_size
    with DiskStore(filled) as store:
        with (filled / "v2" / "index.sqlite").open("r+b") as file:
            file.write(b"\xff" * size)
        assert store.get("small") is None
        assert "is damaged" in messages(caplog)[0]
        assert store.put("small", one(2))
        store.flush()
        assert store.get("small") == one(2)


def test_an_index_of_a_later_release_is_left_alone(filled: Path, caplog: pytest.LogCaptureFixture) -> None:
    index = sqlite3.connect(filled / "v2" / "index.sqlite")
    index.execute("PRAGMA user_version = 99")
    index.close()
    before = (filled / "v2" / "index.sqlite").read_bytes()
    with DiskStore(filled) as store:
        assert store.get("small") is None
        assert not store.put("new", one(1))
        assert store.stats() == StoreStats(entries=0, bytes=0)
    assert len(messages(caplog)) == 1
    assert "later release (schema 99, this release knows 2)" in messages(caplog)[0]
    assert (filled / "v2" / "index.sqlite").read_bytes() == before


# --- no room, no permission ---


def test_a_full_disk_makes_put_say_no_with_one_warning(
    filled: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with DiskStore(filled) as store:
        monkeypatch.setattr("graphengine.cache.blobs.os.fsync", full)
        assert not store.put("a", one(LARGE + b"a", SLOW))
        assert not store.put("b", one(LARGE + b"b", SLOW))
        assert len(messages(caplog)) == 1
        assert "No space left on device" in messages(caplog)[0]
        assert list((filled / "v2" / "tmp").iterdir()) == []
        monkeypatch.undo()
        assert store.put("a", one(LARGE + b"a"))
        assert store.get("large") is not None


def test_a_full_index_makes_put_say_no_with_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with DiskStore(tmp_path) as store:
        store.put("before", one(1))
        store.flush()
        limit_pages(store, 40)
        kept_all = [store.put(f"key{number}", one("x" * 3000, SLOW)) for number in range(100)]
        assert kept_all[0]
        assert not kept_all[-1]
        assert len(messages(caplog)) == 1
        assert "full" in messages(caplog)[0]
        assert store.get("before") == one(1)


def limit_pages(store: DiskStore, pages: int) -> None:
    """Make the index full at this size, as a full disk would."""
    store.index.ask(lambda index: index.connection.execute(f"PRAGMA max_page_count = {pages}"))


def test_a_file_in_place_of_the_folder_is_a_settings_error(tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(SettingsError, match=r"cache folder .* cannot be used") as caught:
        DiskStore(tmp_path / "cache")
    assert caught.value.hint == "choose another folder with --cache, or run with --no-cache"


def test_an_index_that_cannot_be_opened_is_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "v2" / "index.sqlite").mkdir(parents=True)
    with DiskStore(tmp_path) as store:
        assert not store.put("key", one(1))
        assert store.get("key") is None
    assert len(messages(caplog)) == 1
    assert "unable to open database file; nothing is cached" in messages(caplog)[0]


def test_a_folder_that_vanishes_is_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with DiskStore(tmp_path / "cache") as store:
        store.put("before", one(1))
        store.put("large before", one(LARGE, SLOW))
        store.put("large too", one(LARGE + b"too", SLOW))
        shutil.rmtree(tmp_path / "cache")
        assert store.get("large before") is None
        assert store.get("large too") is None
        for key, value in (("a", LARGE), ("b", 1), ("c", LARGE)):
            assert not store.put(key, one(value, SLOW))
            assert store.get(key) is None
    assert len(messages(caplog)) == 1
    assert "has vanished: nothing more is cached" in messages(caplog)[0]
    assert not (tmp_path / "cache").exists()


def test_what_a_node_shows_must_be_json(tmp_path: Path) -> None:
    with DiskStore(tmp_path) as store:
        assert not store.put("key", Outputs((), {"picture": object()}))  # type: ignore[dict-item]  # a careless node
        assert store.get("key") is None


# --- how much ---


def test_the_least_recently_used_entries_are_evicted(tmp_path: Path) -> None:
    clock = Clock()
    with DiskStore(tmp_path, limit_bytes=300_000, clock=clock) as store:
        for key in "abc":
            store.put(key, one(key.encode() * 80_000))
            clock.now += 3600
        store.get("a")
        clock.now += 3600
        store.put("d", one(b"d" * 80_000))
        assert kept(store, "abcd") == "acd"
        store.flush()
        assert len(list(tmp_path.glob("v2/blobs/??/*.safetensors"))) == 3


def test_a_content_counts_as_used_when_any_of_its_keys_is(tmp_path: Path) -> None:
    clock = Clock()
    with DiskStore(tmp_path, limit_bytes=200_000, clock=clock) as store:
        for key, value in (("a", b"1"), ("b", b"1"), ("c", b"2")):
            store.put(key, one(value * 80_000))
            clock.now += 3600
        store.get("b")
        clock.now += 3600
        store.put("d", one(b"4" * 80_000))
        assert kept(store, "abcd") == "abd"


def test_a_use_in_the_future_counts_as_now(tmp_path: Path) -> None:
    clock = Clock()
    with DiskStore(tmp_path, limit_bytes=300_000, clock=clock) as store:
        clock.now += 1e9
        store.put("future", one(b"?" * 80_000))
        clock.now -= 1e9
        for key in "abcdef":
            store.put(key, one(key.encode() * 80_000))
            clock.now += 3600
        assert store.get("future") is None
        assert kept(store, "abcdef") == "def"


def test_what_is_evicted_is_told_with_time_and_reason(tmp_path: Path) -> None:
    clock = Clock()
    with DiskStore(tmp_path, limit_bytes=100_000, clock=clock) as store:
        store.put("a", one(b"a" * 80_000, Made("VAEDecode", 1.0)))
        clock.now += 1000
        store.put("b", one(b"b" * 80_000, SLOW))
        assert store.evictions(["a", "b"]) == {"a": Eviction(1_700_001_000.0, "budget", "VAEDecode")}


def test_a_lower_limit_holds_from_the_first_put(filled: Path) -> None:
    with DiskStore(filled, limit_bytes=1000) as store:
        store.put("new", one(1))
        assert store.get("large") is None
        assert store.get("new") is not None
    assert list(filled.glob("v2/blobs/??/*.safetensors")) == []


def test_an_entry_above_the_limit_is_not_kept(tmp_path: Path) -> None:
    with DiskStore(tmp_path, limit_bytes=1000) as store:
        assert store.put("small", one(1))
        assert not store.put("large", one(LARGE))
        assert kept(store, ["small", "large"]) == "small"  # type: ignore[arg-type]  # keys of several letters


def test_stats_count_entries_and_bytes_with_the_rows_of_the_index(filled: Path) -> None:
    with DiskStore(filled) as store:
        size = the_blob(filled).stat().st_size
        assert store.stats().entries == 2
        assert 600 < store.stats().bytes - size < 800


def test_clearing_removes_every_blob(filled: Path) -> None:
    with DiskStore(filled) as store:
        clear(store)
        assert store.get("small") is None
        assert store.stats() == StoreStats(entries=0, bytes=0)
        assert list(filled.glob("v2/blobs/??/*")) == []


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
