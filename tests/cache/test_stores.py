"""The contract that every store keeps."""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from pydantic import JsonValue

from graphengine.cache.content import slot_digests
from graphengine.cache.disk import DiskStore
from graphengine.cache.remote import RemoteStore
from graphengine.cache.remote_place import remote_place
from graphengine.cache.store import CacheStore, Entry, Made, MemoryStore, Outputs, TieredStore


@pytest.fixture(params=["memory", "disk", "tiered", "remote"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CacheStore]:
    made: CacheStore
    match request.param:
        case "memory":
            made = MemoryStore()
        case "disk":
            made = DiskStore(tmp_path)
        case "remote":
            made = RemoteStore(remote_place(str(tmp_path / "shared")))
        case _:
            made = TieredStore(MemoryStore(), DiskStore(tmp_path))
    yield made
    made.close()


def one(value: object) -> Outputs:
    return Outputs(((value,),))


def only(outputs: Outputs | None) -> object:
    assert outputs is not None
    ((value,),) = outputs.slots
    return value


def test_an_unknown_key_is_a_miss(store: CacheStore) -> None:
    assert store.get("unknown") is None
    assert store.peek("unknown") is None
    assert store.peek_many(["unknown"]) == {}


def test_what_was_put_is_got(store: CacheStore) -> None:
    outputs = Outputs(((1,), ([2.5, None],), ("a", b"b", True)), {"text": ["shown"]})
    assert store.put("key", outputs)
    assert store.get("key") == outputs


def test_what_was_put_is_got_after_a_flush(store: CacheStore) -> None:
    store.put("key", one({"a": (1, 2)}))
    store.flush()
    assert store.get("key") == one({"a": (1, 2)})


def test_a_tensor_comes_back_with_dtype_and_shape(store: CacheStore) -> None:
    latent = {"samples": torch.arange(16, dtype=torch.bfloat16).reshape(1, 4, 2, 2)}
    assert store.put("key", one(latent))
    back = only(store.get("key"))
    assert isinstance(back, dict)
    assert back["samples"].dtype is torch.bfloat16
    assert torch.equal(back["samples"], latent["samples"])


def test_nan_infinity_and_minus_zero_come_back(store: CacheStore) -> None:
    store.put("key", one([math.nan, -math.inf, -0.0]))
    back = only(store.get("key"))
    assert isinstance(back, list)
    assert repr(back) == "[nan, -inf, -0.0]"


def test_an_output_node_shows_what_it_showed(store: CacheStore) -> None:
    shown: dict[str, JsonValue] = {"text": ["a fox"], "pictures": [{"width": 8, "format": None}]}
    store.put("show", Outputs((), shown))
    assert store.peek("show") == Entry(shown)
    assert store.get("show") == Outputs((), shown)


def test_a_later_put_replaces_an_earlier_one_unless_the_store_is_shared(store: CacheStore) -> None:
    store.put("key", one(1))
    store.flush()
    store.put("key", one(torch.ones(2)))
    store.put("key", one(2))
    assert store.get("key") == one(1 if isinstance(store, RemoteStore) else 2)


def test_many_keys_are_peeked_at_once(store: CacheStore) -> None:
    for number in range(1200):
        store.put(f"key{number}", Outputs(((number,),), {"text": [str(number)]}))
    wanted = [f"key{number}" for number in range(0, 2400, 2)]
    found = store.peek_many(wanted)
    assert set(found) == set(wanted[:600])
    assert found["key8"] == Entry({"text": ["8"]})


def test_digests_come_back_with_the_outputs(store: CacheStore) -> None:
    slots = ((1,), (torch.ones(2),))
    outputs = Outputs(slots, {"text": ["shown"]}, slot_digests(slots, ""))
    assert store.put("key", outputs)
    for _ in range(2):
        back, entry = store.get("key"), store.peek("key")
        assert back is not None
        assert back.digests == outputs.digests
        assert entry == Entry({"text": ["shown"]}, outputs.digests)
        store.flush()


def test_how_outputs_came_about_comes_back(store: CacheStore) -> None:
    store.put("key", Outputs(((1,),), made=Made("KSampler", 2.5)))
    back = store.get("key")
    assert back is not None
    assert back.made == Made("KSampler", 2.5)


@pytest.mark.parametrize("size", [10, 10_000, 200_000], ids=["small", "middle", "large"])
@pytest.mark.parametrize("flushed", [False, True], ids=["waiting", "flushed"])
def test_an_alias_finds_the_same_outputs(store: CacheStore, size: int, flushed: bool) -> None:
    slots = ((b"x" * size,),)
    outputs = Outputs(slots, {"text": ["shown"]}, slot_digests(slots, ""))
    store.put("key", outputs)
    if flushed:
        store.flush()
    assert store.alias("alias", "key")
    assert store.alias("second", "alias")
    for _ in range(2):
        assert store.get("second") == store.get("alias") == store.get("key") == outputs
        assert store.peek_many(["key", "alias", "second"]).keys() == {"key", "alias", "second"}
        store.flush()


def test_nothing_has_no_alias(store: CacheStore) -> None:
    assert not store.alias("alias", "unknown")
    assert store.get("alias") is None


def test_changing_what_was_put_does_not_change_the_store(store: CacheStore) -> None:
    latent = {"batch": [1], "nested": {"a": 1}}
    shown: list[JsonValue] = ["shown"]
    store.put("key", Outputs(((latent,),), {"text": shown}))
    latent["batch"].append(2)  # type: ignore[attr-defined]  # the values differ in type
    latent["extra"] = 1  # type: ignore[assignment]  # as a careless node does
    shown.append("more")
    assert store.get("key") == Outputs((({"batch": [1], "nested": {"a": 1}},),), {"text": ["shown"]})


def test_changing_what_was_got_does_not_change_the_store(store: CacheStore) -> None:
    store.put("key", Outputs((([{"a": 1}],),), {"text": ["shown"]}))
    back = store.get("key")
    entry = store.peek("key")
    assert back is not None
    assert entry is not None
    back.slots[0][0][0]["a"] = 2  # type: ignore[index]  # a slot item is an object to the type checker
    back.ui["text"].append("more")  # type: ignore[union-attr]  # JSON of any kind
    entry.ui["text"].append("more")  # type: ignore[union-attr]  # JSON of any kind
    assert store.get("key") == Outputs((([{"a": 1}],),), {"text": ["shown"]})


def test_threads_may_share_a_store(store: CacheStore) -> None:
    def work(number: int) -> object:
        store.put(f"key{number}", one([number, torch.full((2,), number)]))
        back = only(store.get(f"key{number}"))
        assert isinstance(back, list)
        return back[0], back[1].tolist()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(40))) == [(number, [number, number]) for number in range(40)]


