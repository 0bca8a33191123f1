import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine.cache.hashing import (
    FileMemo,
    FileStamp,
    MemoryMemo,
    Uncacheable,
    fingerprint_file,
    hash_file,
    hash_value,
    node_key,
)
from graphengine.errors import FileRefused

UPSTREAM = "a" * 64
LONG_AGO_NS = 1_600_000_000 * 10**9

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(max_size=20)
)
VALUES = st.recursive(
    SCALARS,
    lambda children: (
        st.lists(children, max_size=4)
        | st.lists(children, max_size=4).map(tuple)
        | st.dictionaries(st.text(), children, max_size=4)
    ),
    max_leaves=12,
)


def exact(value: object) -> object:
    """The value with every type visible, so that `==` sees what a hash must see; -0.0 differs from 0.0."""
    if isinstance(value, list | tuple):
        return type(value), [exact(member) for member in value]
    if isinstance(value, dict):
        return dict, {name: exact(member) for name, member in value.items()}
    return type(value), repr(value)


@pytest.mark.parametrize(
    ("value", "digest"),
    [
        (None, "4cd4939046ad6ccac10b2c7fde59804cda07ee36c37f3c9be83a024bf585c4b4"),
        (1, "54c3b544bd5d1c499377e76c00bd99840747f2a57c04c3bd6ba072f2a6146163"),
        (1.0, "c7b690ae5cb4fefa252f42d0e68b0f63805ca4dba49ea692e29e20b724214cb5"),
        (True, "20d72afd3d9f60d1a1111d698728b17892f65f30e389eba41c524fbfb9cbc691"),
        ({"b": [1, "é"], "a": None}, "4719f180d7424d274e57228cf159c3c50e607998d6dd0a9902042b7a5112c648"),
    ],
)
def test_digests_of_values_stay_what_they_are(value: object, digest: str) -> None:
    assert hash_value(value) == digest


def test_the_key_of_a_node_stays_what_it_is() -> None:
    inputs = {"model": ("link", UPSTREAM, 0), "seed": 42, "cfg": 7.5, "name": "euler"}
    assert (
        node_key("KSampler", "1", inputs, {"file:model": "sha256:00"}, {"device": "cpu"})
        == "cc5386662ffb137ae44a8922e624b75da2e01a71ca81e580c0b46250fe00b3a9"
    )


def test_the_key_of_a_node_without_inputs_stays_what_it_is() -> None:
    assert node_key("Empty", "", {}) == "f50bfda7aef05948ece8ccbeb2a8a101df4323cfc9045881d46234552f8cd49d"


@given(VALUES, VALUES)
def test_values_hash_alike_exactly_when_they_are_alike(first: object, second: object) -> None:
    assert (hash_value(first) == hash_value(second)) == (exact(first) == exact(second))


@given(st.dictionaries(st.text(), SCALARS, min_size=2))
def test_the_order_of_keys_does_not_count(value: dict[str, object]) -> None:
    assert hash_value(dict(reversed(value.items()))) == hash_value(value)
    assert node_key("N", "1", dict(reversed(value.items()))) == node_key("N", "1", value)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (True, 1),
        (1, 1.0),
        (1, "1"),
        (0.0, -0.0),
        (None, "None"),
        ([], {}),
        ([1], (1,)),
        (["ab", "c"], ["a", "bc"]),
        ([[1], 2], [[1, 2]]),
        ({"a": "b"}, ["a", "b"]),
        ("é", "e\u0301"),
        ("\ud83d\ude00", "\U0001f600"),
    ],
)
def test_what_looks_alike_hashes_differently(first: object, second: object) -> None:
    assert hash_value(first) != hash_value(second)
    assert node_key("N", "1", {"x": first}) != node_key("N", "1", {"x": second})


@pytest.mark.parametrize("literal", [[UPSTREAM, 0], (UPSTREAM, 0), ["link", UPSTREAM, 0], f"@0;64:{UPSTREAM}"])
def test_a_literal_never_hashes_like_a_link(literal: object) -> None:
    assert node_key("N", "1", {"x": literal}) != node_key("N", "1", {"x": ("link", UPSTREAM, 0)})


def test_every_part_of_a_key_counts() -> None:
    inputs = {"x": ("link", UPSTREAM, 0)}
    keys = [
        node_key("N", "1", inputs),
        node_key("M", "1", inputs),
        node_key("N", "2", inputs),
        node_key("N", "1", {"x": ("link", UPSTREAM, 1)}),
        node_key("N", "1", {"x": ("link", "b" * 64, 0)}),
        node_key("N", "1", {"y": ("link", UPSTREAM, 0)}),
        node_key("N", "1", inputs, {"x": "sha256:00"}),
        node_key("N", "1", inputs, {}, {"x": "sha256:00"}),
        node_key("N1", "", inputs),
    ]
    assert len(set(keys)) == len(keys)


