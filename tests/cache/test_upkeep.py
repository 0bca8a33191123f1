import os
from pathlib import Path

import pytest
from PIL import Image

from graphengine.cache.compression import VALUE_KINDS
from graphengine.cache.content import slot_digests
from graphengine.cache.disk import DiskStore
from graphengine.cache.rows import Eviction
from graphengine.cache.store import Made, Outputs
from graphengine.cache.upkeep import (
    Keep,
    Verified,
    change_settings,
    clear,
    collect,
    info,
    keep_rule,
    pin,
    unpin,
    verify,
)
from graphengine.errors import SettingsError

NOW = 1_700_000_000.0
LARGE = 100_000
SLOW = Made("KSampler", 3.0)


class Clock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def large(letter: str) -> Outputs:
    return Outputs(((letter.encode() * LARGE,),), made=SLOW)


def fill(store: DiskStore, keys: str) -> None:
    for key in keys:
        assert store.put(key, large(key))


def kept(store: DiskStore, keys: str) -> str:
    return "".join(key for key in keys if store.get(key) is not None)


def blobs(root: Path) -> list[Path]:
    return sorted(root.glob("v2/blobs/??/*"))


# --- rules ---


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("last run", Keep(runs=1)),
        ("last 5 runs", Keep(runs=5)),
        ("Last 1 run", Keep(runs=1)),
        ("30 days", Keep(seconds=30 * 86_400.0)),
        ("1 hour", Keep(seconds=3600.0)),
    ],
)
def test_a_rule_is_read_from_words(text: str, rule: Keep) -> None:
    assert keep_rule(text) == rule


@pytest.mark.parametrize(
    "text", ["", "last", "last 0 runs", "5 runs", "days", "-1 days", "1e9 days", "last 5 runs "]
)
def test_other_words_are_no_rule(text: str) -> None:
    if text.strip() == "last 5 runs":
        assert keep_rule(text) == Keep(runs=5)
        return
    with pytest.raises(SettingsError, match="no rule"):
        keep_rule(text)


def test_gc_keeps_what_the_last_runs_used(tmp_path: Path) -> None:
    with DiskStore(tmp_path, clock=Clock()) as store:
        fill(store, "abcd")
        for number, keys in enumerate(["a", "bc", "c"]):
            store.runs.record(f"run{number}", Path("w.json"), NOW + number, list(keys))
        collected = collect(store, [Keep(runs=2)], NOW)
        assert (collected.entries, kept(store, "abcd")) == (2, "bc")
        assert collected.bytes > 2 * LARGE
        assert store.evictions("ad") == {key: Eviction(NOW, "gc", "KSampler") for key in "ad"}
    assert len(blobs(tmp_path)) == 2


def test_gc_keeps_what_was_used_lately(tmp_path: Path) -> None:
    clock = Clock()
    with DiskStore(tmp_path, clock=clock) as store:
        fill(store, "ab")
        clock.now += 10_000
        assert store.get("b") is not None
        store.flush()
        collect(store, [keep_rule("1 hour")], clock.now)
        assert kept(store, "ab") == "b"


def test_gc_keeps_what_the_last_run_of_a_file_that_is_there_used(tmp_path: Path) -> None:
    there, gone = tmp_path / "there.json", tmp_path / "gone.json"
    there.touch()
    with DiskStore(tmp_path / "cache", clock=Clock()) as store:
        fill(store, "abc")
        store.runs.record("1", there, NOW, ["a"])
        store.runs.record("2", there, NOW + 1, ["b"])
        store.runs.record("3", gone, NOW + 2, ["c"])
        collect(store, [Keep(referenced=True)], NOW)
        assert kept(store, "abc") == "b"


def test_gc_keeps_what_the_last_run_of_a_locked_file_used_though_it_is_gone(tmp_path: Path) -> None:
    locked, gone = tmp_path / "locked.json", tmp_path / "gone.json"
    with DiskStore(tmp_path / "cache", clock=Clock()) as store:
        fill(store, "abc")
        store.runs.record("1", locked, NOW, ["a"])
        store.runs.record("2", locked, NOW + 1, ["b"])
        store.runs.record("3", gone, NOW + 2, ["c"])
        collect(store, [Keep(referenced=True, locked=frozenset([locked]))], NOW)
        assert kept(store, "abc") == "b"


def test_gc_without_a_rule_removes_only_what_exceeds_the_limit(tmp_path: Path) -> None:
    with DiskStore(tmp_path, clock=Clock()) as store:
        fill(store, "abc")
        assert collect(store, [Keep()], NOW).entries == 0
        change_settings(store, limit_bytes=250_000)
    with DiskStore(tmp_path, clock=Clock()) as store:
        assert collect(store, [], NOW).entries == 1
        assert len(kept(store, "abc")) == 2


