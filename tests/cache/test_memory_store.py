import numpy as np
import pytest
import torch

from graphengine.cache.store import MemoryStore, Outputs, StoreStats, estimate_bytes


def one(value: object) -> Outputs:
    return Outputs(((value,),))


def kept(store: MemoryStore, *keys: str) -> str:
    return "".join(key for key in keys if store.peek(key))


def test_without_a_limit_nothing_is_dropped() -> None:
    store = MemoryStore()
    for number in range(100):
        store.put(str(number), one("x" * 10_000))
    assert store.stats().entries == 100


def test_the_least_recently_used_entry_is_dropped_first() -> None:
    store = MemoryStore(limit_bytes=4000)
    for key in "abc":
        store.put(key, one(b"x" * 1000))
    store.get("a")
    store.put("d", one(b"x" * 1000))
    assert kept(store, "a", "b", "c", "d") == "acd"


def test_a_peek_counts_as_use() -> None:
    store = MemoryStore(limit_bytes=4000)
    for key in "abc":
        store.put(key, one(b"x" * 1000))
    store.peek_many(["a"])
    store.put("d", one(b"x" * 1000))
    assert kept(store, "a", "b", "c", "d") == "acd"


def test_an_entry_above_the_limit_is_not_kept_and_drops_no_other() -> None:
    store = MemoryStore(limit_bytes=4000)
    store.put("a", one(1))
    assert not store.put("b", one(b"x" * 5000))
    assert kept(store, "a", "b") == "a"


def test_replacing_an_entry_frees_its_room() -> None:
    store = MemoryStore(limit_bytes=4000)
    for _ in range(10):
        assert store.put("a", one(b"x" * 1000))
    store.put("b", one(b"x" * 1000))
    assert kept(store, "a", "b") == "ab"


def test_clearing_forgets_everything() -> None:
    store = MemoryStore()
    store.put("a", one(1))
    store.clear()
    assert store.get("a") is None
    assert store.stats() == StoreStats(entries=0, bytes=0)


def test_tensors_are_shared_not_copied() -> None:
    store, tensor = MemoryStore(), torch.ones(2)
    store.put("a", one({"samples": tensor}))
    back = store.get("a")
    assert back is not None
    assert back.slots[0][0]["samples"] is tensor  # type: ignore[index]  # a slot item is an object


def test_a_list_that_occurs_twice_or_in_itself_is_copied_once() -> None:
    store = MemoryStore()
    endless: list[object] = [1]
    endless.append(endless)
    store.put("a", one([endless, endless]))
    back = store.get("a")
    assert back is not None
    both = back.slots[0][0]
    assert isinstance(both, list)
    first, second = both
    assert first is second
    assert first is not endless
    assert first[1] is first


@pytest.mark.parametrize(
    ("value", "at_least", "at_most"),
    [
        (torch.zeros(1000, dtype=torch.bfloat16), 2000, 2100),
        (np.zeros(1000), 8000, 8100),
        ("x" * 1000, 1000, 1100),
        (b"x" * 1000, 1000, 1100),
        ({"a": [torch.zeros(250), (torch.zeros(250),)]}, 2000, 2500),
        ([torch.zeros(250)] * 2, 1000, 1300),
        (object(), 1024, 1100),
        (7, 1, 100),
    ],
    ids=["tensor", "array", "text", "bytes", "nested", "two_references", "opaque", "number"],
)
def test_the_size_of_a_value_is_estimated(value: object, at_least: int, at_most: int) -> None:
    assert at_least <= estimate_bytes(value) <= at_most


def test_a_tensor_that_occurs_twice_counts_once() -> None:
    tensor = torch.zeros(1000)
    assert estimate_bytes([tensor, tensor]) < 4200


def test_nesting_10_000_deep_is_measured_and_kept() -> None:
    deep: object = "end"
    for _ in range(10_000):
        deep = [deep]
    store = MemoryStore()
    assert store.put("a", one(deep))
    back = store.get("a")
    assert back is not None
    assert back.slots[0][0] is not deep


def test_of_more_entries_than_the_limit_the_least_recently_used_go() -> None:
    store = MemoryStore(limit_entries=2)
    for key in ("a", "b"):
        store.put(key, Outputs())
    store.get("a")
    store.put("c", Outputs())
    assert set(store.peek_many(["a", "b", "c"])) == {"a", "c"}


def test_a_second_key_lasts_as_long_as_the_outputs_and_takes_no_room() -> None:
    store = MemoryStore(limit_entries=2)
    store.put("a", Outputs(((1,),)))
    assert store.alias("also a", "a")
    assert store.alias("and again", "also a")
    assert store.get("and again") == Outputs(((1,),))
    assert store.stats().entries == 1
    store.put("b", Outputs(((2,),)))
    store.put("c", Outputs(((3,),)))
    assert store.get("also a") is None
    assert not store.alias("x", "also a")


def test_outputs_read_by_a_second_key_count_as_used() -> None:
    store = MemoryStore(limit_entries=2)
    store.put("a", Outputs(((1,),)))
    store.alias("also a", "a")
    store.put("b", Outputs(((2,),)))
    store.get("also a")
    store.put("c", Outputs(((3,),)))
    assert store.get("a") == Outputs(((1,),))
    assert store.get("b") is None
