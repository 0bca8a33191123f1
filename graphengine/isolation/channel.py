"""Messages between the engine and a worker: a JSON head and one value, over a Unix socket, without pickle.

A value is written as in the cache (`cache.encoding`): plain data as text, tensors, arrays and pictures as a
safetensors blob. A large blob is put into memory that both processes map (an anonymous file, whose descriptor goes
over the socket), so that tensors are written once and read where they are. The reader's pages are its own once it
writes to them. Nothing in it has a name, so a killed process leaves nothing behind.

The worker runs a stranger's code, so what it sends is checked: lengths, form, depth.
"""

import json
import mmap
import os
import select
import socket
import struct
from dataclasses import dataclass
from threading import Lock
from typing import Any, cast

from graphengine.cache.encoding import Blob, DamagedEncoding, NotStorable, decode, encode_parts
from graphengine.cache.store import Outputs

_PREFIX = struct.Struct("<IBQ")  # bytes of the head, form of the value, bytes of the value
_NO_VALUE, _TEXT, _INLINE, _SHARED = range(4)
_LARGEST_HEAD = 64 * 2**20
_LARGEST_INLINE = 64 * 2**20
_LARGEST_SHARED = 2**40
_SHARED_FROM = 2**16
_CHUNK = 2**20

#: Stands where a message has no value.
NOTHING = object()


class DamagedMessage(Exception):
    """What came over the channel is no message."""


@dataclass(frozen=True, slots=True)
class Message:
    """`head` is a JSON object with its `kind`; `value` is `NOTHING` when none came along."""

    head: dict[str, Any]  # Any: JSON
    value: object = NOTHING

    @property
    def kind(self) -> str:
        """What the message is about."""
        return str(self.head.get("kind", ""))


class Channel:
    """One end of a connection. Any thread may send; one thread at a time receives."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._sending = Lock()

    def send(self, head: dict[str, Any], value: object = NOTHING) -> None:
        """Send a message.

        Raises:
            NotStorable: the value is more than plain data and tensors; nothing was sent.
            OSError: the other end is gone.
        """
        written: str | Blob | None = None if value is NOTHING else encode_parts(Outputs(((value,),)))
        text = json.dumps(head).encode()
        with self._sending:
            match written:
                case None:
                    self._socket.sendall(_PREFIX.pack(len(text), _NO_VALUE, 0) + text)
                case str():
                    body = written.encode("utf-8", "surrogatepass")
                    self._socket.sendall(_PREFIX.pack(len(text), _TEXT, len(body)) + text + body)
                case Blob() if written.nbytes >= _SHARED_FROM and hasattr(os, "memfd_create"):
                    self._send_shared(text, written)
                case Blob():
                    self._socket.sendall(_PREFIX.pack(len(text), _INLINE, written.nbytes) + text)
                    for part in written.parts:
                        self._socket.sendall(part)

    def _send_shared(self, text: bytes, blob: Blob) -> None:
        file = os.memfd_create("graphengine", os.MFD_CLOEXEC)
        try:
            for part in blob.parts:
                _write(file, part)
            prefix = _PREFIX.pack(len(text), _SHARED, blob.nbytes)
            sent = socket.send_fds(self._socket, [prefix], [file])
            self._socket.sendall(prefix[sent:] + text)
        finally:
            os.close(file)

    def receive(self, timeout: float | None = None) -> Message | None:
        """The next message, None when none begins within `timeout` seconds; None waits.

        Raises:
            EOFError: the other end is gone.
            DamagedMessage: what came is no message.
        """
        if timeout is not None and not _is_ready(self._socket, timeout):
            return None
        prefix, descriptors = self._prefix()
        try:
            length, form, size = _PREFIX.unpack(prefix)
            if length > _LARGEST_HEAD or (form in (_TEXT, _INLINE) and size > _LARGEST_INLINE + _SHARED_FROM):
                raise DamagedMessage(f"a message of {length} and {size} bytes")
            head = _parsed(self._read(length))
            return Message(head, self._value(form, size, descriptors))
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _prefix(self) -> tuple[bytes, list[int]]:
        try:
            start, descriptors, _, _ = socket.recv_fds(self._socket, _PREFIX.size, 1)
        except ConnectionError as error:
            raise EOFError from error
        if not start:
            raise EOFError
        return start + self._read(_PREFIX.size - len(start)), list(descriptors)

    def _value(self, form: int, size: int, descriptors: list[int]) -> object:
        match form:
            case 0:
                return NOTHING
            case 1:
                return _decoded(_text(self._read(size)))
            case 2:
                return _decoded(self._read(size))
            case 3 if descriptors and 0 < size <= _LARGEST_SHARED and os.fstat(descriptors[0]).st_size >= size:
                return _decoded(mmap.mmap(descriptors[0], size, access=mmap.ACCESS_COPY))
        raise DamagedMessage(f"a value of form {form} with {size} bytes")

    def _read(self, size: int) -> bytearray:
        content = bytearray(size)
        view, done = memoryview(content), 0
        while done < size:
            try:
                got = self._socket.recv_into(view[done : done + _CHUNK])
            except ConnectionError as error:
                raise EOFError from error
            if not got:
                raise EOFError
            done += got
        return content

    def close(self) -> None:
        """Close this end."""
        self._socket.close()


def _is_ready(connection: socket.socket, timeout: float) -> bool:
    poll = select.poll()
    poll.register(connection, select.POLLIN | select.POLLHUP)
    return bool(poll.poll(timeout * 1000))


def _write(file: int, part: memoryview) -> None:
    done = 0
    while done < part.nbytes:
        done += os.write(file, part[done:])


def _text(content: bytearray) -> str:
    try:
        return content.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise DamagedMessage(f"a value is no text: {error}") from error


def _parsed(text: bytearray) -> dict[str, Any]:
    try:
        head = json.loads(bytes(text))
    except (ValueError, RecursionError) as error:
        raise DamagedMessage(f"the head is no JSON: {error}") from error
    if not isinstance(head, dict):
        raise DamagedMessage("the head is no object")
    return head


def _decoded(encoded: str | bytearray | mmap.mmap) -> object:
    try:
        # a mapping is read as a bytearray is
        slots = decode(cast("str | bytearray", encoded))
    except (DamagedEncoding, RecursionError) as error:
        raise DamagedMessage(f"the value is damaged: {error}") from error
    match slots:
        case ((value,),):
            return value
    raise DamagedMessage("not one value")


__all__ = ["NOTHING", "Channel", "DamagedMessage", "Message", "NotStorable"]
