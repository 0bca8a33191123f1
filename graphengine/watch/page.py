"""The page of a watch: it shows the board and keeps itself up to date. Nothing can be changed through it.

The server lives in a thread of its own and only reads: it looks at the board's version ten times a second while a
page is open, so the watch never waits for it. Who may call is decided by the `middlewares` that it is given.
"""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from importlib.resources import files
from typing import Self

from aiohttp import web
from aiohttp.typedefs import Middleware

from graphengine.errors import SettingsError
from graphengine.watch.board import Board
from graphengine.watch.page_state import drawing_of, shown_file, state_of

#: Where the page is served: this machine alone.
HOST = "127.0.0.1"
_LOOKS = 0.1  # seconds between two looks at the board
_ALIVE = 15.0  # seconds after which a page that was told nothing is told so; one that is gone is noticed by it
_MOST_PAGES = 32
_PATIENCE = 5.0  # seconds that the thread gets to start and to end
_TYPES = {"index.html": "text/html", "page.js": "text/javascript", "page.css": "text/css"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class WatchPage:
    """Serves the page of a board from `with` to its end. `port` 0 takes any that is free."""

    def __init__(self, board: Board, middlewares: Sequence[Middleware], port: int = 0) -> None:
        self._board, self._middlewares, self._port = board, middlewares, port
        self._ready: Future[int] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._serve, name="watch page", daemon=True)

    @property
    def address(self) -> str:
        """The address to open in a browser."""
        return f"http://{HOST}:{self._ready.result(_PATIENCE)}"

    def __enter__(self) -> Self:
        """Start to listen.

        Raises:
            SettingsError: the port cannot be used.
        """
        self._thread.start()
        try:
            self._ready.result()
        except OSError as error:
            raise SettingsError(
                f"cannot listen on {HOST}:{self._port}: {error.strerror or error}",
                hint="another program may listen there; give another port, or 0 for any",
            ) from error
        return self

    def __exit__(self, *exception: object) -> None:
        if self._loop is not None and self._over is not None:
            with suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(_PATIENCE)

    def _serve(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        app = page_app(self._board, self._middlewares, self._over)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        try:
            await runner.setup()
            await web.TCPSite(runner, HOST, self._port).start()
        except OSError as error:
            self._ready.set_exception(error)
        else:
            self._ready.set_result(runner.addresses[0][1])
            await self._over.wait()
        finally:
            await runner.cleanup()


def page_app(board: Board, middlewares: Sequence[Middleware], over: asyncio.Event) -> web.Application:
    """The application that serves a board until `over` is set."""
    app = web.Application(middlewares=[*middlewares], client_max_size=1024)
    pages = _Pages(board, over)
    app.router.add_get("/", _static("index.html"))
    for name in ("page.js", "page.css"):
        app.router.add_get(f"/{name}", _static(name))
    app.router.add_get("/state", pages.state)
    app.router.add_get("/events", pages.events)
    app.router.add_get(r"/graph/{flow:\d{1,4}}.svg", pages.graph)
    app.router.add_get(r"/file/{flow:\d{1,4}}/{number:\d{1,6}}", pages.file)
    return app


def _static(name: str) -> Handler:
    content = files("graphengine.watch").joinpath("page_files", name).read_text(encoding="utf-8")

    async def answer(request: web.Request) -> web.Response:
        return web.Response(
            text=content, content_type=_TYPES[name], charset="utf-8", headers={"Content-Security-Policy": _POLICY}
        )

    return answer


class _Pages:
    """The answers that depend on the board."""

    def __init__(self, board: Board, over: asyncio.Event) -> None:
        self._board, self._over = board, over
        self._open = 0
        self._drawn: dict[int, tuple[int, str | None]] = {}

    def _state(self) -> tuple[int, str]:
        """The version of the board, and the board as JSON."""
        sight = self._board.look()
        return sight.version, json.dumps(state_of(sight, self._board.clock()))

    async def state(self, request: web.Request) -> web.Response:
        """The board."""
        return web.Response(text=self._state()[1], content_type="application/json")

    async def events(self, request: web.Request) -> web.StreamResponse:
        """The board whenever it changed, as server-sent events."""
        if self._open >= _MOST_PAGES:
            raise web.HTTPServiceUnavailable(text=f"{_MOST_PAGES} pages are open; close some")
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        answer = web.StreamResponse(headers=headers)
        self._open += 1
        try:
            await answer.prepare(request)
            await self._tell(answer)
        except ConnectionError:  # the page is closed
            pass
        finally:
            self._open -= 1
        return answer

    async def _tell(self, answer: web.StreamResponse) -> None:
        told, silent = -1, 0.0
        while not self._over.is_set():
            if self._board.version != told:
                told, text = self._state()
                silent = 0.0
                await answer.write(f"data: {text}\n\n".encode())
            elif silent >= _ALIVE:
                silent = 0.0
                await answer.write(b": nothing new\n\n")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), _LOOKS)
            silent += _LOOKS

    async def graph(self, request: web.Request) -> web.Response:
        """The drawing of a plan, as text: the page puts it in place."""
        number = int(request.match_info["flow"])
        flows = self._board.look().flows
        graph = flows[number].graph if number < len(flows) else None
        if graph is None:
            raise web.HTTPNotFound(text="nothing is planned")
        plan = flows[number].plan
        if self._drawn.get(number, (-1, None))[0] != plan:
            self._drawn[number] = (plan, drawing_of(graph, flows[number].file.name))
        drawn = self._drawn[number][1]
        if drawn is None:
            raise web.HTTPNotFound(text="there are too many nodes to draw")
        return web.Response(text=drawn, content_type="image/svg+xml", headers={"Cache-Control": "no-store"})

    async def file(self, request: web.Request) -> web.StreamResponse:
        """A file that the last run gave, by its number."""
        found = shown_file(self._board.look(), int(request.match_info["flow"]), int(request.match_info["number"]))
        if found is None:
            raise web.HTTPNotFound(text="there is no such file")
        return web.FileResponse(found[0], headers={"Content-Type": found[1], "Cache-Control": "no-store"})