def test_a_dry_run_removes_nothing(tmp_path: Path) -> None:
    with DiskStore(tmp_path, clock=Clock()) as store:
        fill(store, "ab")
        collected = collect(store, [Keep(runs=1)], NOW, dry_run=True)
        assert (collected.entries, kept(store, "ab")) == (2, "ab")


def test_gc_removes_what_killed_processes_left(tmp_path: Path) -> None:
    with DiskStore(tmp_path, clock=Clock()) as store:
        fill(store, "a")
        (blob,) = blobs(tmp_path)
        for number in range(3):
            orphan = tmp_path / "v2" / "blobs" / f"{number:02x}" / ("0" * 62 + ".safetensors")
            orphan.parent.mkdir(exist_ok=True)
            orphan.write_bytes(b"1234")
        old = tmp_path / "v2" / "tmp" / "1-old"
        old.touch()
        os.utime(old, (1e9, 1e9))
        collected = collect(store, [], NOW)
        assert (collected.orphans, collected.orphan_bytes, collected.temporary) == (3, 12, 1)
        assert blobs(tmp_path) == [blob]


def test_opening_sweeps_a_part_of_the_folder(tmp_path: Path) -> None:
    clock = Clock()
    orphan = tmp_path / "v2" / "blobs" / f"{int(NOW) % 256:02x}" / ("0" * 62 + ".safetensors")
    orphan.parent.mkdir(parents=True)
    orphan.touch()
    with DiskStore(tmp_path, clock=clock):
        assert not orphan.exists()


# --- pins ---


def test_what_is_pinned_is_neither_evicted_nor_collected(tmp_path: Path) -> None:
    clock = Clock()
    with DiskStore(tmp_path, limit_bytes=250_000, clock=clock) as store:
        store.put("small", Outputs(((1,),), made=SLOW))
        fill(store, "a")
        assert pin(store, ["a", "small", "unknown"]) == 2
        for key in "bcd":
            clock.now += 1000
            fill(store, key)
        assert kept(store, "abcd") == "ad"
        collect(store, [keep_rule("1 second")], clock.now + 1e6)
        assert kept(store, "abcd") == "a"
        assert store.get("small") is not None
        assert unpin(store, ["a", "b"]) == 1
        collect(store, [keep_rule("1 second")], clock.now + 1e6)
        assert kept(store, "abcd") == ""


# --- verify ---


def test_a_sound_store_is_verified(tmp_path: Path) -> None:
    with DiskStore(tmp_path) as store:
        fill(store, "ab")
        store.alias("c", "a")
        store.put("small", Outputs(((1,),)))
        found = verify(store)
    assert (found.entries, found.contents, found.damaged) == (4, 2, ())


def test_verify_sets_damaged_blobs_aside_and_drops_what_names_them(tmp_path: Path) -> None:
    with DiskStore(tmp_path, clock=Clock()) as store:
        fill(store, "ab")
        store.alias("also a", "a")
        found = store.index.find("a")
        assert found is not None
        assert found.content is not None
        path = store.blobs.path(found.content.digest)
        path.write_bytes(b"\0" + path.read_bytes()[1:])
        damaged = verify(store).damaged
        assert len(damaged) == 1
        assert "has other content than its name says" in damaged[0]
        assert (
            tmp_path / "v2" / "damaged" / path.parent.joinpath(found.content.digest + ".safetensors").name
        ).exists()
        assert kept(store, "ab") == "b"
        assert store.get("also a") is None
        assert store.evictions(["also a"])["also a"].why == "damaged"
        assert verify(store).damaged == ()
        assert info(store).damaged_bytes > LARGE


@pytest.mark.parametrize(
    ("table", "change"),
    [("actions", "structure = '[]' WHERE key = 'inline'"), ("contents", "data = zeroblob(length(data))")],
)
def test_verify_finds_damage_in_the_index(tmp_path: Path, table: str, change: str) -> None:
    with DiskStore(tmp_path) as store:
        store.put("inline", Outputs(((3,),), made=SLOW))
        store.put("content", Outputs(((b"x" * 10_000,),), made=SLOW))
        store.index.write(lambda index: index.connection.execute(f"UPDATE {table} SET {change}"))
        assert len(verify(store).damaged) == 1
        assert len([key for key in ("inline", "content") if store.get(key)]) == 1


def test_verify_compares_the_digests_of_slots(tmp_path: Path) -> None:
    slots: tuple[tuple[object, ...], ...] = ((1,), (Image.new("RGB", (300, 200)),))
    first, picture = slot_digests(slots, "recipe")
    with DiskStore(tmp_path) as store:
        store.put("right", Outputs(slots, digests=(first, picture)))
        store.put("wrong", Outputs(slots, digests=("00" * 32, picture)))
        assert len(verify(store).damaged) == 1
        assert store.get("right") is not None


