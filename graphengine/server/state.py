"""What the handlers share: settings of the server, and typed keys of the application."""

from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from graphengine.engine import Engine
from graphengine.execution.policy import RunOptions
from graphengine.server.database import Database
from graphengine.server.hub import SocketHub
from graphengine.server.queue import PromptQueue
from graphengine.server.threads import DaemonThread
from graphengine.server.worker import Worker


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How the server is reached and what it accepts.

    `user` is the folder of settings and saved workflows, `database` the file of queue and history (None: memory
    only). `token` is required on every request when it is set; without one only loopback addresses are listened
    on. `cors_origin` is the origin that may call from elsewhere, "*" for any. `web_root` holds the editor's files.
    At most `max_queue` prompts wait; `run` is how they are carried out.
    """

    user: Path
    database: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8188
    token: str | None = None
    cors_origin: str | None = None
    web_root: Path | None = None
    max_upload_bytes: int = 100 * 2**20
    max_queue: int = 1000
    run: RunOptions = field(default_factory=RunOptions)


ENGINE = web.AppKey("engine", Engine)
SETTINGS = web.AppKey("settings", ServerSettings)
DATABASE = web.AppKey("database", Database)
QUEUE = web.AppKey("queue", PromptQueue)
HUB = web.AppKey("hub", SocketHub)
WORKER = web.AppKey("worker", Worker)
#: The thread that checks prompts, one after the other.
CHECKS = web.AppKey("checks", DaemonThread)
