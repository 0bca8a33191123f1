"""The shared cache in a bucket of moto, a stand-in for S3 by other people, on this machine."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.request import Request, urlopen

import pytest
import torch

from graphengine.cache.content import slot_digests
from graphengine.cache.remote import RemoteStore
from graphengine.cache.remote_place import remote_place
from graphengine.cache.store import Outputs

pytest.importorskip("flask_cors", reason="needs the extra buckets: pip install 'graphengine-comfy[buckets]'")
moto_server = pytest.importorskip("moto.server", reason="needs the extra buckets")

KEYS = tuple(f"{number:064x}" for number in range(1100))


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty bucket, named in the environment as users name theirs."""
    server = moto_server.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    urlopen(Request(f"http://{host}:{port}/moto-api/reset", method="POST")).close()
    urlopen(Request(f"http://{host}:{port}/team", method="PUT")).close()
    yield "s3://team/results"
    server.stop()


def one(value: object) -> Outputs:
    slots = ((value,),)
    return Outputs(slots, {}, slot_digests(slots, ""))


def test_tensors_come_back(address: str) -> None:
    tensor = torch.arange(2_000_000, dtype=torch.float32)
    with RemoteStore(remote_place(address, key="0123456789abcdef")) as store:
        assert store.put(KEYS[0], one({"samples": tensor}))
    with RemoteStore(remote_place(address, key="0123456789abcdef", readonly=True)) as store:
        back = store.get(KEYS[0])
    assert back is not None
    assert torch.equal(back.slots[0][0]["samples"], tensor)  # type: ignore[index]  # a slot item is an object


def test_of_many_writers_one_wins_and_all_agree(address: str) -> None:
    def write(number: int) -> None:
        with RemoteStore(remote_place(address)) as store:
            store.put(KEYS[0], one(torch.full((100,), number)))

    def read(_: int) -> float:
        with RemoteStore(remote_place(address)) as store:
            back = store.get(KEYS[0])
        assert back is not None
        return float(back.slots[0][0][0])  # type: ignore[index]  # a slot item is an object

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(8)))
        assert len(set(pool.map(read, range(4)))) == 1


def test_more_than_a_page_of_entries_is_found(address: str) -> None:
    with RemoteStore(remote_place(address)) as store:
        for number, key in enumerate(KEYS):
            assert store.put(key, one(number))
    with RemoteStore(remote_place(address)) as store:
        names = store._objects.names("actions", 2000, float("inf"))
        assert names == set(KEYS)
        assert store._objects.names("actions", 500, float("inf")) is None


def test_a_bucket_that_is_not_there_is_a_miss_with_a_warning(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    with RemoteStore(remote_place(address.replace("team", "nobody"))) as store:
        assert store.peek_many(KEYS[:3]) == {}
        store.put(KEYS[0], one(1))
    assert "check the address and the credentials" in caplog.text
