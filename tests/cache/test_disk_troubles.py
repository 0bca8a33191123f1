"""What a store on disk does when the disk, the folder or the process gives way: a miss and one warning."""

import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from graphengine.cache.disk import DiskStore
from graphengine.cache.store import Made, Outputs
from graphengine.cache.upkeep import clear, verify

SLOW = Made("KSampler", 3.0)
LARGE = b"large " * 20_000

PROGRAM = """
import logging, os, signal, sys
from pathlib import Path
from graphengine.cache.disk import DiskStore
from graphengine.cache.store import Made, Outputs

logging.basicConfig(level=logging.WARNING, format="%(message)s")
folder = Path(sys.argv[1])

def outputs(value, seconds=1.0):
    return Outputs(((value,),), made=Made("Slow", seconds))

"""


def program(text: str, folder: Path, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM + text, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload, no-any-return]  # options of `run`


def one(value: object) -> Outputs:
    return Outputs(((value,),), made=SLOW)


def test_when_files_may_not_grow_the_run_goes_on_uncached_with_one_warning(tmp_path: Path) -> None:
    done = program(
        """
import resource
with DiskStore(folder) as store:
    assert store.put("before", outputs(1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    for number in range(200):
        store.put(f"blob{number}", outputs(bytes([number]) * 300_000))
        store.put(f"inline{number}", outputs("x" * 3000))
        found = store.get(f"inline{number}")
        assert found is None or found.slots == (("x" * 3000,),)
    assert store.get("before") is not None
print("done")
""",
        tmp_path,
    )
    assert done.stdout == "done\n", done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "results are not kept" in done.stderr
    with DiskStore(tmp_path) as store:
        assert store.get("before") == one(1)
        assert verify(store).damaged == ()


READ_ONLY = """
if os.geteuid() == 0:
    os.setuid(65534)  # to root nothing is read-only
with DiskStore(folder) as store:
    print(store.get("key") == outputs(1), store.get("large") == outputs(b"large " * 20_000))
    assert not store.put("new", outputs(1))
    assert not store.alias("other", "key")
    print(sorted(store.peek_many(["key", "large", "new"])))
"""