def test_nesting_10_000_deep_is_hashed() -> None:
    deep: object = 1
    for _ in range(10_000):
        deep = [deep]
    assert hash_value(deep) != hash_value([deep])


def test_an_integer_with_more_digits_than_python_prints_is_hashed() -> None:
    assert hash_value(10**5000) != hash_value(10**5000 + 1)


def test_infinity_is_a_value() -> None:
    assert hash_value(float("inf")) != hash_value(float("-inf"))


def test_nan_is_refused_with_the_name_of_the_input() -> None:
    with pytest.raises(Uncacheable, match=r"KSampler, inputs 'cfg': NaN equals nothing"):
        node_key("KSampler", "1", {"cfg": float("nan")})


@pytest.mark.parametrize("value", [object(), {1, 2}, {1: "a"}, bytearray(b"x")])
def test_what_is_no_plain_data_is_refused(value: object) -> None:
    with pytest.raises(Uncacheable):
        hash_value([value])


@pytest.mark.parametrize("place", [0, 1000])
def test_a_list_that_contains_itself_is_refused(place: int) -> None:
    endless: list[object] = [1] * 1000
    endless.insert(place, endless)
    with pytest.raises(Uncacheable, match="contains itself"):
        hash_value(endless)


class DictMemo:
    """A memo in memory that counts what it was asked to remember."""

    def __init__(self) -> None:
        self.known: dict[FileStamp, str] = {}

    def recall(self, stamp: FileStamp) -> str | None:
        return self.known.get(stamp)

    def remember(self, stamp: FileStamp, fingerprint: str) -> None:
        self.known[stamp] = fingerprint


def write_old(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))
    return path


def test_the_hash_of_a_file_is_what_sha256sum_prints(tmp_path: Path) -> None:
    path = write_old(tmp_path / "abc", b"abc")
    assert hash_file(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert fingerprint_file(path) == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_name_and_date_of_a_small_file_do_not_count(tmp_path: Path) -> None:
    old, new = write_old(tmp_path / "old", b"same"), tmp_path / "new"
    new.write_bytes(b"same")
    assert fingerprint_file(old) == fingerprint_file(new)


def test_a_byte_in_the_middle_of_a_large_file_counts_and_its_date_does_not(tmp_path: Path) -> None:
    path, memo = tmp_path / "model", DictMemo()

    def written(middle: bytes, time_ns: int) -> str:
        with path.open("wb") as file:
            file.seek(48 * 2**20)
            file.write(middle)
            file.truncate(96 * 2**20)  # the rest is a hole
        os.utime(path, ns=(time_ns, time_ns))
        return fingerprint_file(path, memo)

    before = written(b"a", LONG_AGO_NS)
    assert written(b"a", LONG_AGO_NS + 1) == before
    assert written(b"b", LONG_AGO_NS) != before  # of the same size and date


@pytest.mark.parametrize("make", [DictMemo, MemoryMemo])
def test_a_file_that_was_changed_and_given_its_old_date_is_read_again(
    tmp_path: Path, make: Callable[[], FileMemo]
) -> None:
    path, memo = write_old(tmp_path / "a.png", b"pixels"), make()
    before = fingerprint_file(path, memo)
    changed = path.stat().st_ctime_ns
    while path.stat().st_ctime_ns == changed:  # the clock of a file system has ticks of some milliseconds
        write_old(path, b"PIXELS")
    assert fingerprint_file(path, memo) != before


def test_a_remembered_file_is_not_read_again(tmp_path: Path) -> None:
    path, memo = write_old(tmp_path / "a.png", b"pixels"), DictMemo()
    fingerprint = fingerprint_file(path, memo)
    (stamp,) = memo.known
    memo.known[stamp] = "sha256:remembered"
    assert fingerprint.startswith("sha256:")
    assert fingerprint_file(path, memo) == "sha256:remembered"


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path, memo = write_old(tmp_path / "a.png", b"pixels"), DictMemo()
    before = fingerprint_file(path, memo)
    write_old(path, b"other pixels")
    assert fingerprint_file(path, memo) != before


def test_a_file_changed_just_now_is_not_remembered(tmp_path: Path) -> None:
    path, memo = tmp_path / "a.png", DictMemo()
    path.write_bytes(b"pixels")
    fingerprint_file(path, memo)
    assert memo.known == {}


@pytest.mark.parametrize("read", [hash_file, fingerprint_file])
def test_a_missing_file_is_refused_by_name(tmp_path: Path, read: object) -> None:
    assert callable(read)
    with pytest.raises(FileRefused, match=r"cannot read .*gone\.png: No such file"):
        read(tmp_path / "gone.png")


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileRefused, match="not a regular file"):
        fingerprint_file(tmp_path / "pipe")
