"""ComfyUI's server as packs see it: they add routes and handlers, and send messages to who watches."""

import logging
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, ClassVar, TypeVar

from graphengine.node.api import GraphEngineError
from graphengine_comfy._surroundings import CONNECTION

__all__ = ["BinaryEventTypes", "PromptQueue", "PromptServer", "Route", "RouteTable", "uuid"]

logger = logging.getLogger(__name__)

# Any throughout: handlers, their options and messages are the packs'.
Handler = TypeVar("Handler")


class BinaryEventTypes(IntEnum):
    """The first number of a binary message."""

    PREVIEW_IMAGE = 1
    UNENCODED_PREVIEW_IMAGE = 2
    TEXT = 3
    PREVIEW_IMAGE_WITH_METADATA = 4


@dataclass(frozen=True, slots=True)
class Route:
    """A path that a pack answers."""

    method: str
    path: str
    handler: Any
    options: dict[str, Any] = field(default_factory=dict)


class RouteTable:
    """The paths that packs answer. It has the form of aiohttp's `RouteTableDef`, which need not be installed."""

    def __init__(self) -> None:
        self._routes: list[Route] = []

    def route(self, method: str, path: str, **options: Any) -> Callable[[Handler], Handler]:
        """A decorator that makes a function answer a path."""

        def decorate(handler: Handler) -> Handler:
            self._routes.append(Route(method, path, handler, options))
            return handler

        return decorate

    def get(self, path: str, **options: Any) -> Callable[[Handler], Handler]:
        """Answer GET."""
        return self.route("GET", path, **options)

    def post(self, path: str, **options: Any) -> Callable[[Handler], Handler]:
        """Answer POST."""
        return self.route("POST", path, **options)

    def put(self, path: str, **options: Any) -> Callable[[Handler], Handler]:
        """Answer PUT."""
        return self.route("PUT", path, **options)

    def patch(self, path: str, **options: Any) -> Callable[[Handler], Handler]:
        """Answer PATCH."""
        return self.route("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> Callable[[Handler], Handler]:
        """Answer DELETE."""
        return self.route("DELETE", path, **options)

    def static(self, prefix: str, path: str, **options: Any) -> None:
        """Answer a prefix with the files of a folder."""
        self._routes.append(Route("STATIC", prefix, path, options))

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes)

    def __len__(self) -> int:
        return len(self._routes)


class _Application:
    """The part of an aiohttp application that packs use."""

    def __init__(self, routes: RouteTable) -> None:
        self._table = routes
        self.router = self
        self.frozen = False

    def add_routes(self, routes: Iterable[Any]) -> None:
        """Answer paths: definitions of aiohttp, or of `RouteTable`."""
        for route in routes:
            if hasattr(route, "prefix"):
                self.add_static(route.prefix, route.path)
            else:
                self.add_route(route.method, route.path, route.handler)

    def add_route(self, method: str, path: str, handler: Any, **options: Any) -> None:
        """Answer a path."""
        self._table.route(method, path, **options)(handler)

    def add_get(self, path: str, handler: Any, **options: Any) -> None:
        """Answer GET."""
        self.add_route("GET", path, handler, **options)

    def add_post(self, path: str, handler: Any, **options: Any) -> None:
        """Answer POST."""
        self.add_route("POST", path, handler, **options)

    def add_static(self, prefix: str, path: str, **options: Any) -> None:
        """Answer a prefix with the files of a folder."""
        self._table.static(prefix, str(path), **options)


class PromptQueue:
    """ComfyUI's queue, in which nothing is: graphengine keeps its own, and packs cannot add to it."""

    def __init__(self) -> None:
        self.currently_running: dict[int, Any] = {}
        self.mutex = threading.RLock()

    def get_current_queue(self) -> tuple[list[Any], list[Any]]:
        """What runs and what waits: nothing that packs could change."""
        return [], []

    get_current_queue_volatile = get_current_queue

    def get_tasks_remaining(self) -> int:
        """How many prompts wait and run: none that packs could change."""
        return 0

    def get_history(self, prompt_id: str | None = None, **options: Any) -> dict[str, Any]:
        """Former prompts: none."""
        return {}

    def put(self, item: Any) -> None:
        """Queue a prompt.

        Raises:
            GraphEngineError: always.
        """
        raise GraphEngineError(
            "PromptServer.instance.prompt_queue.put of ComfyUI is not in graphengine: a node cannot queue a run",
            hint="queue the run from outside",
        )


class PromptServer:
    """The server of the process; `instance` is there whether or not anything is served."""

    instance: ClassVar["PromptServer"]

    def __init__(self) -> None:
        self.routes = RouteTable()
        self.app = _Application(self.routes)
        self.supports = ["custom_nodes_from_web"]
        self.prompt_queue = PromptQueue()
        self.sockets: dict[str, Any] = {}
        self.address, self.port = "127.0.0.1", 8188
        self.client_id: str | None = None
        self.last_node_id: str | None = None
        self.last_prompt_id: str | None = None
        self.number = 0
        self.on_prompt_handlers: list[Callable[[Any], Any]] = []

    def send_sync(self, event: str | int, data: Any, sid: str | None = None) -> None:
        """Send a message to a client, or to all; from any thread."""
        CONNECTION.send(event, data, sid)

    async def send(self, event: str | int, data: Any, sid: str | None = None) -> None:
        """Send a message to a client, or to all."""
        self.send_sync(event, data, sid)

    def send_progress_text(self, text: str, node_id: str, sid: str | None = None) -> None:
        """Show a text on a node."""
        self.send_sync("progress_text", {"node": node_id, "text": text}, sid)

    def add_on_prompt_handler(self, handler: Callable[[Any], Any]) -> None:
        """Have a function see every prompt before it is queued."""
        self.on_prompt_handlers.append(handler)


PromptServer.instance = PromptServer()


def __getattr__(name: str) -> Any:
    """`web`, aiohttp's module, which is imported when it is asked for."""
    if name == "web":
        from aiohttp import web

        return web
    raise AttributeError(f"module 'server' has no attribute {name!r}: graphengine has none yet")