@pytest.mark.parametrize("is_open_elsewhere", [False, True])
def test_in_a_read_only_folder_results_are_found_and_none_is_kept(*, is_open_elsewhere: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with DiskStore(folder) as store:
            store.put("key", one(1))
            store.put("large", one(LARGE))
            if not is_open_elsewhere:
                store.close()
            places = [folder, *(place for place in folder.rglob("*") if place.is_dir())]
            for place in places:
                place.chmod(0o555)
            done = program(READ_ONLY, folder)
            for place in places:
                place.chmod(0o755)
    assert done.stdout == "True True\n['key', 'large']\n", done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "Permission denied" in done.stderr
    assert "what is in it is used, and nothing is added" in done.stderr


def test_in_an_empty_read_only_folder_nothing_is_cached_with_one_warning() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        done = program(READ_ONLY, folder)
        folder.chmod(0o755)
    assert done.stdout == "False False\n[]\n", done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "nothing is cached" in done.stderr


def test_an_index_of_the_first_release_is_left_alone(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "index.sqlite")
    old.execute("CREATE TABLE actions (key TEXT PRIMARY KEY, structure TEXT)")
    old.execute("INSERT INTO actions VALUES ('key', 'old')")
    old.execute("PRAGMA user_version = 1")
    old.commit()
    old.close()
    before = (tmp_path / "index.sqlite").read_bytes()
    with DiskStore(tmp_path) as store:
        assert store.get("key") is None
        assert store.put("key", one(1))
    assert (tmp_path / "index.sqlite").read_bytes() == before


def test_a_later_release_beside_ours_is_left_alone(tmp_path: Path) -> None:
    later = tmp_path / "v3" / "index.sqlite"
    later.parent.mkdir()
    later.write_bytes(b"later")
    with DiskStore(tmp_path) as store:
        store.put("key", one(LARGE))
    with DiskStore(tmp_path) as store:
        assert store.get("key") == one(LARGE)
    assert later.read_bytes() == b"later"


@pytest.mark.parametrize("seconds", [1.0, 0.0], ids=["slow", "quick"])
def test_what_was_put_before_a_kill_is_there(tmp_path: Path, seconds: float) -> None:
    done = program(
        f"""
store = DiskStore(folder, delay_s=3600)
for value, key in ((1, "small"), (b"x" * 30_000, "content"), (b"x" * 300_000, "blob")):
    assert store.put(key, outputs(value, {seconds}))
os.kill(os.getpid(), signal.SIGKILL)
""",
        tmp_path,
    )
    assert done.returncode == -9
    with DiskStore(tmp_path) as store:
        assert set(store.peek_many(["small", "content", "blob"])) == {"small", "content", "blob"}
        assert store.get("blob") == one(b"x" * 300_000)
        assert verify(store).damaged == ()


def test_a_forked_process_leaves_the_store_to_its_parent(tmp_path: Path) -> None:
    done = program(
        """
store = DiskStore(folder, delay_s=3600)
store.put("key", outputs(1, 0.0))
child = os.fork()
if child == 0:
    same = store.get("key"), store.put("other", outputs(2)), store.peek("key"), store.alias("a", "key")
    store.flush()
    store.close()
    os._exit(0 if same == (None, False, None, False) else 1)
assert os.waitpid(child, 0)[1] == 0
assert store.put("last", outputs(3))
store.close()
print("done")
""",
        tmp_path,
    )
    assert done.stdout == "done\n", done.stderr
    with DiskStore(tmp_path) as store:
        assert (store.get("key"), store.get("other"), store.get("last")) == (one(1), None, one(3))


def test_names_that_are_no_valid_text_are_kept(tmp_path: Path) -> None:
    odd = tmp_path / "w\udcff.json"
    with DiskStore(tmp_path) as store:
        assert store.put("key", Outputs(((1,),), made=Made("Half\ud800", 1.0)))
        assert store.runs.record("run", odd, 1.0, ["key"])
        assert store.get("key") == one(1)
        assert store.runs.last(1, odd)[0].file == str(odd)
        assert store.runs.last_of_each_file()[0].file == str(odd)
        assert set(store.timings()) == {"Half\\ud800"}


def test_what_is_put_while_python_ends_is_kept(tmp_path: Path) -> None:
    done = program(
        """
import atexit
store = DiskStore(folder, delay_s=3600)
atexit.register(lambda: print(store.put("key", outputs(1, 0.0))))
""",
        tmp_path,
    )
    assert (done.stdout, done.stderr) == ("True\n", "")
    with DiskStore(tmp_path) as store:
        assert store.get("key") == one(1)


def test_room_is_given_back_to_the_disk(tmp_path: Path) -> None:
    with DiskStore(tmp_path) as store:
        for number in range(100):
            store.put(f"key{number}", Outputs(((bytes([number]) * 40_000,),), made=Made(seconds=0.0)))
        store.flush()
        size = (tmp_path / "v2" / "index.sqlite").stat().st_size + (
            tmp_path / "v2" / "index.sqlite-wal"
        ).stat().st_size
        assert size > 4_000_000
        clear(store)
    assert (tmp_path / "v2" / "index.sqlite").stat().st_size < 500_000


def test_an_index_that_is_replaced_while_it_is_open_is_noticed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with DiskStore(tmp_path) as store:
        store.put("key", one(1))
        (tmp_path / "v2" / "index.sqlite").rename(tmp_path / "elsewhere")
        assert not store.put("other", one(2))
        assert store.get("key") is None
    assert len(caplog.records) == 1


@pytest.mark.parametrize("limit_bytes", [None, 10**9], ids=["evicting", "roomy"])
def test_blobs_that_another_process_removed_meanwhile_are_a_quiet_miss(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, limit_bytes: int | None
) -> None:
    with DiskStore(tmp_path, limit_bytes) as store, DiskStore(tmp_path) as other:
        store.put("key", one(LARGE))
        found = store.index.find("key")
        assert found is not None
        other.evict(0)
        assert not store.drop(found, OSError("gone"))
        assert store.get("key") is None
        assert store.put("key", one(LARGE))
        assert other.get("key") == one(LARGE)
    assert caplog.records == []


@pytest.mark.parametrize("place", range(0, 20, 3))
def test_a_page_of_the_index_that_is_overwritten_never_gives_a_wrong_value(tmp_path: Path, place: int) -> None:
    with DiskStore(tmp_path) as store:
        for number in range(300):
            store.put(f"key{number}", Outputs(((f"value {number}",),)))
    path = tmp_path / "v2" / "index.sqlite"
    data = bytearray(path.read_bytes())
    start = len(data) * place // 20
    for offset in range(start, min(start + 2000, len(data)), 7):
        data[offset] ^= 0x15
    path.write_bytes(data)
    with DiskStore(tmp_path) as store:
        found = {number: store.get(f"key{number}") for number in range(300)}
        assert all(outputs == Outputs(((f"value {number}",),)) for number, outputs in found.items() if outputs)
        assert store.put("new", one(1))
        assert store.get("new") == one(1)
