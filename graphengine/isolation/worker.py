"""The process that an isolated pack runs in: it imports the pack, calls its nodes and answers over a channel.

The main thread makes the calls, one after the other. Another thread reads messages, so that a call learns that it
was cancelled, and that the process ends when the engine is gone. Where the pack's code keeps that thread from
running, the kernel ends the process: a pipe, which nobody writes to, sends SIGIO when the engine's end closes.
"""

import faulthandler
import os
import sys
import threading
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import SimpleQueue
from socket import socket
from typing import Any, TextIO

from graphengine.errors import GraphEngineError, PackError, Problem, RunCancelled
from graphengine.execution.numerics import Numerics
from graphengine.isolation.calling import answer_of, asked, storable_error
from graphengine.isolation.channel import NOTHING, Channel, DamagedMessage, Message, NotStorable
from graphengine.isolation.limits import limit_memory
from graphengine.isolation.sent_prompt import put_back
from graphengine.node.api import NodeContext, Preview, current_context
from graphengine.node.folders import Folders
from graphengine.node.registry import NodeRegistry
from graphengine.packs.definitions import PackDefinitions
from graphengine.packs.discover import Pack, installed_packs
from graphengine.packs.index import record_content
from graphengine.packs.load import LoadedPack, load_pack
from graphengine.packs.records import Records
from graphengine.packs.stand_ins import Surroundings

_MOST_OBJECTS = 4096
_GONE = 3


# Any throughout: messages are JSON, classes and values their authors'.
@dataclass(slots=True)
class Worker:
    """A pack in this process, and the objects that its nodes are called on."""

    channel: Channel
    start: dict[str, Any]
    _requests: "SimpleQueue[Message]" = field(default_factory=SimpleQueue)
    _answers: "SimpleQueue[Message]" = field(default_factory=SimpleQueue)
    _cancelled: threading.Event = field(default_factory=threading.Event)
    _objects: dict[tuple[str, str], object] = field(default_factory=dict)
    _loaded: LoadedPack | None = None

    def serve(self) -> None:
        """Answer requests until the engine is gone."""
        threading.Thread(target=self._listen, name="graphengine messages", daemon=True).start()
        while True:
            request = self._requests.get()
            try:
                self._answer(request)
            except OSError:  # the engine is gone
                os._exit(_GONE)

    def _listen(self) -> None:
        try:
            while True:
                message = self.channel.receive()
                match message:
                    case Message(head={"kind": "cancel"}):
                        self._cancelled.set()
                    case Message(head={"kind": "device"}):
                        self._answers.put(message)
                    case Message():
                        self._cancelled.clear()
                        self._requests.put(message)
        except (EOFError, OSError, DamagedMessage):
            os._exit(_GONE)

    def _answer(self, request: Message) -> None:
        try:
            head, value = self._result(request)
        except BaseException as error:  # noqa: BLE001 (code of packs may raise anything, SystemExit as well)
            self.channel.send(_told(error))
            return
        try:
            self.channel.send(head, value)
        except NotStorable:
            self.channel.send(_told(storable_error(value, request.head)))

    def _result(self, request: Message) -> tuple[dict[str, Any], object]:
        if request.kind == "describe":
            loaded = self._pack()
            content = record_content(loaded)
            return {"kind": "result", "problems": [asdict(problem) for problem in loaded.problems]}, content
        return {"kind": "result"}, self._called(request)

    def _called(self, request: Message) -> object:
        head = request.head
        node_class = self._pack().classes.get(head["class_type"])
        if node_class is None:
            raise PackError(f"the pack has no node {head['class_type']!r} any more", hint="run again")
        context = self._context(head)
        arguments = put_back(dict(request.value), head["special"], context)  # type: ignore[call-overload]  # a dict was sent
        Numerics(**self.start["numerics"]).apply()
        self.channel.send({"kind": "begun"})
        if head["on"] == "class":
            return asked(getattr(node_class, head["method"]), arguments)
        method = getattr(self._object(head, node_class), head["method"])
        token = current_context.set(context)
        try:
            return answer_of(method, arguments, filtered=head["on"] == "filtered")
        finally:
            current_context.reset(token)

    def _object(self, head: dict[str, Any], node_class: type[Any]) -> object:
        place = (head["node_id"], head["class_type"])
        if place not in self._objects:
            while len(self._objects) >= _MOST_OBJECTS:
                del self._objects[next(iter(self._objects))]
            self._objects[place] = node_class()
        return self._objects[place]

    def _pack(self) -> LoadedPack:
        """The pack, imported when it is asked for first."""
        if self._loaded is None:
            folders = _folders(self.start["folders"])
            records = Records(Path(self.start["records"]) if self.start["records"] else None)
            registry = NodeRegistry((), PackDefinitions(installed_packs(), records))
            surroundings = Surroundings(folders, registry, self._send)
            name, module, path = self.start["pack"]
            self._loaded = load_pack(Pack(name, module, Path(path)), surroundings)
        return self._loaded

    def _context(self, head: dict[str, Any]) -> NodeContext:
        return NodeContext(
            node_id=head["node_id"],
            folders=_folders(self.start["folders"]),
            choose_device=self._device,
            on_progress=self._progress,
            is_cancelled=self._cancelled.is_set,
            on_preview=self._preview,
            prompt_id=head["prompt_id"],
            list_index=head["list_index"],
            previews=head["previews"],
        )

    def _device(self) -> str:
        self.channel.send({"kind": "device"})
        return str(self._answers.get().head["device"])

    def _progress(self, value: int, total: int) -> None:
        self.channel.send({"kind": "progress", "value": int(value), "total": int(total)})

    def _preview(self, preview: Preview) -> None:
        picture = preview.image() if callable(preview.image) else preview.image
        head = {"kind": "preview", "format": preview.format, "max_size": preview.max_size}
        try:
            self.channel.send(head, picture)
        except NotStorable:
            return  # a picture of a kind that cannot be sent is not shown

    def _send(self, event: str | int, data: Any, client: str | None) -> None:
        try:
            self.channel.send({"kind": "send", "event": event, "client": client}, data)
        except NotStorable as error:
            raise RunMessageError(f"a message {event!r} holds {error}") from error


