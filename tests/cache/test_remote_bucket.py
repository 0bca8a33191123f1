"""A bucket over HTTP: how many requests are made, and what becomes of a bucket that is slow, refuses or lies."""

import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch

from graphengine.cache.content import slot_digests
from graphengine.cache.remote import RemoteStore
from graphengine.cache.remote_place import RemoteLimits, RemotePlace
from graphengine.cache.store import Outputs
from tests.cache.bucket_server import QUICK, Bucket, BucketHandler, serve_bucket

KEYS = tuple(f"{number:064x}" for number in range(400))


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    with serve_bucket() as bucket:
        yield bucket


def shared(bucket: Bucket, limits: RemoteLimits = QUICK) -> RemoteStore:
    return RemoteStore(bucket.place, replace(limits, lookup_s=20.0), bucket.options)


def one(value: object) -> Outputs:
    slots = ((value,),)
    return Outputs(slots, {}, slot_digests(slots, ""))


def fill(bucket: Bucket, count: int) -> None:
    with shared(bucket) as store:
        for number, key in enumerate(KEYS[:count]):
            assert store.put(key, one(number))
    assert bucket.count("PUT") == count
    bucket.requests.clear()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_outputs_are_two_objects_and_small_ones_one(bucket: Bucket) -> None:
    with shared(bucket) as store:
        store.put(KEYS[1], one(torch.ones(10)))
        store.put(KEYS[2], one(5))
        store.alias(KEYS[3], KEYS[1])
    folders = sorted(name.removeprefix("team/v1/").partition("/")[0] for name in bucket.objects)
    assert folders == ["actions", "actions", "actions", "contents"]
    assert bucket.count("PUT") == 4
    with shared(bucket) as store:
        back = store.get(KEYS[3])
    assert back is not None
    assert torch.equal(back.slots[0][0], torch.ones(10))  # type: ignore[arg-type]  # a slot item is an object


def test_an_entry_is_written_after_its_content(bucket: Bucket) -> None:
    seen: list[bool] = []

    def note(handler: BucketHandler) -> bool:
        if handler.command == "PUT" and "/contents/" in handler.path:
            handler.bucket.released.wait(0.1)  # entries that did not wait would come first
        if handler.command == "PUT" and "/actions/" in handler.path:
            seen.append(any("/contents/" in name for name in handler.bucket.objects))
        return False

    bucket.misbehave = note
    with shared(bucket) as store:
        store.put(KEYS[0], one(torch.ones(100)))
        store.alias(KEYS[1], KEYS[0])
        store.put(KEYS[2], one(torch.ones(100)))
        assert store.get(KEYS[1]) is not None
    assert seen == [True] * 3
    assert bucket.count("PUT /bucket/team/v1/contents") == 1


def test_content_that_is_there_is_not_sent_again(bucket: Bucket) -> None:
    for key in KEYS[:3]:
        with shared(bucket) as store:
            store.put(key, one(torch.ones(10)))
    assert bucket.count("PUT /bucket/team/v1/contents") == 1


def test_large_content_comes_in_parts(bucket: Bucket) -> None:
    large = torch.rand(2_500_000, generator=torch.Generator().manual_seed(0))
    with RemoteStore(bucket.place, RemoteLimits(), bucket.options) as store:
        store.put(KEYS[0], one(large))
    with RemoteStore(bucket.place, RemoteLimits(), bucket.options) as store:
        back = store.get(KEYS[0])
    assert back is not None
    assert torch.equal(back.slots[0][0], large)  # type: ignore[arg-type]  # a slot item is an object
    assert bucket.count("GET /bucket/team/v1/contents") == 2


def test_few_keys_cost_a_request_each_and_only_once(bucket: Bucket) -> None:
    fill(bucket, 10)
    with shared(bucket) as store:
        assert set(store.peek_many(KEYS[:20])) == set(KEYS[:10])
        assert len(bucket.requests) == 20
        store.peek_many(KEYS[:20])
        assert store.peek(KEYS[0]) is not None
        assert store.peek(KEYS[15]) is None
        assert len(bucket.requests) == 20


def test_keys_that_nobody_has_are_listed_and_not_asked_for(bucket: Bucket) -> None:
    fill(bucket, 5)
    with shared(bucket) as store:
        assert set(store.peek_many(KEYS)) == set(KEYS[:5])
        assert (bucket.count("batches"), bucket.count("list-type"), len(bucket.requests)) == (1, 1, 7)
        assert store.peek("f" * 64) is None
    assert bucket.count("GET") == 7


def test_the_second_to_ask_for_a_graph_makes_one_request(bucket: Bucket) -> None:
    fill(bucket, 400)
    for _ in range(2):
        bucket.requests.clear()
        with shared(bucket) as store:
            assert len(store.peek_many(KEYS)) == 400
            assert store.get(KEYS[7]) == one(7)
    assert [request[:28] for request in bucket.requests] == ["GET /bucket/team/v1/batches/"]


