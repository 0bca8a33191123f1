"""A shared folder: what one store puts another gets, and what is wrong in it is a miss."""

import json
import logging
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphengine.cache import compression
from graphengine.cache.content import slot_digests
from graphengine.cache.remote import RemoteStore
from graphengine.cache.remote_place import RemoteLimits, RemotePlace, remote_place
from graphengine.cache.store import Entry, Made, Outputs

KEY = "a" * 64


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "shared"


def shared(folder: Path, **how: Any) -> RemoteStore:
    return RemoteStore(remote_place(str(folder), **how))


def put(folder: Path, outputs: Outputs, under: str = KEY, **how: Any) -> None:
    """Put outputs there, as another machine does."""
    with shared(folder, **how) as store:
        assert store.put(under, outputs)


def outputs(*values: object, ui: dict[str, Any] | None = None) -> Outputs:
    slots = tuple((value,) for value in values)
    return Outputs(slots, ui or {}, slot_digests(slots, "recipe"))


def action(folder: Path, key: str = KEY) -> Path:
    return folder / "v1" / "actions" / key


def content(folder: Path) -> Path:
    (path,) = (folder / "v1" / "contents").iterdir()
    return path


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def only_warning(caplog: pytest.LogCaptureFixture) -> str:
    (message,) = warnings(caplog)
    return message


def test_what_one_machine_puts_another_gets(folder: Path) -> None:
    latent = torch.arange(64, dtype=torch.bfloat16).reshape(1, 4, 4, 4)
    put(folder, outputs({"samples": latent}, 2.5, "text", ui={"text": ["shown"]}))
    with shared(folder) as store:
        back = store.get(KEY)
    assert back is not None
    assert torch.equal(back.slots[0][0]["samples"], latent)  # type: ignore[index]  # a slot item is an object
    assert back.slots[1:] == ((2.5,), ("text",))
    assert back.ui == {"text": ["shown"]}


@settings(max_examples=40, deadline=None)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False)
        | st.text()
        | st.binary(max_size=9000),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=8,
    )
)
def test_plain_data_of_any_shape_comes_back_with_its_digest(
    tmp_path_factory: pytest.TempPathFactory, value: object
) -> None:
    folder = tmp_path_factory.mktemp("remote") / "shared"
    put(folder, outputs(value))
    with shared(folder) as store:
        assert store.get(KEY) == outputs(value)


def test_digests_class_and_time_come_along(folder: Path) -> None:
    made = outputs(torch.ones(3))
    put(folder, Outputs(made.slots, {}, made.digests, Made("KSampler", 7.5)))
    with shared(folder) as store:
        back = store.get(KEY)
        assert store.peek(KEY) == Entry({}, made.digests)
    assert back is not None
    assert back.digests == made.digests
    assert back.made == Made("KSampler", 7.5)


def test_a_value_that_has_no_digest_of_its_own_comes_back(folder: Path) -> None:
    put(folder, Outputs(((1,), (2,)), {}, (*slot_digests([(1,)], ""), "b" * 64)))
    with shared(folder) as store:
        assert store.get(KEY) is None  # the second value has another digest than the entry says
    promised = slot_digests([(math.pi,)], "recipe")
    put(folder, Outputs(((math.pi,),), {}, promised), "c" * 64)
    with shared(folder) as store:
        assert store.get("c" * 64) == Outputs(((math.pi,),), {}, promised)


def test_an_alias_shares_the_content(folder: Path) -> None:
    with shared(folder) as store:
        store.put(KEY, outputs(torch.ones(100)))
        assert store.alias("b" * 64, KEY)
        assert not store.alias("c" * 64, "d" * 64)
    assert content(folder).is_file()
    with shared(folder) as store:
        back = store.get("b" * 64)
    assert back is not None
    assert torch.equal(back.slots[0][0], torch.ones(100))  # type: ignore[arg-type]  # a slot item is an object


