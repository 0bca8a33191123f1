"""Entries of a shared cache as JSON: what is written is read, and nothing else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine.cache.remote_health import RemoteFailure
from graphengine.cache.remote_records import (
    ContentReference,
    Record,
    batch_bytes,
    checked_record,
    names_files,
    read_batch,
    read_record,
    record_bytes,
)
from graphengine.cache.store import Made

SECRET = b"0123456789abcdef"
RECORD = Record(
    ("ab" * 32,), {"text": ["seen"]}, None, ContentReference("cd" * 32, 7, 5, "zstd"), Made("KSampler", 1.5)
)

digests = st.text("0123456789abcdef", min_size=64, max_size=64)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
messages = st.dictionaries(st.text(max_size=5), json_values, max_size=3).filter(lambda ui: not names_files(ui))
contents = st.builds(ContentReference, digests, st.integers(0, 2**40), st.integers(0, 2**40))
records = st.builds(Record, st.lists(digests, max_size=3).map(tuple), messages, st.text()) | st.builds(
    Record, st.lists(digests, max_size=3).map(tuple), messages, st.none(), contents
)


@given(records, st.text(max_size=9), st.none() | st.just(SECRET))
def test_what_is_written_is_read(record: Record, key: str, secret: bytes | None) -> None:
    assert read_record(record_bytes(key, record, secret), key, secret) == record


@given(st.data())
def test_a_signed_entry_with_one_other_byte_is_refused_or_means_the_same(data: st.DataObject) -> None:
    whole = bytearray(record_bytes("key", RECORD, SECRET))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    try:
        read = read_record(bytes(whole), "key", SECRET)
    except RemoteFailure:
        return
    assert (read, read.made) == (RECORD, RECORD.made)


@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
def test_anything_else_is_refused_without_another_error(data: bytes) -> None:
    with pytest.raises(RemoteFailure):
        read_record(data, "key", None)


def test_the_text_of_an_entry_is_pinned() -> None:
    assert record_bytes("key", RECORD, SECRET).decode() == (
        '{"class":"KSampler","content":{"codec":"zstd","digest":"' + "cd" * 32 + '","size":7,"stored":5},'
        '"digests":["' + "ab" * 32 + '"],"format":1,"key":"key","seconds":1.5,'
        '"signature":"8357b6f8ff60a8fa3ed7f4d96afafab14fb0f9a19fb5fcf303cc72bf5767797d","ui":{"text":["seen"]}}'
    )


def test_a_batch_holds_the_entries_as_they_are() -> None:
    documents = read_batch(batch_bytes({"key": RECORD, "other": RECORD}, SECRET))
    assert {key: checked_record(document, key, SECRET) for key, document in documents.items()} == {
        "key": RECORD,
        "other": RECORD,
    }


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"format": 2, "records": []}', b'{"format": 1, "records": 5}']
)
def test_what_is_no_batch_is_refused(data: bytes) -> None:
    with pytest.raises(RemoteFailure):
        read_batch(data)


def test_entries_of_a_batch_that_have_no_key_are_left_out() -> None:
    assert read_batch(b'{"format": 1, "records": [{}, 5, null, {"key": 1}]}') == {}


def test_messages_that_name_files_are_told_from_others() -> None:
    assert names_files({"images": [{"filename": "a.png", "type": "output"}]})
    assert not names_files({"text": ["filename"], "size": [{"width": 8}], "n": 5})
