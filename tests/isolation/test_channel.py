import json
import os
import socket
import struct
import threading
from collections.abc import Iterator

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from graphengine.isolation.channel import NOTHING, Channel, DamagedMessage, NotStorable
from graphengine.node.api import ExecutionBlocker

DTYPES = [
    torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int8, torch.uint8, torch.int16, torch.int32,
    torch.int64, torch.bool, torch.complex64, torch.float8_e4m3fn, torch.float8_e5m2,
]  # fmt: skip

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=20,
)


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    first, second = (Channel(end) for end in socket.socketpair())
    yield first, second
    first.close()
    second.close()


def sent(value: object) -> object:
    """The value as the other end has it; a thread sends, as large values fill the socket."""
    first, second = (Channel(end) for end in socket.socketpair())
    thread = threading.Thread(target=first.send, args=({"kind": "value"}, value))
    thread.start()
    message = second.receive(30)
    thread.join()
    first.close()
    second.close()
    assert message is not None
    assert message.kind == "value"
    return message.value


@given(plain)
def test_plain_values_come_as_they_were_sent(value: object) -> None:
    came = sent(value)
    assert came == value
    assert type(came) is type(value)


@pytest.mark.parametrize("size", [0, 3, 40_000], ids=["empty", "in the message", "in shared memory"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_tensors_come_bit_by_bit(dtype: torch.dtype, size: int) -> None:
    bits = torch.randint(0, 2 if dtype is torch.bool else 256, (size * 16,), dtype=torch.uint8)
    tensor = bits.view(dtype).reshape(2, -1) if dtype is not torch.bool else bits.bool().reshape(2, -1)
    came = sent({"samples": tensor, "again": [tensor]})
    assert isinstance(came, dict)
    assert came["samples"].dtype is dtype
    assert came["samples"].shape == tensor.shape
    assert came["again"][0] is came["samples"]
    assert bytes(came["samples"].view(torch.uint8).numpy()) == bytes(tensor.view(torch.uint8).numpy())


def test_nested_values_keep_their_places() -> None:
    conditioning = [[torch.ones(1, 77, 4), {"pooled_output": torch.zeros(1, 4), "area": (1, 2), "strength": 0.5}]]
    came = sent((conditioning, ExecutionBlocker("no"), numpy.arange(5, dtype=">i2"), b"\0" * 5000, "é" * 5000))
    assert isinstance(came, tuple)
    assert torch.equal(came[0][0][0], conditioning[0][0])  # type: ignore[arg-type]  # a tensor
    assert came[0][0][1]["area"] == (1, 2)
    assert came[1] == ExecutionBlocker("no")
    assert came[2].tolist() == [0, 1, 2, 3, 4]
    assert came[3:] == (b"\0" * 5000, "é" * 5000)


def test_a_picture_comes_with_its_pixels() -> None:
    picture = Image.linear_gradient("L")
    came = sent(picture)
    assert isinstance(came, Image.Image)
    assert came.tobytes() == picture.tobytes()


def test_what_the_reader_writes_the_sender_does_not_see() -> None:
    tensor = torch.zeros(100_000)
    came = sent(tensor)
    assert isinstance(came, torch.Tensor)
    came.fill_(1)
    assert float(tensor.sum()) == 0


def test_an_object_is_refused_and_the_channel_goes_on(ends: tuple[Channel, Channel]) -> None:
    first, second = ends
    with pytest.raises(NotStorable, match="an object of type object"):
        first.send({"kind": "a"}, [object()])
    first.send({"kind": "b"})
    message = second.receive(1)
    assert message is not None
    assert (message.kind, message.value) == ("b", NOTHING)


def test_nothing_is_left_open(ends: tuple[Channel, Channel]) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        assert isinstance(sent(torch.zeros(50_000)), torch.Tensor)
    assert len(os.listdir("/proc/self/fd")) == before


def test_waiting_ends_without_a_message(ends: tuple[Channel, Channel]) -> None:
    assert ends[0].receive(0.01) is None


def test_the_end_of_the_other_is_told(ends: tuple[Channel, Channel]) -> None:
    ends[0].close()
    with pytest.raises(EOFError):
        ends[1].receive(1)


def raw(head: bytes, form: int = 0, size: int = 0, body: bytes = b"") -> bytes:
    return struct.pack("<IBQ", len(head), form, size) + head + body


@pytest.mark.parametrize(
    "content",
    [
        raw(b"{"),
        raw(b"[]"),
        raw(b"[" * 100_000),
        struct.pack("<IBQ", 2**32 - 1, 0, 0),
        raw(b"{}", 2, 2**60),
        raw(b"{}", 1, 2**60),
        raw(b"{}", 3, 2**20),
        raw(b"{}", 9),
        raw(b"{}", 1, 3, b"[1]"),
        raw(b"{}", 1, 4, b"null"),
        raw(b"{}", 2, 8, b"\xff" * 8),
        raw(b"{}", 1, 100_000, b"[" * 100_000),
        raw(b"{}", 1, 2, b"\xff\xfe"),
        raw(b"{}", 1, 11, json.dumps([1, ["p", 1]]).encode()[:11]),
    ],
)
def test_what_is_no_message_is_refused(content: bytes) -> None:
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=theirs.sendall, args=(content,))
    thread.start()
    channel = Channel(ours)
    with pytest.raises(DamagedMessage):
        channel.receive(5)
    channel.close()
    thread.join()
    theirs.close()


@given(st.binary(min_size=13, max_size=200))
def test_noise_is_refused_or_ends(content: bytes) -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(content)
    theirs.close()
    channel = Channel(ours)
    try:
        for _ in range(20):
            channel.receive(1)
    except (DamagedMessage, EOFError):
        pass
    else:
        pytest.fail("noise was taken for messages")
    finally:
        channel.close()