def test_an_empty_store_is_sound(tmp_path: Path) -> None:
    with DiskStore(tmp_path) as store:
        assert verify(store) == Verified(0, 0, 0, ())


# --- clear, info, settings ---


def test_clearing_removes_pins_and_tells_what_is_gone(tmp_path: Path) -> None:
    with DiskStore(tmp_path, clock=Clock()) as store:
        fill(store, "ab")
        pin(store, ["a"])
        assert clear(store).actions == 2
        found = info(store)
        assert (found.totals.actions, found.pinned, found.evicted) == (0, 0, 2)
        assert store.evictions("a")["a"] == Eviction(NOW, "cleared", "KSampler")
        fill(store, "a")
        assert kept(store, "ab") == "a"


def test_what_other_releases_keep_is_left_alone_until_it_is_asked_for(tmp_path: Path) -> None:
    for name in ("index.sqlite", "blobs/ab/cd.safetensors", "v1/index.sqlite", "v3/index.sqlite", "temp/a.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"12345")
    with DiskStore(tmp_path) as store:
        assert info(store).other_releases == 20
        clear(store)
        assert info(store).other_releases == 20
        clear(store, other_releases=True)
        assert info(store).other_releases == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["temp", "v2"]


def test_settings_hold_for_the_next_process(tmp_path: Path) -> None:
    with DiskStore(tmp_path) as store:
        assert 2 * 2**30 <= store.limit_bytes <= 50 * 2**30
        assert store.compressed == {"text"}
        change_settings(store, limit_bytes=5000, compress=["tensors", "text"])
    with DiskStore(tmp_path) as store:
        assert (store.limit_bytes, store.compressed) == (5000, VALUE_KINDS)
        change_settings(store, compress=[])
    with DiskStore(tmp_path) as store:
        assert (store.limit_bytes, store.compressed) == (5000, frozenset())


# --- runs ---


def test_runs_are_listed_from_the_last(tmp_path: Path) -> None:
    with DiskStore(tmp_path) as store:
        store.runs.record("1", tmp_path / "a.json", NOW, ["k1", "k2"])
        store.runs.record("2", None, NOW + 1, [])
    with DiskStore(tmp_path) as store:
        last, before = store.runs.last(5)
        assert (last.run_id, last.file, last.keys) == ("2", "", ())
        assert (before.run_id, before.started, before.keys) == ("1", NOW, ("k1", "k2"))
        assert store.runs.last(5, tmp_path / "a.json") == [before]


def test_runs_with_more_than_a_million_keys_are_forgotten(tmp_path: Path) -> None:
    with DiskStore(tmp_path) as store:
        for number in range(3):
            store.runs.record(str(number), None, NOW + number, ["k"] * 500_000)
        assert [run.run_id for run in store.runs.last(9)] == ["2", "1"]


# --- compression ---


def test_long_text_is_compressed_and_comes_back(tmp_path: Path) -> None:
    text = "a red fox in the snow, " * 50_000
    with DiskStore(tmp_path) as store:
        store.put("text", Outputs(((text,),)))
        assert store.stats().bytes < len(text) / 50
        assert store.get("text") == Outputs(((text,),))


def test_tensors_are_compressed_where_the_folder_says_so(tmp_path: Path) -> None:
    import torch

    mask, noise = torch.zeros(512, 1024), torch.rand(512, 1024, generator=torch.Generator().manual_seed(1))
    with DiskStore(tmp_path) as store:
        store.put("plain", Outputs(((mask,),), made=SLOW))
        change_settings(store, compress=["tensors"])
    with DiskStore(tmp_path) as store:
        store.put("mask", Outputs(((mask + 1,),), made=SLOW))
        store.put("noise", Outputs(((noise,),), made=SLOW))
        for key, wanted in (("plain", mask), ("mask", mask + 1), ("noise", noise)):
            outputs = store.get(key)
            assert outputs is not None
            assert torch.equal(outputs.slots[0][0], wanted)  # type: ignore[arg-type]  # an object to the type checker
        sizes = [
            found.content.size
            for key in ("plain", "mask", "noise")
            if (found := store.index.find(key)) and found.content
        ]
    assert [size > 2_000_000 for size in sizes] == [True, False, True]


def test_a_compressed_blob_that_is_damaged_is_a_miss(tmp_path: Path) -> None:
    text = "".join(chr(33 + (n * n) % 90) for n in range(2_000_000))
    with DiskStore(tmp_path) as store:
        change_settings(store, limit_bytes=10**9)
        store.put("text", Outputs((("".join(f"{n}" for n in range(400_000)),),), made=SLOW))
        (path,) = tmp_path.glob("v2/blobs/??/*.safetensors.zst")
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 255
        path.write_bytes(data)
        assert store.get("text") is None
        assert store.put("text", Outputs(((text,),)))