class Model:
    pass


def test_a_model_is_kept_in_memory_and_not_on_disk(tmp_path: Path) -> None:
    model = Model()
    with DiskStore(tmp_path) as disk:
        store = TieredStore(MemoryStore(), disk)
        assert store.put("key", one(model))
        assert only(store.get("key")) is model
        assert not disk.put("key", one(model))
        assert disk.get("key") is None


def test_what_only_the_second_tier_holds_moves_up_when_read() -> None:
    first, second = MemoryStore(), MemoryStore()
    second.put("key", one(1))
    store = TieredStore(first, second)
    assert store.peek("key") is not None
    assert first.get("key") is None
    assert store.get("key") == one(1)
    assert first.get("key") == one(1)


def test_a_tiered_store_keeps_what_either_tier_keeps() -> None:
    tiny, large = MemoryStore(limit_bytes=1), MemoryStore()
    assert TieredStore(tiny, large).put("key", one("text"))
    assert TieredStore(large, tiny).put("key", one("text"))
    assert not TieredStore(tiny, tiny).put("key", one("text"))


def test_peeks_join_both_tiers() -> None:
    first, second = MemoryStore(), MemoryStore()
    first.put("a", Outputs((), {"from": "first"}))
    second.put("a", Outputs((), {"from": "second"}))
    second.put("b", Outputs((), {"from": "second"}))
    found = TieredStore(first, second).peek_many(["a", "b", "c"])
    assert found == {"a": Entry({"from": "first"}), "b": Entry({"from": "second"})}
