"""The server as a process: it listens, runs until it is asked to stop, and stops in order."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Iterator

from aiohttp import web

from graphengine.engine import Engine
from graphengine.errors import SettingsError
from graphengine.server.app import make_app
from graphengine.server.safety import check_settings
from graphengine.server.state import ServerSettings

logger = logging.getLogger(__name__)

#: Seconds that open answers get to end.
_PATIENCE = 2.0


def serve(engine: Engine, settings: ServerSettings, on_ready: Callable[[str], None]) -> None:
    """Listen until SIGINT or SIGTERM. `on_ready` is told the address once prompts can be queued.

    Raises:
        SettingsError: the address or the user folder cannot be used, or there is no token where one is needed.
    """
    check_settings(settings)
    asyncio.run(_serve(engine, settings, on_ready))


async def _serve(engine: Engine, settings: ServerSettings, on_ready: Callable[[str], None]) -> None:
    runner = web.AppRunner(make_app(engine, settings), access_log=None, shutdown_timeout=_PATIENCE)
    with _stop_signals() as asked:
        try:
            await runner.setup()
            site = web.TCPSite(runner, settings.host, settings.port)
            try:
                await site.start()
            except OSError as error:
                raise SettingsError(
                    f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}",
                    hint="another server may run there; give another --port",
                ) from error
            on_ready(_address(runner, settings))
            await asked.wait()
        finally:
            await runner.cleanup()


def _address(runner: web.AppRunner, settings: ServerSettings) -> str:
    """The address to open in a browser."""
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::", "localhost") else settings.host
    host = f"[{host}]" if ":" in host else host
    port = runner.addresses[0][1] if runner.addresses else settings.port
    return f"http://{host}:{port}"


@contextlib.contextmanager
def _stop_signals() -> Iterator[asyncio.Event]:
    """An event that is set by the first SIGINT or SIGTERM; the second one ends the process."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        asked.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)  # the next one acts as usual

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
    except NotImplementedError:  # Windows: Ctrl-C cancels the task
        yield asked
        return
    try:
        yield asked
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