def test_the_batch_of_a_graph_is_written_again_when_more_is_known(bucket: Bucket) -> None:
    fill(bucket, 50)
    with shared(bucket) as store:
        assert len(store.peek_many(KEYS[:100])) == 50
    with shared(bucket) as store:
        assert len(store.peek_many(KEYS[:100])) == 50
        for number, key in enumerate(KEYS[50:100], 50):
            store.put(key, one(number))
    bucket.requests.clear()
    with shared(bucket) as store:
        assert len(store.peek_many(KEYS[99::-1])) == 100
    assert len(bucket.requests) <= 5  # four uploads may have been under way when the batch was written


def test_a_damaged_batch_is_told_of_and_entries_are_read(bucket: Bucket, caplog: pytest.LogCaptureFixture) -> None:
    fill(bucket, 70)
    shared_once(bucket)
    (name,) = (name for name in bucket.objects if "batches" in name)
    bucket.objects[name] = b"{}"
    with shared(bucket) as store:
        assert len(store.peek_many(KEYS[:70])) == 70
    assert ["a batch of entries is damaged" in message for message in warnings(caplog)] == [True]


def shared_once(bucket: Bucket) -> None:
    with shared(bucket) as store:
        assert len(store.peek_many(KEYS[:70])) == 70


def test_requests_go_on_while_one_entry_is_read(bucket: Bucket) -> None:
    fill(bucket, 40)
    most = 0
    waiting: set[str] = set()

    def note(handler: BucketHandler) -> bool:
        nonlocal most
        waiting.add(handler.path)
        most = max(most, len(waiting))
        if most < 4:  # the first ones wait for others to come
            bucket.released.wait(0.2)
        waiting.discard(handler.path)
        return False

    bucket.misbehave = note
    with shared(bucket) as store:
        assert len(store.peek_many(KEYS[:40])) == 40
    assert most >= 4


def hang(handler: BucketHandler) -> bool:
    handler.bucket.released.wait()
    return True