def test_the_first_outputs_stay_and_the_second_writer_is_told(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(folder, outputs(torch.zeros(2)))
    put(folder, outputs(torch.zeros(2)))
    assert warnings(caplog) == []
    put(folder, outputs(torch.ones(2)))
    assert "has other outputs than were made here; the first ones stay" in only_warning(caplog)
    with shared(folder) as store:
        back = store.get(KEY)
    assert back is not None
    assert torch.equal(back.slots[0][0], torch.zeros(2))  # type: ignore[arg-type]  # a slot item is an object


def test_a_read_only_store_takes_and_adds_nothing(folder: Path) -> None:
    put(folder, outputs(1))
    before = sorted(folder.rglob("*"))
    with shared(folder, readonly=True) as store:
        assert store.get(KEY) == outputs(1)
        assert not store.put("b" * 64, outputs(2))
        assert store.alias("c" * 64, KEY)
        assert store.get("c" * 64) == outputs(1)
        assert store.get("b" * 64) is None
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    "kept",
    [
        outputs(object()),
        Outputs(((1,),), {"images": [{"filename": "a.png", "subfolder": "", "type": "output"}]}),
        Outputs(((1,),), {"value": [math.nan]}),
        Outputs(((1,),), {"text": ["x" * 2**20]}),
    ],
    ids=["an object", "files", "no JSON", "a long message"],
)
def test_what_other_machines_cannot_use_is_not_shared(folder: Path, kept: Outputs) -> None:
    with shared(folder) as store:
        assert not store.put(KEY, kept)
        assert store.get(KEY) is None
    assert not folder.exists() or list(folder.rglob("*")) == []