class RunMessageError(GraphEngineError):
    """A message to the editor cannot be sent from a worker."""


def _told(error: BaseException) -> dict[str, Any]:
    """An error as a message."""
    kind = type(error)
    known = isinstance(error, GraphEngineError)
    return {
        "kind": "error",
        "is_cancel": isinstance(error, RunCancelled),
        "is_ours": known,
        "module": kind.__module__,
        "name": kind.__qualname__,
        "bases": [base.__name__ for base in kind.__mro__],
        "message": error.message if isinstance(error, GraphEngineError) else _text(error),
        "hint": error.hint if isinstance(error, GraphEngineError) else None,
        "traceback": traceback.format_exception(error)[-200:],
    }


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as second:  # noqa: BLE001 (an author's __str__ may raise anything)
        return f"<no text: {type(second).__name__}>"


def _folders(sent: dict[str, Any]) -> Folders:
    return Folders(
        tuple(map(Path, sent["input"])),
        Path(sent["output"]),
        Path(sent["temp"]),
        {kind: tuple(map(Path, paths)) for kind, paths in sent["models"].items()},
    )


def problem_of(sent: dict[str, Any]) -> Problem:
    """A finding as `serve` sends it.

    Raises:
        TypeError: it is none.
    """
    return Problem(**sent)


def _end_with(descriptor: int) -> None:
    """Have the kernel end this process when the other end of a pipe closes, whatever the code is doing."""
    if sys.platform == "win32" or not hasattr(os, "O_ASYNC"):
        return
    import fcntl

    fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_ASYNC | os.O_NONBLOCK)


def main(connection: int, lifeline: int, crash: int) -> None:
    """Serve over the open descriptors: a socket, a pipe that ends with the engine, a file for the last words."""
    _end_with(lifeline)
    last_words: TextIO = os.fdopen(crash, "w")
    faulthandler.enable(last_words)
    os.dup2(2, 1)  # what nodes print is no result of the command
    channel = Channel(socket(fileno=connection))
    start = channel.receive()
    if start is None or start.kind != "start" or start.value is not NOTHING:
        os._exit(_GONE)
    limit_memory(start.head["memory"])
    Worker(channel, start.head).serve()