def test_a_bucket_that_does_not_answer_costs_a_few_timeouts_and_is_left_alone(
    bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    bucket.misbehave = hang
    begin = time.monotonic()
    with shared(bucket) as store:
        assert store.peek_many(KEYS) == {}
        for key in KEYS:
            assert store.get(key) is None
        store.put(KEYS[0], one(1))
    assert time.monotonic() - begin < 10 * QUICK.request_s
    assert len(bucket.requests) < 40
    not_in_time, left_alone = warnings(caplog)
    assert not_in_time.startswith("shared cache s3://bucket/team: it did not answer in time")
    assert "left alone for 5 minutes" in left_alone


def test_a_lookup_that_takes_too_long_ends_with_what_there_is(
    bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    fill(bucket, 40)
    bucket.misbehave = hang
    limits = replace(QUICK, request_s=5.0, lookup_s=0.2, close_s=0.0)
    store = RemoteStore(bucket.place, limits, bucket.options)
    assert store.peek_many(KEYS[:40]) == {}
    assert "entries were not found in 0.2 seconds" in warnings(caplog)[0]


@pytest.mark.parametrize(
    ("status", "words"),
    [(500, "500"), (503, "503"), (403, "it refuses"), (401, "it refuses"), (302, "redirect"), (200, "no JSON")],
)
def test_a_bucket_that_answers_badly_is_a_miss_with_one_warning(
    bucket: Bucket, caplog: pytest.LogCaptureFixture, status: int, words: str
) -> None:
    def refuse(handler: BucketHandler) -> bool:
        handler.answer(status, b"<html>Welcome to the hotel</html>")
        return True

    fill(bucket, 1)
    bucket.misbehave = refuse
    with shared(bucket) as store:
        for key in KEYS[:10]:
            assert store.get(key) is None
    bad, left_alone = warnings(caplog)
    assert words in bad
    assert "left alone" in left_alone
    assert "hotel" not in bad
    assert len(bucket.requests) <= 6


def cut(handler: BucketHandler) -> bool:
    """Promise more than is sent, then hang up."""
    handler.answer(206, b"short", Content_Length="1000", Content_Range="bytes 0-999/1000")
    handler.close_connection = True
    return True


def other_bytes(handler: BucketHandler) -> bool:
    size = int(handler.headers["Range"].rpartition("-")[2]) + 1
    handler.answer(206, b"x" * size, Content_Range=f"bytes 0-{size - 1}/{size}")
    return True


def whole(handler: BucketHandler) -> bool:
    """Ignore the range and send without end."""
    handler.answer(200, b"x" * 10**6)
    return True


def no_content(handler: BucketHandler) -> bool:
    handler.answer(404)
    return True


@pytest.mark.parametrize("lie", [cut, other_bytes, whole, no_content])
def test_a_bucket_that_lies_about_content_is_a_miss_with_one_warning(
    bucket: Bucket, caplog: pytest.LogCaptureFixture, lie: Callable[[BucketHandler], bool]
) -> None:
    with shared(bucket) as store:
        store.put(KEYS[0], one(torch.ones(100)))
    bucket.misbehave = lambda handler: "/contents/" in handler.path and handler.command == "GET" and lie(handler)
    with shared(bucket) as store:
        assert store.get(KEYS[0]) is None
    assert len(warnings(caplog)) == 1


def test_a_bucket_that_drips_is_not_waited_for(bucket: Bucket, caplog: pytest.LogCaptureFixture) -> None:
    with shared(bucket) as store:
        store.put(KEYS[0], one(torch.ones(100)))

    def drip(handler: BucketHandler) -> bool:
        handler.send_response(206)
        handler.send_header("Content-Length", "600")
        handler.send_header("Content-Range", "bytes 0-599/600")
        handler.end_headers()
        while not handler.bucket.released.wait(0.05):
            handler.wfile.write(b"x")
        return True

    bucket.misbehave = lambda handler: "/contents/" in handler.path and handler.command == "GET" and drip(handler)
    begin = time.monotonic()
    with shared(bucket) as store:
        assert store.get(KEYS[0]) is None
    assert time.monotonic() - begin < 4 * QUICK.part_s
    assert len(warnings(caplog)) == 1


def test_a_bucket_that_is_not_there_is_told_of(bucket: Bucket, caplog: pytest.LogCaptureFixture) -> None:
    def no_bucket(handler: BucketHandler) -> bool:
        handler.answer(404, b"<Error><Code>NoSuchBucket</Code></Error>")
        return True

    bucket.misbehave = no_bucket
    with shared(bucket) as store:
        assert store.get(KEYS[0]) is None
    assert "check the address" in warnings(caplog)[0]


def test_reading_goes_on_where_writing_is_refused(bucket: Bucket, caplog: pytest.LogCaptureFixture) -> None:
    fill(bucket, 10)

    def refuse_writing(handler: BucketHandler) -> bool:
        if handler.command == "PUT":
            handler.answer(403)
        return handler.command == "PUT"

    bucket.misbehave = refuse_writing
    with shared(bucket) as store:
        for number in range(20, 40):
            store.put(KEYS[number], one(number))
        store._uploads.finish(5)
        assert not store.put(KEYS[50], one(50))
        assert store.get(KEYS[3]) == one(3)
    assert all("results are not shared" in message for message in warnings(caplog))
    assert len(warnings(caplog)) == 2


def test_closing_does_not_wait_longer_than_it_says(bucket: Bucket, caplog: pytest.LogCaptureFixture) -> None:
    bucket.misbehave = hang
    limits = replace(QUICK, upload_s=30.0, close_s=0.1)
    store = RemoteStore(bucket.place, limits, bucket.options)
    store.put(KEYS[0], one(1))
    begin = time.monotonic()
    store.close()
    assert time.monotonic() - begin < 2
    assert "1 results were not sent in 0.1 seconds" in warnings(caplog)[0]


PROCESS = """
import sys
from graphengine.cache.remote import RemoteStore
from graphengine.cache.remote_place import RemoteLimits, RemotePlace
from graphengine.cache.store import Outputs
print(sorted({"torch", "numpy", "asyncio", "obstore"} & set(sys.modules)))
options = {"endpoint": sys.argv[1], "access_key_id": "a", "secret_access_key": "b", "region": "us-east-1"}
limits = RemoteLimits(request_s=0.4, upload_s=60, close_s=0.1)
store = RemoteStore(RemotePlace("s3://bucket"), limits, options | {"client_options": {"allow_http": True}})
store.put("key", Outputs(((1,),)))
print(store.peek_many(["a", "b"]))
store.close()
"""


def test_a_process_ends_although_the_bucket_answers_nothing_and_imports_nothing_heavy_before(
    bucket: Bucket,
) -> None:
    bucket.misbehave = hang
    ended = subprocess.run(
        [sys.executable, "-c", PROCESS, bucket.address], capture_output=True, text=True, timeout=30, check=True
    )
    assert ended.stdout.splitlines() == ["[]", "{}"]
    assert "1 results were not sent" in ended.stderr


def test_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    with serve_bucket() as bucket:
        address = bucket
    with RemoteStore(RemotePlace("s3://bucket"), QUICK, address.options) as store:
        assert store.get(KEYS[0]) is None
        store.put(KEYS[1], one(1))
    assert "it cannot be reached" in warnings(caplog)[0]