def test_outputs_that_are_too_large_are_neither_sent_nor_fetched(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    small = RemoteLimits(max_bytes=1000)
    with RemoteStore(remote_place(str(folder)), small) as store:
        assert not store.put(KEY, outputs(torch.zeros(1000)))
    put(folder, outputs(torch.zeros(1000)))
    with RemoteStore(remote_place(str(folder)), small) as store:
        assert store.get(KEY) is None
    assert "1,000 are allowed" in only_warning(caplog)


def flip(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize("damage", [flip, lambda data: data[:-5], lambda data: b"", lambda data: data * 2])
def test_damaged_content_is_a_miss_and_is_written_again(
    folder: Path, caplog: pytest.LogCaptureFixture, damage: Any
) -> None:
    put(folder, outputs(torch.ones(100)))
    good = content(folder).read_bytes()
    content(folder).write_bytes(damage(good))
    with shared(folder) as store:
        back = store.get(KEY)
        if back is not None:  # what follows the content does not count
            assert damage(good).startswith(good)
            return
        assert store.peek(KEY) is None
        assert len(warnings(caplog)) == 1
        assert store.put(KEY, outputs(torch.ones(100)))
    assert content(folder).read_bytes() == good


def test_content_that_is_gone_is_a_miss_and_is_written_again(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(folder, outputs(torch.ones(100)))
    content(folder).unlink()
    with shared(folder) as store:
        assert store.get(KEY) is None
        assert "are gone: what it keeps is computed here" in only_warning(caplog)
        assert store.put(KEY, outputs(torch.ones(100)))
    with shared(folder) as store:
        assert store.get(KEY) is not None


def test_what_shrinks_is_compressed_and_shared_with_who_compresses_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("zstandard", reason="needs the extra compress")
    put(folder, outputs(torch.zeros(10_000)))
    assert content(folder).suffix == ".zst"
    assert content(folder).stat().st_size < 1000
    with shared(folder) as store:
        back = store.get(KEY)
    assert back is not None
    assert torch.equal(back.slots[0][0], torch.zeros(10_000))  # type: ignore[arg-type]  # a slot item is an object

    monkeypatch.setattr(compression, "can_compress", lambda: False)
    with shared(folder) as store:
        assert store.get(KEY) is None
        assert "pip install 'graphengine-comfy[compress]'" in only_warning(caplog)
    put(folder, outputs(torch.zeros(10_000)), "b" * 64)
    put(folder, outputs(torch.zeros(10_000)))
    assert len(warnings(caplog)) == 1  # the same outputs, stored otherwise, are no conflict


def test_a_frame_that_holds_more_than_it_says_is_a_miss(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    zstandard = pytest.importorskip("zstandard", reason="needs the extra compress")
    put(folder, outputs(torch.zeros(10_000)))
    bomb = zstandard.ZstdCompressor().compress(bytes(10**8))
    content(folder).write_bytes(bomb)
    document = json.loads(action(folder).read_bytes())
    document["content"]["stored"] = len(bomb)
    action(folder).write_text(json.dumps(document))
    with shared(folder) as store:
        assert store.get(KEY) is None
    assert "are damaged" in only_warning(caplog)


def test_content_of_another_entry_is_a_miss(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(folder, outputs(torch.ones(100)))
    put(folder, outputs(torch.zeros(100)), "b" * 64)
    first, second = (json.loads(action(folder, key).read_bytes()) for key in (KEY, "b" * 64))
    first["content"] = second["content"]
    action(folder).write_text(json.dumps(first))
    with shared(folder) as store:
        assert store.get(KEY) is None
    assert "other digests than it says" in only_warning(caplog)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 10**5, "no JSON"),
        (b"[]", "Input should be"),
        (b'{"format": 2}', "format '2', 1 is read"),
        ({"key": "b" * 64}, "another key"),
        ({"digests": ["../../x"]}, "digests.0"),
        ({"values": None}, "values and content, or neither"),
        ({"values": "[[["}, "cannot be read"),
        ({"values": "[1,1]"}, "cannot be read"),
        ({"content": {"digest": "../../etc/passwd", "size": 1, "stored": 1, "codec": ""}}, "content.digest"),
        ({"content": {"digest": "b" * 64, "size": -1, "stored": 1, "codec": ""}}, "content.size"),
        ({"content": {"digest": "b" * 64, "size": 1, "stored": 1, "codec": "rar"}}, "content.codec"),
        ({"ui": {"images": [{"filename": "../../a.png"}]}}, "names files"),
        ({"ui": {"text": [float("nan")]}}, "no JSON"),
        ({"extra": 1}, "extra"),
        (b" " * (2**20 + 1), "1,048,576 are allowed"),
    ],
)
def test_an_entry_that_is_none_is_a_miss_with_one_warning(
    folder: Path, caplog: pytest.LogCaptureFixture, change: bytes | dict[str, Any], words: str
) -> None:
    put(folder, outputs(1))
    if isinstance(change, bytes):
        action(folder).write_bytes(change)
    else:
        action(folder).write_text(json.dumps(json.loads(action(folder).read_bytes()) | change))
    with shared(folder) as store:
        assert store.get(KEY) is None
        assert store.get(KEY) is None
    assert words in only_warning(caplog)


def test_an_entry_that_nobody_can_read_is_replaced(folder: Path) -> None:
    put(folder, outputs(1))
    action(folder).write_bytes(b"{")
    put(folder, outputs(1))
    with shared(folder) as store:
        assert store.get(KEY) == outputs(1)


def test_an_entry_of_another_release_is_left_alone(folder: Path) -> None:
    put(folder, outputs(1))
    action(folder).write_bytes(b'{"format": 2}')
    put(folder, outputs(1))
    assert action(folder).read_bytes() == b'{"format": 2}'


SECRET = "0123456789abcdef"


def test_who_has_the_key_believes_what_is_signed_with_it(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(folder, outputs(torch.ones(9), ui={"text": ["ä", 1.5]}), key=SECRET)
    with shared(folder, key=SECRET) as store:
        assert store.get(KEY) is not None
    with shared(folder) as store:
        assert store.get(KEY) is not None
    assert warnings(caplog) == []


@pytest.mark.parametrize(("signed_with", "words"), [(None, "not signed"), ("another key 1234", "another key")])
def test_who_has_a_key_does_not_believe_what_is_not_signed_with_it(
    folder: Path, caplog: pytest.LogCaptureFixture, signed_with: str | None, words: str
) -> None:
    for name in (KEY, "b" * 64, "c" * 64, "d" * 64):
        put(folder, outputs(1), name, key=signed_with)
    put(folder, outputs(2), "e" * 64, key=SECRET)
    with shared(folder, key=SECRET) as store:
        assert set(store.peek_many([KEY, "b" * 64, "c" * 64, "d" * 64])) == set()
        assert store.get("e" * 64) == outputs(2)  # the others say nothing against the remote
    assert words in only_warning(caplog)


def test_an_unsigned_entry_is_replaced_by_a_signed_one_and_one_of_another_key_stays(folder: Path) -> None:
    put(folder, outputs(1))
    put(folder, outputs(2), key=SECRET)
    signed = action(folder).read_bytes()
    with shared(folder, key=SECRET) as store:
        assert store.get(KEY) == outputs(2)
    put(folder, outputs(3), key="another key 1234")
    assert action(folder).read_bytes() == signed


def test_a_signed_entry_cannot_be_changed_or_moved(folder: Path) -> None:
    put(folder, outputs(1, ui={"text": ["a"]}), key=SECRET)
    whole = json.loads(action(folder).read_bytes())
    changes: list[dict[str, Any]] = [
        {"digests": ["b" * 64]},
        {"ui": {"text": ["b"]}},
        {"values": whole["values"].replace("1", "2")},
        {"class": "Other"},
        {"signature": "0" * 64},
    ]
    for change in changes:
        action(folder).write_text(json.dumps(whole | change))
        with shared(folder, key=SECRET) as store:
            assert store.get(KEY) is None
    action(folder, "b" * 64).write_text(json.dumps(whole | {"key": "b" * 64}))
    with shared(folder, key=SECRET) as store:
        assert store.get("b" * 64) is None


def test_the_key_is_not_shown() -> None:
    place = remote_place("s3://bucket/prefix", key=SECRET)
    assert place.key == SECRET.encode()
    assert SECRET not in repr(place)


def test_a_folder_that_cannot_be_made_is_told_of_once_and_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with shared(tmp_path / "not mounted" / "shared") as store:
        for number in range(5):
            assert store.get(f"{number}") is None
        store.put(KEY, outputs(1))
    assert not (tmp_path / "not mounted").exists()
    cannot, left_alone = warnings(caplog)
    assert "it cannot be reached" in cannot
    assert "left alone for 5 minutes, after 3 failures" in left_alone


def test_a_folder_that_goes_away_is_not_made_again(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with shared(folder) as store:
        store.put(KEY, outputs(1))
    with shared(folder) as store:
        assert store.get(KEY) == outputs(1)
        folder.rename(folder.with_name("elsewhere"))
        assert store.get("b" * 64) is None
        store.put("c" * 64, outputs(2))
    assert not folder.exists()
    assert "the folder is gone" in warnings(caplog)[0]


def test_nothing_is_connected_before_the_first_question(folder: Path) -> None:
    shared(folder).close()
    assert not folder.exists()


def test_a_queue_that_is_full_takes_no_more(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with RemoteStore(RemotePlace(folder.as_uri()), RemoteLimits(queue_length=0)) as store:
        assert not store.put(KEY, outputs(1))
        assert store.peek(KEY) is None
    assert "more slowly than they are made" in only_warning(caplog)


def test_what_a_node_changes_after_it_was_put_is_not_shared(folder: Path) -> None:
    ui: dict[str, Any] = {"text": ["as it was"]}
    with shared(folder) as store:
        store.put(KEY, Outputs(((1,),), ui))
        ui["text"].append("changed")
    with shared(folder) as store:
        assert store.peek(KEY) == Entry({"text": ["as it was"]})
